// node:diagnostics_channel

const channels = new Map();

export class Channel {
  #listeners = [];

  constructor(name) {
    this.name = name;
  }

  get hasSubscribers() {
    return this.#listeners.length > 0;
  }

  subscribe(listener) {
    this.#listeners = [...this.#listeners, listener];
  }

  unsubscribe(listener) {
    const before = this.#listeners.length;
    this.#listeners = this.#listeners.filter((one) => one !== listener);
    return this.#listeners.length < before;
  }

  publish(message) {
    for (const listener of this.#listeners) {
      try {
        listener(message, this.name);
      } catch (error) {
        reportError(error);
      }
    }
  }

  bindStore() {}
  unbindStore() {}
  runStores(message, callback, self, ...args) {
    this.publish(message);
    return Reflect.apply(callback, self, args);
  }
}

export function channel(name) {
  if (!channels.has(name)) channels.set(name, new Channel(name));
  return channels.get(name);
}

export const hasSubscribers = (name) => channels.get(name)?.hasSubscribers ?? false;
export const subscribe = (name, listener) => channel(name).subscribe(listener);
export const unsubscribe = (name, listener) => channel(name).unsubscribe(listener);

export function tracingChannel(names) {
  const part = (name) => (typeof names === "string" ? channel(`tracing:${names}:${name}`) : names[name]);
  const [start, end, asyncStart, asyncEnd, error] = ["start", "end", "asyncStart", "asyncEnd", "error"].map(part);
  const all = { start, end, asyncStart, asyncEnd, error };
  const traceSync = (callback, context = {}, self, ...args) => {
    start.publish(context);
    try {
      return (context.result = Reflect.apply(callback, self, args));
    } catch (thrown) {
      context.error = thrown;
      error.publish(context);
      throw thrown;
    } finally {
      end.publish(context);
    }
  };
  return {
    ...all,
    get hasSubscribers() {
      return Object.values(all).some((one) => one.hasSubscribers);
    },
    subscribe: (handlers) => Object.keys(handlers).forEach((name) => all[name]?.subscribe(handlers[name])),
    unsubscribe: (handlers) => Object.keys(handlers).every((name) => all[name]?.unsubscribe(handlers[name])),
    traceSync,
    async tracePromise(callback, context = {}, self, ...args) {
      try {
        return (context.result = await traceSync(callback, context, self, ...args));
      } catch (thrown) {
        context.error = thrown;
        error.publish(context);
        throw thrown;
      } finally {
        asyncStart.publish(context);
        asyncEnd.publish(context);
      }
    },
    traceCallback: (callback, _, context, self, ...args) => traceSync(callback, context, self, ...args),
  };
}

export default { Channel, channel, hasSubscribers, subscribe, tracingChannel, unsubscribe };
