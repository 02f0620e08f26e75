// node:stream/consumers

import { Buffer } from "node:buffer";

async function all(stream) {
  const chunks = [];
  for await (const chunk of stream) chunks.push(typeof chunk === "string" ? Buffer.from(chunk) : chunk);
  return Buffer.concat(chunks);
}

export const buffer = all;
export const text = async (stream) => (await all(stream)).toString();
export const json = async (stream) => JSON.parse(await text(stream));
export const arrayBuffer = async (stream) => Uint8Array.from(await all(stream)).buffer;
export const blob = async (stream) => new Blob([await all(stream)]);
export default { arrayBuffer, blob, buffer, json, text };
