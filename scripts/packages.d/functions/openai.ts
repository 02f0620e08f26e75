import OpenAI from "openai";
import { checked, same } from "./_check";

export default checked(async () => {
  const asked: string[] = [];
  const fetch = async (url: URL | RequestInfo) => {
    asked.push(String(url));
    return Response.json({ choices: [{ message: { role: "assistant", content: "hi" } }] });
  };
  const client = new OpenAI({ apiKey: "none", fetch });
  const answer = await client.chat.completions.create({ model: "none", messages: [{ role: "user", content: "hello" }] });
  same([answer.choices[0].message.content, asked], ["hi", ["https://api.openai.com/v1/chat/completions"]]);
});
