export interface Message {
  role: "user" | "assistant";
  content: string;
}

// The first rule that fits answers; put your own above the last one, or call a model instead (and name its host in
// `allow_hosts` in emu.toml).
const RULES: [RegExp, (name: string, match: RegExpMatchArray) => string][] = [
  [/\b(hi|hello|hey)\b/i, (name) => `Hello! I am ${name}. What can I do for you?`],
  [/my name is (\w+)/i, (_, match) => `Nice to meet you, ${match[1]}.`],
  [/\b(help|what can you)\b/i, () => "Say hello, tell me your name, or ask for the time."],
  [/\btime\b/i, () => `It is ${new Date().toISOString().slice(11, 16)} UTC.`],
  [/\b(bye|goodbye)\b/i, () => "Goodbye!"],
  [/(?:)/, () => "I have no rule for that yet. You can write one in functions/_rules.ts."],
];

export function answer(text: string, name: string): string {
  for (const [pattern, reply] of RULES) {
    const match = text.match(pattern);
    if (match) return reply(name, match);
  }
  return "";
}
