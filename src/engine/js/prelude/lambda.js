// The convention of AWS Lambda: `export const handler = async (event, context) => result`.

import { badAnswer } from "./errors.js";
import { environment, remainingMs } from "./environment.js";

export function lambdaHandler(module) {
  for (const target of [module, module.default]) {
    if (typeof target?.handler === "function") return { convention: "lambda", handlers: ["handler"], target: target.handler };
  }
  return null;
}

function makeContext(done) {
  const { name, memoryMb, region = "local", account = "000000000000" } = environment.settings;
  return {
    functionName: name,
    functionVersion: "$LATEST",
    invokedFunctionArn: `arn:aws:lambda:${region}:${account}:function:${name}`,
    memoryLimitInMB: String(memoryMb),
    awsRequestId: environment.id,
    logGroupName: `/aws/lambda/${name}`,
    logStreamName: environment.id,
    callbackWaitsForEmptyEventLoop: true,
    getRemainingTimeInMillis: remainingMs,
    done,
    succeed: (result) => done(null, result),
    fail: (error) => done(error ?? new Error("failed")),
  };
}

/** Calls the handler in any of its forms: async, callback, or the old `context.succeed`. */
function call(handler, event) {
  return new Promise((resolve, reject) => {
    const done = (error, result) => (error === null || error === undefined ? resolve(result) : reject(error));
    const result = handler(event, makeContext(done), done);
    if (typeof result?.then === "function") resolve(result);
    else if (result !== undefined || handler.length < 2) resolve(result);
    // A handler that takes `context` alone and returns nothing may have ended, or wait to call `context.done`: it has ended,
    // unless it takes the callback too.
    else if (handler.length < 3) Promise.resolve().then(() => resolve(undefined));
  });
}

export async function handlePlain(handler, json) {
  const result = await call(handler, JSON.parse(json));
  return { tag: "json", val: JSON.stringify(result) ?? "" };
}

function headerLines(result) {
  const lines = new Map();
  for (const [name, value] of Object.entries(result.headers ?? {})) {
    if (value !== undefined && value !== null) lines.set(name.toLowerCase(), [String(value)]);
  }
  for (const [name, values] of Object.entries(result.multiValueHeaders ?? {})) {
    lines.set(name.toLowerCase(), values.map(String));
  }
  if (Array.isArray(result.cookies)) lines.set("set-cookie", result.cookies.map(String));
  if (!lines.has("content-type")) lines.set("content-type", ["application/json"]);
  let text = "";
  for (const [name, values] of lines) {
    for (const value of values) {
      if (!/^[!#$%&'*+\-.^_`|~0-9a-z]+$/.test(name) || /[\0\r\n]/.test(value)) {
        throw badAnswer(`the handler returned an invalid header: "${name}"`);
      }
      text += `\n${name}: ${value}`;
    }
  }
  return text;
}

function bodyOf({ body, isBase64Encoded }) {
  if (body === undefined || body === null) return { tag: "none" };
  if (typeof body === "number" || typeof body === "boolean") return { tag: "text", val: String(body) };
  if (typeof body !== "string") {
    throw badAnswer("the `body` of a handler's result must be a string; use JSON.stringify(body)");
  }
  return { tag: isBase64Encoded === true ? "base64" : "text", val: body.toWellFormed() };
}

/** A result with `statusCode` is a response; anything else is the body of one, as JSON. */
export async function handleGateway(handler, json) {
  const event = JSON.parse(json);
  const result = await call(handler, event);
  if (event.version === "1.0" && result?.statusCode === undefined) {
    throw badAnswer("with payload_format = \"1.0\" the handler must return an object with a statusCode");
  }
  if (typeof result === "object" && result !== null && result.statusCode !== undefined) {
    const status = Number(result.statusCode);
    if (!Number.isInteger(status) || status < 200 || status > 599) {
      throw badAnswer(`the handler returned the statusCode ${JSON.stringify(result.statusCode)}; it must be 200 to 599`);
    }
    return { tag: "http", val: [`${status} ${headerLines(result)}`, bodyOf(result)] };
  }
  const text = typeof result === "string" ? result : JSON.stringify(result) ?? "null";
  return { tag: "http", val: ["200 \ncontent-type: application/json", { tag: "text", val: text.toWellFormed() }] };
}
