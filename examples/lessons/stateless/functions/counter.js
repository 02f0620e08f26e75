// Two ways to count visits. Only one of them counts.
let inMemory = 0;

export default {
  async fetch(request, env) {
    inMemory += 1;
    const stored = Number((await env.VISITS.get("count")) ?? 0) + 1;
    await env.VISITS.put("count", String(stored));
    return Response.json({ inMemory, stored });
  },
};
