import { marked } from "marked";
import { checked, same } from "./_check";

export default checked(async () => same(await marked.parse("# hi *you*"), "<h1>hi <em>you</em></h1>\n"));
