// `emitDecoratorMetadata`: types for libraries that brought `Reflect.metadata`.

export default function decorateMetadata(key, value) {
  if (typeof Reflect.metadata === "function") return Reflect.metadata(key, value);
}
