import iconv from "iconv-lite";
import { checked, same } from "./_check";

export default checked(() => same([iconv.decode(Buffer.from([0xe9, 0x80]), "win1252"), iconv.encode("é", "latin1").length], ["é€", 1]));
