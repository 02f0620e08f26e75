export default {
  queue(batch) {
    for (const message of batch.messages) {
      if (JSON.stringify(message.body).length % 2) message.retry();
    }
  },
};
