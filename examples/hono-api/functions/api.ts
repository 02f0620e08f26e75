// A Hono app as it would be deployed to a Workers platform: middleware, JSON, cookies, JWT, validation, streaming.

import { zValidator } from "@hono/zod-validator";
import { Hono } from "hono";
import { contextStorage, getContext } from "hono/context-storage";
import { getCookie, setCookie } from "hono/cookie";
import { HTTPException } from "hono/http-exception";
import { jwt, sign } from "hono/jwt";
import { logger } from "hono/logger";
import { requestId } from "hono/request-id";
import { streamText } from "hono/streaming";
import { z } from "zod";

// `emu types` writes ApiEnv from emu.toml, for the editor.
type Env = { Bindings: ApiEnv; Variables: { requestId: string } };

const Note = z.object({ title: z.string().min(1), body: z.string().default("") });

const app = new Hono<Env>().basePath("/api");

app.use(requestId(), contextStorage());
app.use(logger((line) => console.log(line)));
app.onError((error, c) => {
  const status = error instanceof HTTPException ? error.status : 500;
  return c.json({ error: error.message }, status);
});
app.notFound((c) => c.json({ error: `nothing at ${c.req.path}` }, 404));

app.get("/", (c) => c.json({ hello: c.req.query("name") ?? "world" }));

app.post("/login", zValidator("json", z.object({ user: z.string().min(1) })), async (c) => {
  const { user } = c.req.valid("json");
  const token = await sign({ sub: user, exp: Math.floor(Date.now() / 1000) + 3600 }, c.env.JWT_SECRET, "HS256");
  setCookie(c, "user", user, { httpOnly: true, sameSite: "Lax" });
  return c.json({ token });
});

app.get("/me", (c) => c.text(getCookie(c, "user") ?? "nobody"));

app.use("/notes/*", (c, next) => jwt({ secret: c.env.JWT_SECRET, alg: "HS256" })(c, next));

app.post("/notes/:id", zValidator("json", Note), async (c) => {
  await c.env.NOTES.put(c.req.param("id"), JSON.stringify({ ...c.req.valid("json"), by: c.get("jwtPayload").sub }));
  return c.body(null, 204);
});

app.get("/notes/:id", async (c) => {
  const note = await load(c.req.param("id"));
  return note === null ? c.notFound() : c.json(note);
});

/** Without the context as an argument: it comes from `AsyncLocalStorage`. */
async function load(id: string): Promise<unknown> {
  return getContext<Env>().env.NOTES.get(id, "json");
}

app.get("/count", (c) =>
  streamText(c, async (stream) => {
    for (let n = 1; n <= 3; n++) {
      await stream.writeln(String(n));
      await stream.sleep(5);
    }
  }),
);

export default app;
