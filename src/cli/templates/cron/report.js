// One report, by the clock and on request.
export default {
  async scheduled(event) {
    // The scheduled instant, not now: a late run still reports the right day.
    console.log(report(new Date(event.scheduledTime)));
  },

  async fetch() {
    return new Response(report(new Date()) + "\n");
  },
};

function report(at) {
  return `report for ${at.toISOString().slice(0, 10)}: nothing to report`;
}
