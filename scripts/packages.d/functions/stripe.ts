import Stripe from "stripe";
import { checked, same } from "./_check";

export default checked(async () => {
  const stripe = new Stripe("sk_test_none");
  const payload = JSON.stringify({ id: "evt_1", object: "event" });
  const header = await stripe.webhooks.generateTestHeaderStringAsync({ payload, secret: "whsec" });
  same((await stripe.webhooks.constructEventAsync(payload, header, "whsec")).id, "evt_1");
});
