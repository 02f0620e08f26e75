// A report by cron, and the same report on request.

interface Env {
  SALES: { fetch(url: string): Promise<Response> };
  CURRENCY: string;
}

interface Sale {
  product: string;
  units: number;
  revenue_cents: number;
}

const DAY_MS = 86_400_000;

export default {
  async fetch(request: Request, env: Env): Promise<Response> {
    const given = new URL(request.url).pathname.split("/")[2];
    const day = given ?? yesterday(Date.now());
    const { report, error } = await write(day, env);
    return error ? Response.json({ error }, { status: 400 }) : new Response(report);
  },

  // The day before the scheduled instant, not before now: a run that comes late still reports the right day.
  async scheduled(event: { scheduledTime: number; cron: string }, env: Env): Promise<void> {
    const { report, error } = await write(yesterday(event.scheduledTime), env);
    if (error) throw new Error(error);
    for (const line of report!.trimEnd().split("\n")) console.log(line);
  },
};

function yesterday(now: number): string {
  return new Date(now - DAY_MS).toISOString().slice(0, 10);
}

async function write(day: string, env: Env): Promise<{ report?: string; error?: string }> {
  const response = await env.SALES.fetch(`http://sales/sales/${encodeURIComponent(day)}`);
  const answer = await response.json();
  if (!response.ok) return { error: answer.error ?? `the sales service answered ${response.status}` };

  const sales: Sale[] = answer.sales;
  const total_cents = sales.reduce((sum, sale) => sum + sale.revenue_cents, 0);
  const lines = sales.map(
    ({ product, units, revenue_cents }) => `  ${product.padEnd(10)}${String(units).padStart(5)}${money(revenue_cents).padStart(12)}`,
  );
  return {
    report: [`Sales of ${day} in ${env.CURRENCY}`, ...lines, `  ${"total".padEnd(15)}${money(total_cents).padStart(12)}`, ""].join("\n"),
  };
}

function money(cents: number): string {
  return (cents / 100).toFixed(2);
}
