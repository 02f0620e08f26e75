import _ from "lodash";
import groupBy from "lodash/groupBy";
import { checked, same } from "./_check";

export default checked(() => {
  same(_.chunk([1, 2, 3], 2), [[1, 2], [3]]);
  same(_.merge({ a: { b: 1 } }, { a: { c: 2 } }), { a: { b: 1, c: 2 } });
  same([groupBy([1.2, 1.9], Math.floor), _.template("hi <%= name %>")({ name: "you" }), _.isEqual([1], [1])], [{ 1: [1.2, 1.9] }, "hi you", true]);
});
