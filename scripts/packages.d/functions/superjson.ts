import superjson from "superjson";
import { checked, same } from "./_check";

export default checked(() => {
  const back = superjson.parse<{ when: Date; set: Set<number> }>(superjson.stringify({ when: new Date(0), set: new Set([1]) }));
  same([back.when.getTime(), back.set.has(1)], [0, true]);
});
