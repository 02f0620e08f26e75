import * as cheerio from "cheerio";
import { checked, same } from "./_check";

export default checked(() => {
  const page = cheerio.load("<ul><li class=a>1<li>2</ul>");
  same([page("li").length, page("li.a").text()], [2, "1"]);
});
