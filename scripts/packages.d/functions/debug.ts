import debug from "debug";
import { checked, same } from "./_check";

export default checked(() => {
  const lines: string[] = [];
  debug.enable("app:*");
  const log = debug("app:x");
  log.log = (...args: unknown[]) => lines.push(String(args[0]));
  log("hello %s", "you");
  same([lines.length, debug("other").enabled], [1, false]);
});
