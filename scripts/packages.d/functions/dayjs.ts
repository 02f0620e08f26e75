import dayjs from "dayjs";
import timezone from "dayjs/plugin/timezone";
import utc from "dayjs/plugin/utc";
import { checked, same } from "./_check";

dayjs.extend(utc);
dayjs.extend(timezone);
export default checked(() => {
  same(dayjs.utc("2024-01-31").add(1, "month").format("YYYY-MM-DD"), "2024-02-29");
  // Zones come from Intl.
  same(dayjs.utc("2024-07-04T04:00:00Z").tz("America/New_York").format("YYYY-MM-DD HH:mm Z"), "2024-07-04 00:00 -04:00");
  same(dayjs.tz("2024-07-04 12:00", "Asia/Tokyo").utc().format(), "2024-07-04T03:00:00Z");
});
