import semver from "semver";
import { checked, same } from "./_check";

export default checked(() => same([semver.satisfies("1.4.0", "^1.2"), semver.inc("1.2.3", "minor"), semver.valid("x")], [true, "1.3.0", null]));
