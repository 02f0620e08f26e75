import validator from "validator";
import { checked, same } from "./_check";

export default checked(() => same([validator.isEmail("a@b.co"), validator.isURL("nope"), validator.escape("<")], [true, false, "&lt;"]));
