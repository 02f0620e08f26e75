// The `_` in front keeps this file from being a function.
export function greet(greeting: string, name: string): string {
  return `${greeting}, ${name}!`;
}
