// In the convention of Lambda.
export const handler = async (event) => ({
  statusCode: 200,
  headers: { "content-type": "application/json" },
  cookies: ["seen=yes"],
  body: JSON.stringify({
    path: event.rawPath,
    query: event.queryStringParameters ?? null,
    method: event.requestContext.http.method,
    body: event.body ?? null,
    cookies: event.cookies ?? null,
  }),
});
