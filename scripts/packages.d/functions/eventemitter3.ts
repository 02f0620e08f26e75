import EventEmitter from "eventemitter3";
import { checked, same } from "./_check";

export default checked(() => {
  const emitter = new EventEmitter();
  const seen: number[] = [];
  emitter.once("a", (n: number) => seen.push(n));
  same([emitter.emit("a", 1), emitter.emit("a", 2), seen], [true, false, [1]]);
});
