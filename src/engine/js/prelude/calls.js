// Calls of the host that take time, for instances that are kept: a call ends with the invocation that began it, and whoever still waits
// for it in a later one is told so.

import host from "emu:js/host";
import { beginnings } from "./beginnings.js";

const ENDED = "this was begun in an earlier invocation and ended with it (no I/O on behalf of a different request): begin it anew, "
  + "or await it before the handler returns";

/** What rejects the calls that are under way. */
const underWay = new Set();

beginnings.push(() => {
  if (underWay.size === 0) return;
  const ended = [...underWay];
  underWay.clear();
  for (const reject of ended) reject(new Error(ENDED));
});

function ofThisInvocation(call) {
  return (...args) =>
    new Promise((resolve, reject) => {
      underWay.add(reject);
      const over = (then) => (value) => {
        underWay.delete(reject);
        then(value);
      };
      call(...args).then(over(resolve), over(reject));
    });
}

export const callBinding = ofThisInvocation(host.callBinding);
export const compute = ofThisInvocation(host.compute);
export const fetch = ofThisInvocation(host.fetch);
export const read = ofThisInvocation(host.read);
export const write = ofThisInvocation(host.write);
