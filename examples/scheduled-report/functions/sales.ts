// Sales of a day by product. The figures follow from the date, so that the same day always reports the same.

const PRODUCTS = [
  { name: "coffee", price_cents: 1850 },
  { name: "filters", price_cents: 690 },
  { name: "grinder", price_cents: 21900 },
];

export default {
  fetch(request: Request): Response {
    const day = new URL(request.url).pathname.split("/").at(-1)!;
    if (!/^\d{4}-\d{2}-\d{2}$/.test(day) || Number.isNaN(Date.parse(day))) {
      return Response.json({ error: `"${day}" is no day; write it like 2026-01-31` }, { status: 400 });
    }
    const dayNumber = Date.parse(day) / 86_400_000;
    const sales = PRODUCTS.map(({ name, price_cents }, index) => {
      const units = 5 + ((dayNumber * (index + 3) + index * 11) % 17);
      return { product: name, units, revenue_cents: units * price_cents };
    });
    return Response.json({ day, sales });
  },
};
