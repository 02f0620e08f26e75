import { dump, load } from "js-yaml";
import { checked, same } from "./_check";

export default checked(() => same([load("a: [1, {b: c}]"), dump({ x: ["y"] })], [{ a: [1, { b: "c" }] }, "x:\n  - 'y'\n"]));
