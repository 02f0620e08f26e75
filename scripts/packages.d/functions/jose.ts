import { SignJWT, exportJWK, generateKeyPair, importJWK, jwtVerify, CompactEncrypt, compactDecrypt } from "jose";
import { checked, same } from "./_check";

export default checked(async () => {
  const secret = new TextEncoder().encode("a secret of some length, 32 bytes");
  const token = await new SignJWT({ role: "admin" }).setProtectedHeader({ alg: "HS256" }).setExpirationTime("1h").sign(secret);
  same((await jwtVerify(token, secret)).payload.role, "admin");
  const { publicKey, privateKey } = await generateKeyPair("ES256", { extractable: true });
  const signed = await new SignJWT({}).setProtectedHeader({ alg: "ES256" }).setSubject("me").sign(privateKey);
  const again = await importJWK(await exportJWK(publicKey), "ES256");
  same((await jwtVerify(signed, again)).payload.sub, "me");
  const key = crypto.getRandomValues(new Uint8Array(32));
  const sealed = await new CompactEncrypt(new TextEncoder().encode("hi")).setProtectedHeader({ alg: "dir", enc: "A256GCM" }).encrypt(key);
  same(new TextDecoder().decode((await compactDecrypt(sealed, key)).plaintext), "hi");
});
