import { z } from "zod";
import { checked, same } from "./_check";

const Order = z.object({ id: z.uuid(), items: z.array(z.object({ sku: z.string().min(1), count: z.coerce.number().int().positive() })).nonempty() });

export default checked(() => {
  const id = "5b6f2a3e-8f0a-4c57-9f4b-0d1f5a7c9e11";
  same(Order.parse({ id, items: [{ sku: "a", count: "2" }] }).items[0].count, 2);
  const wrong = Order.safeParse({ id: "x", items: [] });
  same([wrong.success, wrong.error?.issues.map((issue) => issue.path.join("."))], [false, ["id", "items"]]);
});
