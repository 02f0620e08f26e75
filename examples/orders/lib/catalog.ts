export interface Product {
  id: string;
  name: string;
  price_cents: number;
  /** What the shelf holds when the shop opens. */
  stock: number;
}

export interface Order {
  id: string;
  /** The last four digits are all that travels. */
  card: string;
  items: { product: string; quantity: number }[];
  total_cents: number;
}

export const CATALOG: Product[] = [
  { id: "mug", name: "Mug", price_cents: 1200, stock: 40 },
  { id: "teapot", name: "Teapot", price_cents: 4900, stock: 12 },
  { id: "kettle", name: "Kettle", price_cents: 8900, stock: 6 },
];

export function product(id: string): Product | undefined {
  return CATALOG.find((p) => p.id === id);
}
