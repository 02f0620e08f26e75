// Where invocations begin and end. A module of its own, so that those that environment.js needs can have something done too.

/** What a module wants done when an invocation begins in an instance where no other is running. */
export const beginnings = [];

/** Other hosts run several invocations of a bundle at once. */
let running = 0;

export function begin() {
  running++;
  if (running > 1) return;
  for (let at = 0; at < beginnings.length; at++) beginnings[at]();
}

export function end() {
  running--;
}
