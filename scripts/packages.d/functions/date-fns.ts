import { addDays, differenceInCalendarDays, format, formatDistance, parseISO } from "date-fns";
import { de } from "date-fns/locale";
import { checked, same } from "./_check";

export default checked(() => {
  const day = parseISO("2024-02-28T12:00:00Z");
  same(format(addDays(day, 2), "yyyy-MM-dd EEEE"), "2024-03-01 Friday");
  same(format(day, "d. MMMM", { locale: de }), "28. Februar");
  same([differenceInCalendarDays(parseISO("2024-03-01"), parseISO("2024-02-01")), formatDistance(0, 3_600_000)], [29, "about 1 hour"]);
});
