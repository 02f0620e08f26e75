import * as cookie from "cookie";
import { checked, same } from "./_check";

export default checked(() => same(cookie.parseCookie("a=1; b=x%20y"), { a: "1", b: "x y" }));
