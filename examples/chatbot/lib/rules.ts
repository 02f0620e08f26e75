// The bot's whole mind: the first rule that matches answers. No model, no key, no network.

export interface Message {
  role: "user" | "assistant";
  content: string;
}

interface Rule {
  pattern: RegExp;
  answer: (match: RegExpMatchArray, conversation: Message[], botName: string) => string;
}

const RULES: Rule[] = [
  {
    pattern: /\bmy name is (\p{L}+)/iu,
    answer: ([, name]) => `Nice to meet you, ${name}.`,
  },
  {
    pattern: /\bwhat(?: is|'s) my name\b/i,
    answer: (_, conversation) => {
      const name = nameOf(conversation);
      return name ? `Your name is ${name}: you said so earlier.` : "You have not told me yet.";
    },
  },
  {
    pattern: /\b(?:who are you|your name)\b/i,
    answer: (_, __, botName) => `I am ${botName}, a function that starts anew for each message.`,
  },
  {
    pattern: /(-?\d+(?:\.\d+)?)\s*([-+*/])\s*(-?\d+(?:\.\d+)?)/,
    answer: ([, left, operator, right]) => calculate(Number(left), operator!, Number(right)),
  },
  {
    pattern: /\b(?:do you )?remember\b/i,
    answer: (_, conversation) => {
      const said = conversation.filter((m) => m.role === "user").length - 1;
      return said === 0 ? "This is your first message." : `You sent me ${said} message${said === 1 ? "" : "s"} before this one.`;
    },
  },
  { pattern: /\b(?:hello|hi|hey)\b/i, answer: () => "Hello! Tell me your name, or ask me for a sum like 6 * 7." },
  { pattern: /\b(?:bye|goodbye)\b/i, answer: () => "Goodbye! I forget everything now; your browser does not." },
  { pattern: /\bthank/i, answer: () => "You are welcome." },
  { pattern: /\?\s*$/, answer: () => "I do not know. I have nine rules and none of them covers that." },
];

export function reply(conversation: Message[], botName: string): string {
  const text = conversation[conversation.length - 1]!.content;
  for (const { pattern, answer } of RULES) {
    const match = text.match(pattern);
    if (match) return answer(match, conversation, botName);
  }
  return `You said: ${text}`;
}

function nameOf(conversation: Message[]): string | undefined {
  for (const { role, content } of [...conversation].reverse()) {
    const match = role === "user" && content.match(/\bmy name is (\p{L}+)/iu);
    if (match) return match[1];
  }
  return undefined;
}

function calculate(left: number, operator: string, right: number): string {
  switch (operator) {
    case "+":
      return `${left + right}`;
    case "-":
      return `${left - right}`;
    case "*":
      return `${left * right}`;
    default:
      return right === 0 ? "Nobody divides by zero." : `${left / right}`;
  }
}
