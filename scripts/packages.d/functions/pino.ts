import pino from "pino";
import { checked, same } from "./_check";

export default checked(() => {
  const log = pino({ level: "info" });
  log.info({ order: 1 }, "placed");
  same([log.isLevelEnabled("debug"), log.isLevelEnabled("error")], [false, true]);
});
