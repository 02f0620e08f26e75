import { createNanoEvents } from "nanoevents";
import { checked, same } from "./_check";

export default checked(() => {
  const emitter = createNanoEvents();
  let sum = 0;
  const off = emitter.on("n", (n: number) => (sum += n));
  emitter.emit("n", 2);
  off();
  emitter.emit("n", 3);
  same(sum, 2);
});
