// `using` and `await using`: what was taken is given back in reverse order, whatever happens.

for (const name of ["dispose", "asyncDispose"]) {
  Symbol[name] ?? Object.defineProperty(Symbol, name, { value: Symbol.for(`Symbol.${name}`) });
}

function suppressed(error, before) {
  const both = new Error("an error was suppressed while resources were disposed of");
  return Object.assign(both, { name: "SuppressedError", error, suppressed: before });
}

export default function usingCtx() {
  const none = {};
  const stack = [];
  let failure = none;
  function take(isAwait, value) {
    if (value === null || value === undefined) {
      if (isAwait) stack.push({ isAwait });
      return value;
    }
    if (Object(value) !== value) throw new TypeError("using takes objects, null and undefined only");
    const dispose = (isAwait ? value[Symbol.asyncDispose] : undefined) ?? value[Symbol.dispose];
    if (typeof dispose !== "function") throw new TypeError("what is used must have a method [Symbol.dispose]");
    stack.push({ value, dispose, isAwait });
    return value;
  }
  return {
    set e(error) {
      failure = error;
    },
    u: (value) => take(false, value),
    a: (value) => take(true, value),
    d() {
      const note = (error) => {
        failure = failure === none ? error : suppressed(error, failure);
      };
      function next() {
        for (let resource = stack.pop(); resource !== undefined; resource = stack.pop()) {
          try {
            const result = resource.dispose?.call(resource.value);
            if (resource.isAwait) return Promise.resolve(result).then(next, (error) => (note(error), next()));
          } catch (error) {
            note(error);
          }
        }
        if (failure !== none) throw failure;
      }
      return next();
    },
  };
}
