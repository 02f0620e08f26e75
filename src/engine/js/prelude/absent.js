// What other platforms have and emu has not. A name that libraries test for (`typeof XMLHttpRequest`) stays undefined, and the
// ReferenceError of a script that uses it says what to do; a name that only a script which needs it mentions throws when it is used.

const UNDEFINED = {
  Bun: "emu is not Bun; see the README for the APIs it has",
  Deno: "emu is not Deno; see the README for the APIs it has",
  EventSource: "read the stream of fetch(url) instead",
  FileReader: "use await blob.text() or blob.arrayBuffer() instead",
  WebAssembly: "emu runs JavaScript inside WebAssembly already; write that part as a component, a function of its own, and bind it",
  Worker: "put the work into a function of its own and bind it, or send it to a queue",
  XMLHttpRequest: "use fetch instead",
  caches: "use a key-value store (kv in bind) with expirationTtl instead",
  document: "there is no page; build HTML as text",
  indexedDB: "use a key-value store (kv in bind) instead",
  localStorage: "use a key-value store (kv in bind) instead",
  sessionStorage: "use a key-value store (kv in bind) instead",
  window: "use globalThis instead",
};

const THROWING = {
  BroadcastChannel: "each invocation runs on its own; publish to a topic (topic in bind) instead",
  HTMLRewriter: "use a parser from npm, such as htmlparser2",
  SharedWorker: "put the work into a function of its own and bind it",
  WebSocket: "emu answers and sends HTTP only; poll with fetch, or read a stream of server-sent events",
  WebSocketPair: "emu answers HTTP only; stream server-sent events from a ReadableStream instead",
};

const text = (name, instead) => `${name} is not there in emu: ${instead}`;

/** Classes that throw when they are used. */
export function throwing() {
  const classes = {};
  for (const [name, instead] of Object.entries(THROWING)) {
    const Class = {
      [name]: class {
        constructor() {
          throw new TypeError(text(name, instead));
        }
      },
    }[name];
    classes[name] = Class;
  }
  return classes;
}

/** What to add to the message of a ReferenceError; nothing when the name is not known. */
export function remedy(message) {
  const name = /^'?(\w+)'? is not defined/.exec(message)?.[1];
  return name !== undefined && Object.hasOwn(UNDEFINED, name) ? `; ${text(name, UNDEFINED[name])}` : "";
}
