import { customAlphabet, nanoid } from "nanoid";
import { checked, same } from "./_check";

export default checked(() => same([nanoid().length, /^[ab]{10}$/.test(customAlphabet("ab", 10)()), nanoid() === nanoid()], [21, true, false]));
