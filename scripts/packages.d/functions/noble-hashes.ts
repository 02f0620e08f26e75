// package: @noble/hashes
import { hmac } from "@noble/hashes/hmac.js";
import { sha256 } from "@noble/hashes/sha2.js";
import { bytesToHex, utf8ToBytes } from "@noble/hashes/utils.js";
import { checked, same } from "./_check";

export default checked(() => {
  same(bytesToHex(sha256(utf8ToBytes("abc"))).slice(0, 16), "ba7816bf8f01cfea");
  same(bytesToHex(hmac(sha256, utf8ToBytes("key"), utf8ToBytes("data"))).slice(0, 16), "5031fe3d989c6d15");
});
