// Math.random. QuickJS seeds its own generator when a context is made, and the snapshot would hand the same numbers to
// every invocation. This one (sfc32) is seeded by the host each time.

let a = 0;
let b = 0;
let c = 0;
let counter = 1;
/** The seed of an invocation that has not asked for a number yet: most never do. */
let seed = null;

function next() {
  const sum = (((a + b) | 0) + counter) | 0;
  counter = (counter + 1) | 0;
  a = b ^ (b >>> 9);
  b = (c + (c << 3)) | 0;
  c = (c << 21) | (c >>> 11);
  c = (c + sum) | 0;
  return sum >>> 0;
}

export function seedRandom(low, high) {
  seed = [low, high];
}

function begin() {
  a = seed[0] | 0;
  b = seed[1] | 0;
  c = 0x9e3779b9 | 0;
  counter = 1;
  seed = null;
  // The authors' rounds of warming up for a seed of 64 bits.
  for (let round = 0; round < 12; round++) next();
}

/** Whether the invocation, so far, has asked for no number. */
export function isUndrawn() {
  return seed !== null;
}

/** 53 random bits in [0, 1). */
export function random() {
  if (seed !== null) begin();
  return ((next() >>> 5) * 67108864 + (next() >>> 6)) / 9007199254740992;
}
