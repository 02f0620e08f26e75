import bcrypt from "bcryptjs";
import { checked, same } from "./_check";

export default checked(async () => {
  const hash = await bcrypt.hash("secret", 4);
  same([await bcrypt.compare("secret", hash), await bcrypt.compare("other", hash)], [true, false]);
});
