// package: react-dom
import { Suspense, useMemo } from "react";
import { renderToReadableStream, renderToString } from "react-dom/server";
import { same } from "./_check";

function List({ items }: { items: string[] }) {
  const sorted = useMemo(() => items.toSorted(), [items]);
  return <ul>{sorted.map((item) => <li key={item}>{item}</li>)}</ul>;
}

export default {
  async fetch(): Promise<Response> {
    same(renderToString(<List items={["b", "a"]} />), "<ul><li>a</li><li>b</li></ul>");
    const stream = await renderToReadableStream(<Suspense><List items={["<"]} /></Suspense>);
    same((await new Response(stream).text()).includes("<li>&lt;</li>"), true);
    return new Response("ok");
  },
};
