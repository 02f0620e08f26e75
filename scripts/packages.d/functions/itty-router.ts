import { AutoRouter, error } from "itty-router";
import { same } from "./_check";

const router = AutoRouter({ base: "/itty-router" });
router.get("/", async () => {
  const got = await router.fetch(new Request("http://x/itty-router/things/5?q=1"));
  same(await got.json(), { id: "5", q: "1" });
  same((await router.fetch(new Request("http://x/itty-router/none"))).status, 404);
  return new Response("ok");
});
router.get("/things/:id", ({ params, query }) => ({ id: params.id, q: query.q }));
router.all("*", () => error(404));

export default router;
