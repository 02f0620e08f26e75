import { bytes, equal, hex, ok, rejects, run, text, throws, unhex } from "./check.js";
import { decode, RSA, SIGNED } from "./vectors.js";

const { subtle } = crypto;
const hello = bytes("hello");
const raw = (digits, algorithm, ...usages) => subtle.importKey("raw", unhex(digits), algorithm, true, usages);

export default run({
  "digests": async () => {
    const of = async (hash) => hex(await subtle.digest(hash, bytes("abc")));
    equal(await of("sha-1"), "a9993e364706816aba3e25717850c26c9cd0d89d");
    equal(await of({ name: "SHA-256" }), "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
    equal(await of("SHA-384"), "cb00753f45a35e8bb5a03d699ac65007272c32ab0eded1631a8b605a43ff5bed8086072ba1e7cc2358baeca134c825a7");
    equal(await of("SHA-512"), "ddaf35a193617abacc417349ae20413112e6fa4e89a97ea20a9eeee64b55d39a2192992a274fc1a836ba3c23a3feebbd454d4423643ce80e2a9ac94fa54ca49f");
    equal(hex(await subtle.digest("SHA-256", new DataView(new ArrayBuffer(0)))).slice(0, 8), "e3b0c442");
    await rejects("NotSupportedError", subtle.digest("MD5", hello));
    await rejects("TypeError", subtle.digest("SHA-256", "text"));
    await rejects("TypeError", subtle.digest("SHA-256"));
    const big = await subtle.digest("SHA-256", new Uint8Array(1 << 20));
    equal(hex(big), "30e14955ebf1352266dc2ff8067e68104607e750abb9d3b36582b8af909fcb58");
  },
  "HMAC (RFC 4231)": async () => {
    const key = await raw(hex(bytes("Jefe")), { name: "HMAC", hash: "SHA-256" }, "sign", "verify");
    const data = bytes("what do ya want for nothing?");
    const mac = await subtle.sign("HMAC", key, data);
    equal(hex(mac), "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843");
    equal([await subtle.verify("HMAC", key, mac, data), await subtle.verify("HMAC", key, mac, hello), await subtle.verify("HMAC", key, hello, data)], [true, false, false]);
    equal([key.type, key.extractable, key.usages, key.algorithm], ["secret", true, ["sign", "verify"], { name: "HMAC", hash: { name: "SHA-256" }, length: 32 }]);
    const jwk = await subtle.exportKey("jwk", key);
    equal([jwk.kty, jwk.k, jwk.alg, jwk.key_ops, jwk.ext], ["oct", "SmVmZQ", "HS256", ["sign", "verify"], true]);
    const made = await subtle.generateKey({ name: "HMAC", hash: "SHA-512" }, false, ["sign", "verify"]);
    equal([made.algorithm.length, made.usages], [1024, ["sign", "verify"]]);
    await rejects("InvalidAccessError", subtle.exportKey("raw", made));
    await rejects("DataError", subtle.importKey("jwk", { ...jwk, alg: "HS512" }, { name: "HMAC", hash: "SHA-256" }, true, ["sign"]));
    await rejects("DataError", raw("", { name: "HMAC", hash: "SHA-256" }, "sign"));
  },
  "HKDF (RFC 5869)": async () => {
    const key = await subtle.importKey("raw", unhex("0b".repeat(22)), "HKDF", false, ["deriveBits", "deriveKey"]);
    const params = { name: "HKDF", hash: "SHA-256", salt: unhex("000102030405060708090a0b0c"), info: unhex("f0f1f2f3f4f5f6f7f8f9") };
    equal(hex(await subtle.deriveBits(params, key, 336)), "3cb25f25faacd57a90434f64d0362f2a2d2d0a90cf1a5a4c5db02d56ecc4c5bf34007208d5b887185865");
    const aes = await subtle.deriveKey(params, key, { name: "AES-GCM", length: 128 }, true, ["encrypt"]);
    equal(hex(await subtle.exportKey("raw", aes)), "3cb25f25faacd57a90434f64d0362f2a");
    await rejects("OperationError", subtle.deriveBits(params, key, 12));
    await rejects("OperationError", subtle.deriveBits(params, key, 256 * 255 + 8));
    await rejects("SyntaxError", subtle.importKey("raw", hello, "HKDF", true, ["deriveBits"]));
  },
  "PBKDF2 (RFC 6070)": async () => {
    const key = await subtle.importKey("raw", bytes("password"), "PBKDF2", false, ["deriveBits", "deriveKey"]);
    const of = async (hash, iterations, length) => hex(await subtle.deriveBits({ name: "PBKDF2", hash, salt: bytes("salt"), iterations }, key, length));
    equal(await of("SHA-1", 2, 160), "ea6c014dc72d6f8ccd1ed92ace1d41f0d8de8957");
  },
  "PBKDF2 with SHA-256": async () => {
    const key = await subtle.importKey("raw", bytes("password"), "PBKDF2", false, ["deriveBits", "deriveKey"]);
    const of = async (hash, iterations, length) => hex(await subtle.deriveBits({ name: "PBKDF2", hash, salt: bytes("salt"), iterations }, key, length));
    equal(await of("SHA-256", 1, 256), "120fb6cffcf8b32c43e7225256c4f837a86548c92ccc35480805987cb70be17b");
    equal(await of("SHA-256", 4096, 256), "c5e478d59288c841aa530db6845c4c8d962893a001ce4e11a4963873aa98134a");
    await rejects("OperationError", of("SHA-256", 0, 256));
    await rejects("NotSupportedError", of("SHA-256", 4_000_000_000, 256), "rounds");
    const derived = await subtle.deriveKey({ name: "PBKDF2", hash: "SHA-256", salt: bytes("salt"), iterations: 1 }, key, { name: "HMAC", hash: "SHA-1" }, true, ["sign"]);
    equal(derived.algorithm.length, 512);
  },
  "AES-GCM (NIST)": async () => {
    const key = await raw("feffe9928665731c6d6a8f9467308308", "AES-GCM", "encrypt", "decrypt");
    const params = { name: "AES-GCM", iv: unhex("cafebabefacedbaddecaf888"), additionalData: unhex("feedfacedeadbeeffeedfacedeadbeefabaddad2") };
    const plain = unhex("d9313225f88406e5a55909c5aff5269a86a7a9531534f7da2e4c303d8a318a721c3c0c95956809532fcf0e2449a6b525b16aedf5aa0de657ba637b39");
    const cipher = "42831ec2217774244b7221b784d0d49ce3aa212f2c02a4e035c17e2329aca12e21d514b25466931c7d8f6a5aac84aa051ba30b396a0aac973d58e091";
    const tag = "5bc94fbc3221a5db94fae95ae7121a47";
    equal(hex(await subtle.encrypt(params, key, plain)), cipher + tag);
    equal(hex(await subtle.decrypt(params, key, unhex(cipher + tag))), hex(plain));
    for (const tagLength of [96, 104, 112, 120, 128]) {
      const short = { ...params, tagLength };
      const sealed = await subtle.encrypt(short, key, plain);
      equal(hex(sealed), cipher + tag.slice(0, tagLength / 4));
      equal(hex(await subtle.decrypt(short, key, sealed)), hex(plain));
    }
    await rejects("OperationError", subtle.decrypt({ ...params, tagLength: 96 }, key, unhex(cipher + "00".repeat(12))));
    await rejects("OperationError", subtle.decrypt(params, key, unhex(`00${(cipher + tag).slice(2)}`)));
    await rejects("OperationError", subtle.decrypt(params, key, hello));
    await rejects("OperationError", subtle.encrypt({ ...params, tagLength: 12 }, key, plain));
    const wide = { name: "AES-GCM", iv: new Uint8Array(16) };
    equal(text(await subtle.decrypt(wide, key, await subtle.encrypt(wide, key, hello))), "hello");
  },
  "AES-CBC and AES-CTR (SP 800-38A)": async () => {
    const digits = "2b7e151628aed2a6abf7158809cf4f3c";
    const block = unhex("6bc1bee22e409f96e93d7e117393172a");
    const iv = unhex("000102030405060708090a0b0c0d0e0f");
    const cbc = await raw(digits, "AES-CBC", "encrypt", "decrypt");
    const sealed = await subtle.encrypt({ name: "AES-CBC", iv }, cbc, block);
    equal(hex(sealed).slice(0, 32), "7649abac8119b246cee98e9b12e9197d");
    equal(sealed.byteLength, 32);
    equal(hex(await subtle.decrypt({ name: "AES-CBC", iv }, cbc, sealed)), hex(block));
    await rejects("OperationError", subtle.decrypt({ name: "AES-CBC", iv }, cbc, block));
    await rejects("OperationError", subtle.decrypt({ name: "AES-CBC", iv }, cbc, new Uint8Array(0)));
    await rejects("OperationError", subtle.encrypt({ name: "AES-CBC", iv: hello }, cbc, block));
    const ctr = await raw(digits, "AES-CTR", "encrypt", "decrypt");
    const params = { name: "AES-CTR", counter: unhex("f0f1f2f3f4f5f6f7f8f9fafbfcfdfeff"), length: 64 };
    const two = unhex("6bc1bee22e409f96e93d7e117393172aae2d8a571e03ac9c9eb76fac45af8e51");
    equal(hex(await subtle.encrypt(params, ctr, two)), "874d6191b620e3261bef6864990db6ce9806f66b7970fdff8617187bb9fffdff");
    // A counter of 8 bits at ff begins again at 00, and the rest of the block stays.
    const wrapped = new Uint8Array(await subtle.encrypt({ ...params, length: 8 }, ctr, new Uint8Array(32)));
    const next = await subtle.encrypt({ ...params, counter: unhex("f0f1f2f3f4f5f6f7f8f9fafbfcfdfe00") }, ctr, new Uint8Array(16));
    equal(hex(wrapped.slice(16)), hex(next));
    await rejects("OperationError", subtle.encrypt({ ...params, length: 1 }, ctr, new Uint8Array(48)));
  },
  "AES-KW (RFC 3394)": async () => {
    const key = await raw("000102030405060708090a0b0c0d0e0f", "AES-KW", "wrapKey", "unwrapKey");
    const inside = await raw("00112233445566778899aabbccddeeff", "AES-GCM", "encrypt");
    const wrapped = await subtle.wrapKey("raw", inside, key, "AES-KW");
    equal(hex(wrapped), "1fa68b0a8112b447aef34bd8fb5a7b829d3e862371d2cfe5");
    const out = await subtle.unwrapKey("raw", wrapped, key, "AES-KW", "AES-GCM", true, ["decrypt"]);
    equal(hex(await subtle.exportKey("raw", out)), "00112233445566778899aabbccddeeff");
    const broken = new Uint8Array(wrapped);
    broken[3] ^= 1;
    await rejects("OperationError", subtle.unwrapKey("raw", broken, key, "AES-KW", "AES-GCM", true, ["decrypt"]));
  },
  "wrapping with AES-GCM, as a JSON Web Key": async () => {
    const key = await subtle.generateKey({ name: "AES-GCM", length: 256 }, false, ["wrapKey", "unwrapKey"]);
    const inside = await subtle.generateKey({ name: "HMAC", hash: "SHA-256" }, true, ["sign"]);
    const params = { name: "AES-GCM", iv: new Uint8Array(12) };
    const wrapped = await subtle.wrapKey("jwk", inside, key, params);
    const out = await subtle.unwrapKey("jwk", wrapped, key, params, { name: "HMAC", hash: "SHA-256" }, true, ["sign"]);
    equal(hex(await subtle.exportKey("raw", out)), hex(await subtle.exportKey("raw", inside)));
    await rejects("InvalidAccessError", subtle.encrypt(params, key, hello));
  },
  "AES keys": async () => {
    for (const name of ["AES-GCM", "AES-CBC", "AES-CTR", "AES-KW"]) {
      const usages = name === "AES-KW" ? ["wrapKey"] : ["encrypt"];
      for (const length of [128, 192, 256]) {
        const key = await subtle.generateKey({ name, length }, true, usages);
        equal(key.algorithm, { name, length });
        const jwk = await subtle.exportKey("jwk", key);
        equal(jwk.alg, `A${length}${name.slice(4)}`);
        const back = await subtle.importKey("jwk", jwk, name, true, usages);
        equal(hex(await subtle.exportKey("raw", back)), hex(await subtle.exportKey("raw", key)));
      }
    }
    await rejects("OperationError", subtle.generateKey({ name: "AES-GCM", length: 64 }, true, ["encrypt"]));
    await rejects("SyntaxError", subtle.generateKey({ name: "AES-GCM", length: 128 }, true, ["sign"]));
    await rejects("SyntaxError", subtle.generateKey({ name: "AES-GCM", length: 128 }, true, []));
    await rejects("TypeError", subtle.generateKey({ name: "AES-GCM", length: 128 }, true, ["fly"]));
    await rejects("DataError", raw("0011", "AES-GCM", "encrypt"));
    await rejects("NotSupportedError", subtle.importKey("spki", hello, "AES-GCM", true, ["encrypt"]));
    await rejects("TypeError", subtle.importKey("der", hello, "AES-GCM", true, ["encrypt"]));
    const jwk = { kty: "oct", k: "AAAAAAAAAAAAAAAAAAAAAA", alg: "A128GCM", key_ops: ["encrypt"], ext: false };
    await rejects("DataError", subtle.importKey("jwk", jwk, "AES-GCM", true, ["encrypt"]));
    await rejects("DataError", subtle.importKey("jwk", jwk, "AES-GCM", false, ["decrypt"]));
    await rejects("DataError", subtle.importKey("jwk", { ...jwk, kty: "RSA" }, "AES-GCM", false, ["encrypt"]));
    await rejects("DataError", subtle.importKey("jwk", { ...jwk, k: "A*" }, "AES-GCM", false, ["encrypt"]));
  },
  "classes": async () => {
    throws("TypeError", () => new CryptoKey());
    throws("TypeError", () => new SubtleCrypto());
    equal([String(crypto), String(subtle), crypto.subtle === subtle], ["[object Crypto]", "[object SubtleCrypto]", true]);
    const key = await subtle.generateKey({ name: "AES-GCM", length: 128 }, true, ["encrypt"]);
    equal(String(key), "[object CryptoKey]");
    equal(Object.keys(CryptoKey.prototype).sort(), ["algorithm", "extractable", "type", "usages"]);
    equal(JSON.stringify(key), "{}");
    await rejects("InvalidAccessError", subtle.decrypt({ name: "AES-GCM", iv: new Uint8Array(12) }, key, hello));
    await rejects("InvalidAccessError", subtle.encrypt({ name: "AES-CBC", iv: new Uint8Array(16) }, key, hello));
    await rejects("TypeError", subtle.encrypt({ name: "AES-GCM", iv: new Uint8Array(12) }, {}, hello));
    await rejects("NotSupportedError", subtle.generateKey("ROT13", true, ["encrypt"]));
    await rejects("NotSupportedError", subtle.sign("AES-GCM", key, hello));
    ok(decode(SIGNED.spki).length > 290 && RSA.n.length === 342);
  },
});
