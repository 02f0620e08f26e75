import Handlebars from "handlebars";
import { checked, same } from "./_check";

export default checked(() => same(Handlebars.compile("{{#each list}}{{this}};{{/each}}")({ list: ["a", "<"] }), "a;&lt;;"));
