import { parse } from "csv-parse";
import { parse as parseAll } from "csv-parse/sync";
import { Readable } from "node:stream";
import { checked, same } from "./_check";

export default checked(async () => {
  same(parseAll("a,b\n1,\"x,y\"\n", { columns: true }), [{ a: "1", b: "x,y" }]);
  const rows = [];
  for await (const row of Readable.from(["a,b\n", "c,d\n"]).pipe(parse())) rows.push(row);
  same(rows, [["a", "b"], ["c", "d"]]);
});
