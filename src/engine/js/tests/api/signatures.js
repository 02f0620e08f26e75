import { bytes, equal, hex, ok, rejects, run, text, unhex } from "./check.js";
import { decode, P384, RSA, SIGNED } from "./vectors.js";

const { subtle } = crypto;
const hello = bytes("hello");
const { n, e } = RSA;
const E65537 = new Uint8Array([1, 0, 1]);

export default run({
  "RSASSA-PKCS1-v1_5 as another implementation signs": async () => {
    for (const hash of ["SHA-1", "SHA-256", "SHA-384", "SHA-512"]) {
      const algorithm = { name: "RSASSA-PKCS1-v1_5", hash };
      const key = await subtle.importKey("jwk", RSA, algorithm, true, ["sign"]);
      const signature = await subtle.sign("RSASSA-PKCS1-v1_5", key, hello);
      equal(hex(signature), hex(decode(SIGNED[`RS${hash}`])));
      const open = await subtle.importKey("spki", decode(SIGNED.spki), algorithm, true, ["verify"]);
      equal([await subtle.verify(algorithm, open, signature, hello), await subtle.verify(algorithm, open, signature, bytes("x")), await subtle.verify(algorithm, open, hello, hello)], [true, false, false]);
    }
  },
  "RSA keys in all formats": async () => {
    const algorithm = { name: "RSASSA-PKCS1-v1_5", hash: "SHA-256" };
    const key = await subtle.importKey("pkcs8", decode(SIGNED.pkcs8), algorithm, true, ["sign"]);
    equal([key.type, key.algorithm.modulusLength, hex(key.algorithm.publicExponent), key.algorithm.hash.name], ["private", 2048, "010001", "SHA-256"]);
    const jwk = await subtle.exportKey("jwk", key);
    for (const part of ["kty", "n", "e", "d", "p", "q", "dp", "dq", "qi"]) equal(jwk[part], RSA[part]);
    equal([jwk.alg, jwk.key_ops, jwk.ext], ["RS256", ["sign"], true]);
    equal(hex(await subtle.exportKey("pkcs8", key)), hex(decode(SIGNED.pkcs8)));
    const open = await subtle.importKey("jwk", { kty: "RSA", n, e }, algorithm, true, ["verify"]);
    equal(hex(await subtle.exportKey("spki", open)), hex(decode(SIGNED.spki)));
    await rejects("InvalidAccessError", subtle.exportKey("pkcs8", open));
    await rejects("SyntaxError", subtle.importKey("jwk", { kty: "RSA", n, e }, algorithm, true, ["sign"]));
    await rejects("DataError", subtle.importKey("spki", hello, algorithm, true, ["verify"]));
    await rejects("DataError", subtle.importKey("jwk", { kty: "RSA", n, e, alg: "RS512" }, algorithm, true, ["verify"]));
    await rejects("InvalidAccessError", subtle.sign(algorithm, open, hello));
  },
  "RSA-PSS and RSA-OAEP as another implementation has them": async () => {
    const pss = { name: "RSA-PSS", hash: "SHA-256" };
    const open = await subtle.importKey("jwk", { kty: "RSA", n, e }, pss, true, ["verify"]);
    equal(await subtle.verify({ name: "RSA-PSS", saltLength: 32 }, open, decode(SIGNED.pss), hello), true);
    equal(await subtle.verify({ name: "RSA-PSS", saltLength: 20 }, open, decode(SIGNED.pss), hello), false);
    const secret = await subtle.importKey("jwk", RSA, pss, false, ["sign"]);
    for (const saltLength of [0, 32]) {
      const signature = await subtle.sign({ name: "RSA-PSS", saltLength }, secret, hello);
      equal(await subtle.verify({ name: "RSA-PSS", saltLength }, open, signature, hello), true);
    }
    const oaep = { name: "RSA-OAEP", hash: "SHA-1" };
    const decrypting = await subtle.importKey("jwk", RSA, oaep, false, ["decrypt"]);
    const label = new Uint8Array([1, 2]);
    equal(text(await subtle.decrypt({ name: "RSA-OAEP", label }, decrypting, decode(SIGNED.oaep))), "hello");
    await rejects("OperationError", subtle.decrypt({ name: "RSA-OAEP" }, decrypting, decode(SIGNED.oaep)));
    const encrypting = await subtle.importKey("jwk", { kty: "RSA", n, e }, oaep, false, ["encrypt"]);
    equal(text(await subtle.decrypt("RSA-OAEP", decrypting, await subtle.encrypt("RSA-OAEP", encrypting, hello))), "hello");
    await rejects("OperationError", subtle.encrypt("RSA-OAEP", encrypting, new Uint8Array(300)));
  },
  "a new RSA key": async () => {
    const algorithm = { name: "RSASSA-PKCS1-v1_5", hash: "SHA-256", modulusLength: 1024, publicExponent: E65537 };
    const { publicKey, privateKey } = await subtle.generateKey(algorithm, false, ["sign", "verify"]);
    equal([publicKey.extractable, privateKey.extractable, publicKey.usages, privateKey.usages], [true, false, ["verify"], ["sign"]]);
    const signature = await subtle.sign(algorithm.name, privateKey, hello);
    equal(await subtle.verify(algorithm.name, publicKey, signature, hello), true);
    await rejects("SyntaxError", subtle.generateKey(algorithm, false, ["verify"]));
    await rejects("OperationError", subtle.generateKey({ ...algorithm, publicExponent: new Uint8Array([2]) }, false, ["sign"]));
    await rejects("OperationError", subtle.generateKey({ ...algorithm, modulusLength: 256 }, false, ["sign"]));
  },
  "ECDSA (RFC 6979)": async () => {
    const jwk = {
      kty: "EC", crv: "P-256",
      d: "ya-p2EW6dRZrXCFXZ7HWk05Qw9s26JsSe4piKxIPZyE",
      x: "YP7UuiVanTHJYet0xjVtaMBJuJI7Yfps5mliLmDyn7Y",
      y: "eQP-EAi4vJmkGunpVii8ZPLxsgwtfp9Rd6PClNRGIpk",
    };
    const key = await subtle.importKey("jwk", jwk, { name: "ECDSA", namedCurve: "P-256" }, true, ["sign"]);
    const { d, ...open } = jwk;
    const check = await subtle.importKey("jwk", open, { name: "ECDSA", namedCurve: "P-256" }, true, ["verify"]);
    const params = { name: "ECDSA", hash: "SHA-256" };
    const known = unhex("efd48b2aacb6a8fd1140dd9cd45e81d69d2c877b56aaf991c34d0ea84eaf3716f7cb1c942d657c41d436c7a1b6e29f65f3e900dbb9aff4064dc4ab2f843acda8");
    equal(await subtle.verify(params, check, known, bytes("sample")), true);
    const signature = await subtle.sign(params, key, bytes("sample"));
    equal([signature.byteLength, await subtle.verify(params, check, signature, bytes("sample")), await subtle.verify(params, check, signature, hello)], [64, true, false]);
    equal(await subtle.verify(params, check, hello, hello), false);
    const exported = await subtle.exportKey("jwk", key);
    equal([exported.crv, exported.d, exported.x, exported.y], ["P-256", jwk.d, jwk.x, jwk.y]);
    await rejects("DataError", subtle.importKey("jwk", { ...jwk, crv: "P-384" }, { name: "ECDSA", namedCurve: "P-256" }, true, ["sign"]));
    await rejects("DataError", subtle.importKey("jwk", { ...jwk, d: `${jwk.d.slice(0, -3)}AAA` }, { name: "ECDSA", namedCurve: "P-256" }, true, ["sign"]));
    await rejects("DataError", subtle.importKey("raw", new Uint8Array(65).fill(4), { name: "ECDSA", namedCurve: "P-256" }, true, ["verify"]));
    await rejects("NotSupportedError", subtle.generateKey({ name: "ECDSA", namedCurve: "P-192" }, true, ["sign"]));
  },
  "P-384 keys of another implementation": async () => {
    const algorithm = { name: "ECDSA", namedCurve: "P-384" };
    const key = await subtle.importKey("pkcs8", decode(P384.pkcs8), algorithm, true, ["sign"]);
    const open = await subtle.importKey("spki", decode(P384.spki), algorithm, true, ["verify"]);
    equal((await subtle.exportKey("jwk", key)).d, P384.d);
    equal(hex(await subtle.exportKey("spki", open)), hex(decode(P384.spki)));
    equal(hex(await subtle.exportKey("pkcs8", key)), hex(decode(P384.pkcs8)));
    for (const [hash, made] of [["SHA-1", P384.sha1], ["SHA-512", P384.sha512]]) {
      equal(await subtle.verify({ name: "ECDSA", hash }, open, decode(made), hello), true);
      equal(await subtle.verify({ name: "ECDSA", hash }, open, await subtle.sign({ name: "ECDSA", hash }, key, hello), hello), true);
    }
    const raw = await subtle.exportKey("raw", open);
    equal([raw.byteLength, new Uint8Array(raw)[0]], [97, 4]);
  },
  "ECDH (RFC 5903)": async () => {
    const algorithm = { name: "ECDH", namedCurve: "P-256" };
    const point = `04${"d12dfb5289c8d4f81208b70270398c342296970a0bccb74c736fc7554494bf63"}${"56fbf3ca366cc23e8157854c13c58d6aac23f046ada30f8353e74f33039872ab"}`;
    const open = await subtle.importKey("raw", unhex(point), algorithm, true, []);
    const own = "dad0b65394221cf9b051e1feca5787d098dfe637fc90b9ef945d0c3772581180";
    const y = "5271a0461cdb8252d61f1c456fa3e59ab1f45b33accf5f58389e0577b8990bb3";
    const url = (digits) => btoa(String.fromCharCode(...unhex(digits))).replaceAll("+", "-").replaceAll("/", "_").replaceAll("=", "");
    const d = "c88f01f510d9ac3f70a292daa2316de544e9aab8afe84049c62a9c57862d1433";
    const key = await subtle.importKey("jwk", { kty: "EC", crv: "P-256", d: url(d), x: url(own), y: url(y) }, algorithm, false, ["deriveBits", "deriveKey"]);
    const shared = "d6840f6b42f6edafd13116e0e12565202fef8e9ece7dce03812464d04b9442de";
    equal(hex(await subtle.deriveBits({ name: "ECDH", public: open }, key, 256)), shared);
    equal(hex(await subtle.deriveBits({ name: "ECDH", public: open }, key, null)), shared);
    equal(hex(await subtle.deriveBits({ name: "ECDH", public: open }, key, 128)), shared.slice(0, 32));
    await rejects("OperationError", subtle.deriveBits({ name: "ECDH", public: open }, key, 512));
    const one = await subtle.generateKey({ name: "ECDH", namedCurve: "P-384" }, false, ["deriveKey"]);
    const two = await subtle.generateKey({ name: "ECDH", namedCurve: "P-384" }, false, ["deriveKey"]);
    const derive = (mine, theirs) => subtle.deriveKey({ name: "ECDH", public: theirs.publicKey }, mine.privateKey, { name: "AES-GCM", length: 256 }, true, ["encrypt"]);
    equal(hex(await subtle.exportKey("raw", await derive(one, two))), hex(await subtle.exportKey("raw", await derive(two, one))));
    await rejects("InvalidAccessError", subtle.deriveBits({ name: "ECDH", public: one.publicKey }, key, 256));
  },
  "Ed25519 (RFC 8032)": async () => {
    const seed = "4ccd089b28ff96da9db6c346ec114e0f5b8a319f35aba624da8cf6ed4fb8a6fb";
    const point = "3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c";
    const pkcs8 = unhex(`302e020100300506032b657004220420${seed}`);
    const key = await subtle.importKey("pkcs8", pkcs8, "Ed25519", true, ["sign"]);
    const open = await subtle.importKey("raw", unhex(point), { name: "Ed25519" }, true, ["verify"]);
    const signature = await subtle.sign("Ed25519", key, unhex("72"));
    equal(hex(signature), "92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da085ac1e43e15996e458f3613d0f11d8c387b2eaeb4302aeeb00d291612bb0c00");
    equal([await subtle.verify("Ed25519", open, signature, unhex("72")), await subtle.verify("Ed25519", open, signature, hello)], [true, false]);
    equal(hex(await subtle.exportKey("pkcs8", key)), hex(pkcs8));
    equal(hex(await subtle.exportKey("spki", open)), `302a300506032b6570032100${point}`);
    const jwk = await subtle.exportKey("jwk", key);
    equal([jwk.kty, jwk.crv], ["OKP", "Ed25519"]);
    const again = await subtle.importKey("jwk", jwk, "Ed25519", true, ["sign"]);
    equal(hex(await subtle.sign("Ed25519", again, unhex("72"))), hex(signature));
    const pair = await subtle.generateKey("Ed25519", true, ["sign", "verify"]);
    ok(await subtle.verify("Ed25519", pair.publicKey, await subtle.sign("Ed25519", pair.privateKey, hello), hello));
    await rejects("DataError", subtle.importKey("raw", hello, "Ed25519", true, ["verify"]));
    await rejects("DataError", subtle.importKey("jwk", { ...jwk, x: "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA" }, "Ed25519", true, ["sign"]));
  },
});
