import { buildSchema, graphql } from "graphql";
import { checked, same } from "./_check";

const schema = buildSchema("type Query { hello(name: String!): String }");
export default checked(async () => same(await graphql({ schema, source: '{ hello(name: "you") }', rootValue: { hello: ({ name }: { name: string }) => `hi ${name}` } }), { data: { hello: "hi you" } }));
