// A Lambda handler with middy, as it would be deployed behind an API gateway.

import middy from "@middy/core";
import httpErrorHandler from "@middy/http-error-handler";
import httpHeaderNormalizer from "@middy/http-header-normalizer";
import httpJsonBodyParser from "@middy/http-json-body-parser";
import createError from "http-errors";

type Order = { sku?: string; count?: number };

async function placeOrder(event: { body: Order; headers: Record<string, string> }, context: { awsRequestId: string; functionName: string }) {
  const { sku, count = 1 } = event.body;
  if (!sku) throw createError(422, "an order needs a sku");
  return {
    statusCode: 201,
    headers: { "content-type": "application/json", "x-function": context.functionName },
    body: JSON.stringify({ id: context.awsRequestId, sku, count, agent: event.headers["user-agent"] ?? null }),
  };
}

export const handler = middy()
  .use(httpHeaderNormalizer())
  .use(httpJsonBodyParser())
  .use(httpErrorHandler({ fallbackMessage: "internal error" }))
  .handler(placeOrder);
