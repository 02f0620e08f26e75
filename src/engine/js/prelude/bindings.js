// Values of `env` that do something: queues, topics, key-value stores and other functions.

import { callBinding } from "./calls.js";
import { fetchThrough } from "./fetch.js";
import { hostError } from "./errors.js";
import { KeyValue } from "./keyvalue.js";

async function call(name, op, payload) {
  try {
    const answer = await callBinding(name, op, JSON.stringify(payload));
    return answer === "" ? undefined : JSON.parse(answer);
  } catch (error) {
    throw hostError(error);
  }
}

function message(body, options) {
  if (body === undefined) throw new TypeError("a message needs a body: send(body, options)");
  return { body, ...options };
}

/** `send` takes a body that JSON can hold, and `{delaySeconds, groupId, deduplicationId, attributes}`. */
class Sender {
  #name;

  constructor(name) {
    this.#name = name;
  }

  async send(body, options = {}) {
    const [id] = await call(this.#name, "send", [message(body, options)]);
    return { id };
  }

  async sendBatch(messages, options = {}) {
    const list = [];
    for (const { body, ...own } of messages) list.push(message(body, { ...options, ...own }));
    const ids = await call(this.#name, "send", list);
    return ids.map((id) => ({ id }));
  }
}

class Queue extends Sender {}

class Topic extends Sender {
  publish(body, options) {
    return this.send(body, options);
  }
}

class Fetcher {
  #name;

  constructor(name) {
    this.#name = name;
  }

  fetch(input, init) {
    return fetchThrough(this.#name, input, init);
  }
}

export function makeBinding(name, kind) {
  switch (kind) {
    case "queue":
      return new Queue(name);
    case "topic":
      return new Topic(name);
    case "kv":
      return new KeyValue((op, payload) => call(name, op, payload));
    case "function":
      return new Fetcher(name);
    default:
      throw new TypeError(`binding ${name} is a ${kind}, which JavaScript functions cannot use yet`);
  }
}
