// A chatbot that keeps nothing: every request carries the conversation so far, so any instance can answer it.
import { reply, type Message } from "../lib/rules.ts";
import { page } from "../lib/page.ts";

interface Env {
  BOT_NAME: string;
}

const MESSAGES_MAX = 200;

export default {
  async fetch(request: Request, env: Env): Promise<Response> {
    const { pathname } = new URL(request.url);
    if (pathname === "/" && request.method === "GET") {
      return new Response(page(env.BOT_NAME), { headers: { "content-type": "text/html; charset=utf-8" } });
    }
    if (pathname === "/chat" && request.method === "POST") {
      return chat(request, env);
    }
    return Response.json({ error: `no ${request.method} ${pathname} here; try POST /chat` }, { status: 404 });
  },
};

async function chat(request: Request, env: Env): Promise<Response> {
  let messages: unknown;
  try {
    messages = (await request.json()).messages;
  } catch {
    return Response.json({ error: "the body must be JSON" }, { status: 400 });
  }
  if (!isConversation(messages)) {
    return Response.json(
      { error: 'expected {"messages": [{"role": "user", "content": "hello"}]}, the last one from the user' },
      { status: 400 },
    );
  }
  const answer: Message = { role: "assistant", content: reply(messages, env.BOT_NAME) };
  console.log(`turn ${Math.ceil(messages.length / 2)}: ${messages.at(-1)!.content} -> ${answer.content}`);
  return Response.json({ reply: answer.content, messages: [...messages, answer] });
}

function isConversation(value: unknown): value is Message[] {
  return (
    Array.isArray(value) &&
    value.length > 0 &&
    value.length <= MESSAGES_MAX &&
    value.every((m) => (m?.role === "user" || m?.role === "assistant") && typeof m.content === "string") &&
    value[value.length - 1].role === "user"
  );
}
