// What bundles are tried with: most of what a handler asks its host for.
const hex = (bytes: ArrayBuffer) => [...new Uint8Array(bytes)].map((byte) => byte.toString(16).padStart(2, "0")).join("");

export default {
  async fetch(request: Request, env: { GREETING: string }): Promise<Response> {
    const url = new URL(request.url);
    switch (url.pathname) {
      case "/hello/world":
        return new Response(`${env.GREETING}, ${url.searchParams.get("name") ?? "world"}\n`);
      case "/hello/sign": {
        const secret = new TextEncoder().encode("secret");
        const key = await crypto.subtle.importKey("raw", secret, { name: "HMAC", hash: "SHA-256" }, false, ["sign"]);
        return new Response(hex(await crypto.subtle.sign("HMAC", key, await request.arrayBuffer())));
      }
      case "/hello/stream": {
        const { readable, writable } = new TransformStream();
        const writer = writable.getWriter();
        (async () => {
          for (const word of ["one", "two", "three"]) {
            await new Promise((done) => setTimeout(done, 2));
            await writer.write(new TextEncoder().encode(`${word}\n`));
          }
          await writer.close();
        })();
        return new Response(readable, { headers: { "content-type": "text/plain" } });
      }
      case "/hello/echo":
        return new Response(request.body, { headers: { "x-length": request.headers.get("content-length") ?? "none" } });
      case "/hello/money":
        return new Response(new Intl.NumberFormat("de-DE", { style: "currency", currency: "EUR" }).format(1234.5));
      case "/hello/date":
        return new Response(new Date(0).toLocaleDateString("en-GB", { timeZone: "Asia/Tokyo", dateStyle: "full" }));
      case "/hello/cookies": {
        const response = new Response(null, { status: 204 });
        response.headers.append("set-cookie", "a=1");
        response.headers.append("set-cookie", "b=2");
        return response;
      }
      default:
        return Response.json({ path: url.pathname, method: request.method }, { status: 404 });
    }
  },
};
