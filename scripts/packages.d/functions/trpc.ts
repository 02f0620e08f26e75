// package: @trpc/server
import { initTRPC } from "@trpc/server";
import { fetchRequestHandler } from "@trpc/server/adapters/fetch";
import { z } from "zod";
import { checked, same } from "./_check";

const t = initTRPC.create();
const router = t.router({ double: t.procedure.input(z.number()).query(({ input }) => input * 2) });

export default checked(async () => {
  const req = new Request("http://x/trpc/double?input=4");
  const answer = await fetchRequestHandler({ endpoint: "/trpc", req, router });
  same(await answer.json(), { result: { data: 8 } });
});
