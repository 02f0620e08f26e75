// The older module kind, and messages: what fails by name is retried, the rest is done.

exports.handler = async (event) => {
  const batchItemFailures = [];
  for (const record of event.Records) {
    const order = JSON.parse(record.body);
    if (order.count > 0) console.log(`receipt for ${order.count} of ${order.sku}`);
    else batchItemFailures.push({ itemIdentifier: record.messageId });
  }
  return { batchItemFailures };
};
