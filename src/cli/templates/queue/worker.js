export default {
  async queue(batch) {
    for (const message of batch.messages) {
      const { id, order } = message.body;
      if (order?.fail) {
        console.warn(`order ${id}: failed`);
        message.retry();
      } else {
        console.log(`order ${id}: done`);
        message.ack();
      }
    }
  },
};
