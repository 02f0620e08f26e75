//! RSASSA-PKCS1-v1_5 (RFC 8017, 8.2): the encoding of a digest and the bare RSA operation, which the `rsa` crate keeps
//! behind a feature.

use p256::elliptic_curve::bigint::modular::{BoxedMontyForm, BoxedMontyParams};
use rsa::traits::{PrivateKeyParts, PublicKeyParts};
use rsa::{BoxedUint, PrivateKey};

use super::hash::Hash;

/// DER of `DigestInfo` before the digest (RFC 8017, 9.2, notes 1).
fn head(hash: Hash) -> Vec<u8> {
    let (oid, bytes): (&[u8], u8) = match hash {
        Hash::Sha1 => (&[0x2b, 0x0e, 3, 2, 0x1a], 20),
        Hash::Sha256 => (&[0x60, 0x86, 0x48, 1, 0x65, 3, 4, 2, 1], 32),
        Hash::Sha384 => (&[0x60, 0x86, 0x48, 1, 0x65, 3, 4, 2, 2], 48),
        Hash::Sha512 => (&[0x60, 0x86, 0x48, 1, 0x65, 3, 4, 2, 3], 64),
    };
    let oid_bytes = oid.len() as u8;
    let mut head = vec![0x30, oid_bytes + 8 + bytes, 0x30, oid_bytes + 4, 6, oid_bytes];
    head.extend_from_slice(oid);
    head.extend_from_slice(&[5, 0, 4, bytes]);
    head
}

/// EMSA-PKCS1-v1_5 of a message; `None` when the key is too small for the hash.
fn encode(hash: Hash, message: &[u8], length: usize) -> Option<Vec<u8>> {
    let info = [head(hash), hash.of(message)].concat();
    let padding = length.checked_sub(info.len() + 3).filter(|padding| *padding >= 8)?;
    Some([&[0, 1][..], &vec![0xff; padding], &[0], &info].concat())
}

/// `base ^ exponent` modulo the key's modulus, in constant time for the exponent's bits.
fn power(base: &[u8], exponent: &BoxedUint, params: &BoxedMontyParams) -> Option<Vec<u8>> {
    let base = BoxedUint::from_be_slice(base, params.bits_precision()).ok()?;
    let power = BoxedMontyForm::new(base, params).pow(exponent).retrieve();
    Some(power.to_be_bytes().to_vec())
}

/// A number's bytes in as many as the modulus has.
fn fitted(bytes: &[u8], length: usize) -> Option<Vec<u8>> {
    let begin = bytes.len().saturating_sub(length);
    let (zeros, rest) = bytes.split_at(begin);
    let padded = [vec![0; length - rest.len()], rest.to_vec()].concat();
    zeros.iter().all(|byte| *byte == 0).then_some(padded)
}

/// `None` when the key is too small for the hash, or broken.
pub fn sign(key: &PrivateKey, hash: Hash, message: &[u8]) -> Option<Vec<u8>> {
    let encoded = encode(hash, message, key.size())?;
    let signature = fitted(&power(&encoded, key.d(), key.n_params())?, key.size())?;
    // A fault in the private operation would give the key away.
    verify(key, hash, message, &signature).then_some(signature)
}

pub fn verify(key: &impl PublicKeyParts, hash: Hash, message: &[u8], signature: &[u8]) -> bool {
    let below_modulus = || {
        let number = BoxedUint::from_be_slice(signature, key.n_params().bits_precision()).ok()?;
        (number < **key.n()).then_some(())
    };
    if signature.len() != key.size() || below_modulus().is_none() {
        return false;
    }
    let opened = power(signature, key.e(), key.n_params()).and_then(|power| fitted(&power, key.size()));
    opened.is_some() && opened == encode(hash, message, key.size())
}
