import winston from "winston";
import { checked, same } from "./_check";

const log = winston.createLogger({ level: "info", format: winston.format.json(), transports: [new winston.transports.Console()] });

export default checked(() => {
  log.info("placed", { order: 1 });
  same([log.isInfoEnabled(), log.isDebugEnabled()], [true, false]);
});
