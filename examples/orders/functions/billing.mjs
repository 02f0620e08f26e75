// Charges orders, in the Lambda convention: what it returns names the messages that are to be tried again.

const FAILURE_RATE = Number(process.env.FAILURE_RATE ?? "0");
const DECLINED_CARD = process.env.DECLINED_CARD;

export const handler = async (event) => {
  const batchItemFailures = [];
  for (const { messageId, body, attributes } of event.Records) {
    const order = JSON.parse(body);
    try {
      charge(order);
      console.log(`order ${order.id}: charged ${(order.total_cents / 100).toFixed(2)} to card ${order.card}`);
    } catch (error) {
      console.warn(`order ${order.id}: receive ${attributes.ApproximateReceiveCount}: ${error.message}`);
      batchItemFailures.push({ itemIdentifier: messageId });
    }
  }
  return { batchItemFailures };
};

function charge(order) {
  if (order.card === DECLINED_CARD) throw new Error("card declined"); // fails every time: ends in the dead-letter queue
  if (Math.random() < FAILURE_RATE) throw new Error("the payment gateway timed out"); // a retry helps
}
