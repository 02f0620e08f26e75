import { produce } from "immer";
import { checked, same } from "./_check";

export default checked(() => {
  const before = { list: [1], kept: {} };
  const after = produce(before, (draft) => void draft.list.push(2));
  same([before.list, after.list, before.kept === after.kept], [[1], [1, 2], true]);
});
