// A chatbot that keeps nothing: each request carries the conversation, so any instance can answer it.
import { page } from "./_page.ts";
import { answer, type Message } from "./_rules.ts";

interface Env {
  BOT_NAME: string;
}

export default {
  async fetch(request: Request, env: Env): Promise<Response> {
    if (request.method === "GET") {
      return new Response(page(env.BOT_NAME), { headers: { "content-type": "text/html; charset=utf-8" } });
    }
    let messages: Message[];
    try {
      ({ messages } = await request.json());
    } catch {
      return Response.json({ error: "the body must be JSON" }, { status: 400 });
    }
    const last = Array.isArray(messages) ? messages.at(-1) : undefined;
    if (typeof last?.content !== "string") {
      return Response.json({ error: 'expected {"messages": [{"role": "user", "content": "hello"}]}' }, { status: 400 });
    }
    const content = answer(last.content, env.BOT_NAME);
    return Response.json({ messages: [...messages, { role: "assistant", content }] });
  },
};
