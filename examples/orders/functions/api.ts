// The shop's front door. It answers at once; charging and stock keeping happen later, elsewhere.
import { CATALOG, product, type Order } from "../lib/catalog.ts";

interface Sender {
  send(body: unknown): Promise<void>;
}

interface Env {
  BILLING: Sender;
  PLACED: Sender;
}

class BadOrder extends Error {}

export default {
  async fetch(request: Request, env: Env): Promise<Response> {
    const [, collection, id] = new URL(request.url).pathname.split("/");
    if (collection === "products") {
      if (!id) return Response.json(CATALOG);
      const found = product(id);
      return found ? Response.json(found) : Response.json({ error: `no product "${id}"` }, { status: 404 });
    }

    let order: Order;
    try {
      order = read(await request.text());
    } catch (error) {
      if (!(error instanceof BadOrder)) throw error;
      return Response.json({ error: error.message }, { status: 400 });
    }
    await Promise.all([env.BILLING.send(order), env.PLACED.send(order)]);
    console.log(`order ${order.id}: ${(order.total_cents / 100).toFixed(2)}`);
    return Response.json({ order: order.id, status: "accepted", total_cents: order.total_cents }, { status: 202 });
  },
};

function read(text: string): Order {
  let body;
  try {
    body = JSON.parse(text);
  } catch {
    throw new BadOrder("the body must be JSON");
  }
  if (!/^\d{4}$/.test(body?.card ?? "")) throw new BadOrder('"card" must hold the last four digits');
  if (!Array.isArray(body.items) || body.items.length === 0) throw new BadOrder('"items" must name at least one product');

  let total_cents = 0;
  for (const item of body.items) {
    const found = product(item?.product);
    if (!found) throw new BadOrder(`no product "${item?.product}"; GET /products lists them`);
    if (!Number.isInteger(item.quantity) || item.quantity < 1) throw new BadOrder("each quantity must be a whole number above 0");
    total_cents += item.quantity * found.price_cents;
  }
  return { id: crypto.randomUUID(), card: body.card, items: body.items, total_cents };
}
