import { products } from "../lib/products.js";

export default {
  async fetch(request) {
    const names = await request.json();
    const chosen = products.filter((product) => names.includes(product.name));
    return Response.json({ total: chosen.reduce((sum, product) => sum + product.price, 0) });
  },
};
