// Keeps count of what is on the shelf.
import { CATALOG, type Order } from "../lib/catalog.ts";

// Lives as long as the instance (`isolation = "instance"` in emu.toml). With the default isolation each invocation would
// start from a full shelf.
const levels = new Map(CATALOG.map(({ id, stock }) => [id, stock]));

export default {
  fetch(): Response {
    return Response.json(Object.fromEntries(levels));
  },

  queue(batch: { messages: { body: Order }[] }): void {
    for (const { body: order } of batch.messages) {
      for (const { product, quantity } of order.items) {
        const left = Math.max(0, levels.get(product)! - quantity);
        levels.set(product, left);
        console.log(`order ${order.id}: took ${quantity} ${product}, ${left} left`);
      }
    }
  },
};
