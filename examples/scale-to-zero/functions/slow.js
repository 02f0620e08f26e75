// Stands for a handler that waits for a database.
export default {
  async fetch() {
    await new Promise((done) => setTimeout(done, 300));
    return new Response("done\n");
  },
};
