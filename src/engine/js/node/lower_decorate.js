// TypeScript's older decorators, as its compiler applies them: the last one first.

export default function decorate(decorators, target, key, description) {
  const count = arguments.length;
  let result = count < 3 ? target : description === null ? Object.getOwnPropertyDescriptor(target, key) : description;
  for (let at = decorators.length - 1; at >= 0; at--) {
    const decorator = decorators[at];
    if (!decorator) continue;
    const changed = count < 3 ? decorator(result) : count > 3 ? decorator(target, key, result) : decorator(target, key);
    result = changed || result;
  }
  if (count > 3 && result) Object.defineProperty(target, key, result);
  return result;
}
