// What the functions of this folder have in common: each uses one package and says whether it did what its README says.

/** A handler that runs a check and answers with `ok`, or with what failed. */
export function checked(check: () => unknown) {
  return {
    async fetch(): Promise<Response> {
      await check();
      return new Response("ok");
    },
  };
}

/** Fails unless both have the same JSON. */
export function same(actual: unknown, expected: unknown): void {
  const [is, should] = [JSON.stringify(actual), JSON.stringify(expected)];
  if (is !== should) throw new Error(`got ${is}, not ${should}`);
}
