export const products = [
  { name: "mug", price: 9 },
  { name: "lamp", price: 40 },
];
