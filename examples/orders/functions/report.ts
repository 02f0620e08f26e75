// Runs by cron: which shelves are low?
import { CATALOG } from "../lib/catalog.ts";

interface Env {
  STOCK: { fetch(url: string): Promise<Response> };
}

const LOW = 0.25;

export default {
  async scheduled(_event: unknown, env: Env): Promise<void> {
    const response = await env.STOCK.fetch("http://stock/stock");
    if (!response.ok) throw new Error(`stock answered ${response.status}`);
    const levels: Record<string, number> = await response.json();
    for (const { id, name, stock } of CATALOG) {
      const left = levels[id]!;
      const note = left <= stock * LOW ? ": order more" : "";
      console.log(`${name.padEnd(8)}${String(left).padStart(4)} of ${stock}${note}`);
    }
  },
};
