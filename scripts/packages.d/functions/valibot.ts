import * as v from "valibot";
import { checked, same } from "./_check";

export default checked(() => same([v.parse(v.object({ a: v.string() }), { a: "x" }), v.safeParse(v.number(), "x").success], [{ a: "x" }, false]));
