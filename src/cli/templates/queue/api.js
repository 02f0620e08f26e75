export default {
  async fetch(request, env) {
    let order;
    try {
      order = await request.json();
    } catch {
      return Response.json({ error: "the body must be JSON" }, { status: 400 });
    }
    const id = crypto.randomUUID();
    await env.ORDERS.send({ id, order });
    return Response.json({ id }, { status: 202 });
  },
};
