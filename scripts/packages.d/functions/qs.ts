import qs from "qs";
import { checked, same } from "./_check";

export default checked(() => same([qs.parse("a[b][]=1&a[b][]=2"), qs.stringify({ a: { b: [1, 2] } }, { encode: false })], [{ a: { b: ["1", "2"] } }, "a[b][0]=1&a[b][1]=2"]));
