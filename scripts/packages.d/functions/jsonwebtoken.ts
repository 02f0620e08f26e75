import { generateKeyPair } from "jose";
import jwt from "jsonwebtoken";
import { checked, same } from "./_check";

export default checked(async () => {
  const token = jwt.sign({ user: 1 }, "secret", { expiresIn: "1h" });
  same((jwt.verify(token, "secret") as { user: number }).user, 1);
  let failed = "";
  try {
    jwt.verify(token, "other");
  } catch (error) {
    failed = (error as Error).name;
  }
  same(failed, "JsonWebTokenError");
  const { privateKey, publicKey } = await generateKeyPair("RS256", { extractable: true });
  const pem = async (format: "pkcs8" | "spki", key: CryptoKey, label: string) =>
    `-----BEGIN ${label}-----\n${Buffer.from(await crypto.subtle.exportKey(format, key)).toString("base64")}\n-----END ${label}-----`;
  const signed = jwt.sign({ user: 2 }, await pem("pkcs8", privateKey, "PRIVATE KEY"), { algorithm: "RS256" });
  same((jwt.verify(signed, await pem("spki", publicKey, "PUBLIC KEY")) as { user: number }).user, 2);
});
