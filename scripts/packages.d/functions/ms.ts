import ms from "ms";
import { checked, same } from "./_check";

export default checked(() => same([ms("2 days"), ms(60_000), ms(60_000, { long: true })], [172_800_000, "1m", "1 minute"]));
