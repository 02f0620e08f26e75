// package: preact-render-to-string
/** @jsxImportSource preact */
import { render } from "preact-render-to-string";
import { same } from "./_check";

export default {
  fetch() {
    same(render(<p class="x">hi</p>), '<p class="x">hi</p>');
    return new Response("ok");
  },
};
