import axios from "axios";
import { checked, same } from "./_check";

export default checked(async () => {
  const client = axios.create({ adapter: "fetch" });
  same((await client.get("data:application/json,%7B%22a%22:1%7D")).data, { a: 1 });
  same(axios.isAxiosError(new Error()), false);
});
