import mime from "mime-types";
import { checked, same } from "./_check";

export default checked(() => same([mime.lookup("a.json"), mime.contentType("html")], ["application/json", "text/html; charset=utf-8"]));
