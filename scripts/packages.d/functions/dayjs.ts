import dayjs from "dayjs";
import utc from "dayjs/plugin/utc";
import { checked, same } from "./_check";

dayjs.extend(utc);
export default checked(() => same(dayjs.utc("2024-01-31").add(1, "month").format("YYYY-MM-DD"), "2024-02-29"));
