import { products } from "../lib/products.js";

export default { fetch: () => Response.json({ products: products.length }) };
