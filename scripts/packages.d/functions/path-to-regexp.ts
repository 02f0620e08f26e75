import { compile, match } from "path-to-regexp";
import { checked, same } from "./_check";

export default checked(() => {
  const found = match("/a/:id")("/a/7");
  same([found && found.params.id, compile("/b/:c")({ c: "x y" })], ["7", "/b/x%20y"]);
});
