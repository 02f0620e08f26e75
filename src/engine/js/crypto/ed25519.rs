//! Ed25519. A public key is its 32 bytes, a private one its seed of 32 bytes.

use ed25519_dalek::pkcs8::{DecodePrivateKey, DecodePublicKey};
use ed25519_dalek::{Signature, Signer, SigningKey, VerifyingKey};
use rsa::rand_core::Rng;

use super::{Answer, Draws, Params, data, inputs, operation, verdict};

/// The DER before the bytes of a key, by RFC 8410.
const PKCS8_HEAD: [u8; 16] = [0x30, 0x2e, 2, 1, 0, 0x30, 5, 6, 3, 0x2b, 0x65, 0x70, 4, 0x22, 4, 0x20];
const SPKI_HEAD: [u8; 12] = [0x30, 0x2a, 0x30, 5, 6, 3, 0x2b, 0x65, 0x70, 3, 0x21, 0];

fn key32(bytes: &[u8]) -> Result<[u8; 32], String> {
    bytes.try_into().map_err(|_| data("an Ed25519 key has 32 bytes"))
}

/// Seed and public key.
fn pair(key: &SigningKey) -> Answer {
    Ok(vec![key.to_bytes().to_vec(), key.verifying_key().to_bytes().to_vec()])
}

pub fn generate(draws: &mut Draws) -> Answer {
    let mut seed = [0; 32];
    draws.fill_bytes(&mut seed);
    pair(&SigningKey::from_bytes(&seed))
}

/// From raw bytes, DER, or the x (and d) of a JSON Web Key.
pub fn import(params: &Params, all: &[Vec<u8>]) -> Answer {
    let malformed = |error: &dyn std::fmt::Display| data(&format!("not an Ed25519 key: {error}"));
    match params.format.as_str() {
        "pkcs8" => {
            let key = SigningKey::from_pkcs8_der(inputs::<1>(all)?[0]);
            pair(&key.map_err(|error| malformed(&error))?)
        }
        "spki" => {
            let key = VerifyingKey::from_public_key_der(inputs::<1>(all)?[0]);
            Ok(vec![key.map_err(|error| malformed(&error))?.to_bytes().to_vec()])
        }
        "jwk" if params.private => {
            let [public, seed] = inputs(all)?;
            let key = SigningKey::from_bytes(&key32(seed)?);
            if key.verifying_key().as_bytes() != &key32(public)? {
                return Err(data("d does not belong to x"));
            }
            pair(&key)
        }
        // Whether it is a point shows when it verifies, as the standard has it.
        _ => Ok(vec![key32(inputs::<1>(all)?[0])?.to_vec()]),
    }
}

pub fn export(params: &Params, all: &[Vec<u8>]) -> Answer {
    let [key] = inputs(all)?;
    let head = if params.private {
        &PKCS8_HEAD[..]
    } else {
        &SPKI_HEAD[..]
    };
    Ok(vec![[head, &key32(key)?].concat()])
}

pub fn sign(all: &[Vec<u8>]) -> Answer {
    let [seed, message] = inputs(all)?;
    let key = SigningKey::from_bytes(&key32(seed)?);
    let signature = key.try_sign(message).map_err(|error| operation(&error.to_string()))?;
    Ok(vec![signature.to_bytes().to_vec()])
}

/// Of a public key, a signature and data.
pub fn verify(all: &[Vec<u8>]) -> Answer {
    let [key, signature, message] = inputs(all)?;
    let (Ok(key), Ok(signature)) = (VerifyingKey::from_bytes(&key32(key)?), Signature::from_slice(signature)) else {
        return verdict(false);
    };
    verdict(key.verify_strict(message, &signature).is_ok())
}
