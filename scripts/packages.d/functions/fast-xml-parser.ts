import { XMLBuilder, XMLParser } from "fast-xml-parser";
import { checked, same } from "./_check";

export default checked(() => same([new XMLParser().parse("<a><b>1</b></a>"), new XMLBuilder().build({ a: { b: 2 } })], [{ a: { b: 1 } }, "<a><b>2</b></a>"]));
