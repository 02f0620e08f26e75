// Types are taken off, not checked: run `tsc --noEmit` for that.
import { greet } from "./_greet.ts";

interface Env {
  GREETING: string;
}

export default {
  async fetch(request: Request, env: Env): Promise<Response> {
    const { pathname } = new URL(request.url);
    const [, first, second] = pathname.split("/");
    if (request.method === "GET" && first === "hello") {
      return Response.json({ message: greet(env.GREETING, decodeURIComponent(second || "world")) });
    }
    if (request.method === "POST" && first === "echo") {
      return new Response(await request.text(), { headers: { "content-type": "text/plain; charset=utf-8" } });
    }
    return Response.json({ error: `no ${request.method} ${pathname}; try GET /hello/emu` }, { status: 404 });
  },
};
