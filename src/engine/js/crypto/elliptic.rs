//! ECDSA and ECDH on P-256 and P-384. A public key is its uncompressed point, a private one its scalar.

use serde::Deserialize;

use super::{Answer, Draws, Params, data, inputs, operation, verdict};

#[derive(Clone, Copy, Debug, Default, Deserialize)]
pub enum Curve {
    #[default]
    #[serde(rename = "P-256")]
    P256,
    #[serde(rename = "P-384")]
    P384,
}

pub fn run(op: &str, params: &Params, all: &[Vec<u8>], draws: &mut Draws) -> Answer {
    match params.curve {
        Curve::P256 => nist256::run(op, params, all, draws),
        Curve::P384 => nist384::run(op, params, all, draws),
    }
}

fn malformed(what: &str, error: impl std::fmt::Display) -> String {
    data(&format!("not {what} of this curve: {error}"))
}

/// The same for both curves, whose types differ.
macro_rules! curve {
    ($module:ident, $curve:ident, $bytes:literal) => {
        mod $module {
            use rsa::rand_core::Rng;
            use $curve::ecdsa::signature::hazmat::{PrehashSigner, PrehashVerifier};
            use $curve::ecdsa::{Signature, SigningKey, VerifyingKey};
            use $curve::elliptic_curve::sec1::ToSec1Point;
            use $curve::pkcs8::{DecodePrivateKey, DecodePublicKey, EncodePrivateKey, EncodePublicKey};
            use $curve::{PublicKey, SecretKey};

            use super::*;

            pub fn run(op: &str, params: &Params, all: &[Vec<u8>], draws: &mut Draws) -> Answer {
                match op {
                    "ec-generate" => generate(draws),
                    "ec-import" => import(params, all),
                    "ec-export" => export(params, all),
                    "ec-sign" => sign(params, all),
                    "ec-verify" => verify(params, all),
                    _ => agree(all),
                }
            }

            fn public(point: &[u8]) -> Result<PublicKey, String> {
                PublicKey::from_sec1_bytes(point).map_err(|error| malformed("a point", error))
            }

            fn private(scalar: &[u8]) -> Result<SecretKey, String> {
                if scalar.len() != $bytes {
                    return Err(data(concat!(
                        "a private key of this curve has ",
                        $bytes,
                        " bytes"
                    )));
                }
                SecretKey::from_slice(scalar).map_err(|error| malformed("a private key", error))
            }

            fn point(key: &PublicKey) -> Vec<u8> {
                key.to_sec1_point(false).as_bytes().to_vec()
            }

            /// Scalar and point.
            fn pair(key: &SecretKey) -> Answer {
                Ok(vec![key.to_bytes().to_vec(), point(&key.public_key())])
            }

            fn generate(draws: &mut Draws) -> Answer {
                // Nearly every draw is a scalar; the next one is when this one is not.
                loop {
                    let mut scalar = [0; $bytes];
                    draws.fill_bytes(&mut scalar);
                    if let Ok(key) = private(&scalar) {
                        return pair(&key);
                    }
                }
            }

            fn import(params: &Params, all: &[Vec<u8>]) -> Answer {
                match (params.format.as_str(), params.private) {
                    ("raw", _) => Ok(vec![point(&public(inputs::<1>(all)?[0])?)]),
                    ("spki", _) => {
                        let key = PublicKey::from_public_key_der(inputs::<1>(all)?[0]);
                        Ok(vec![point(
                            &key.map_err(|error| malformed("a public key", error))?,
                        )])
                    }
                    ("pkcs8", _) => {
                        let key = SecretKey::from_pkcs8_der(inputs::<1>(all)?[0]);
                        pair(&key.map_err(|error| malformed("a private key", error))?)
                    }
                    (_, private_too) => {
                        let (x, y, scalar) = match all {
                            [x, y] if !private_too => (x, y, None),
                            [x, y, scalar] => (x, y, Some(scalar)),
                            _ => return Err(data("a key needs x and y")),
                        };
                        if x.len() != $bytes || y.len() != $bytes {
                            return Err(data(concat!("x and y of this curve have ", $bytes, " bytes")));
                        }
                        let key = public(&[&[4][..], x, y].concat())?;
                        let Some(scalar) = scalar else {
                            return Ok(vec![point(&key)]);
                        };
                        let secret = private(scalar)?;
                        if secret.public_key() != key {
                            return Err(data("d does not belong to x and y"));
                        }
                        pair(&secret)
                    }
                }
            }

            fn export(params: &Params, all: &[Vec<u8>]) -> Answer {
                let [key] = inputs(all)?;
                if params.private {
                    let der = private(key)?
                        .to_pkcs8_der()
                        .map_err(|error| operation(&error.to_string()))?;
                    return Ok(vec![der.as_bytes().to_vec()]);
                }
                let der = public(key)?
                    .to_public_key_der()
                    .map_err(|error| operation(&error.to_string()))?;
                Ok(vec![der.as_bytes().to_vec()])
            }

            /// A digest, with zeros before it when it is much shorter than the curve's numbers.
            fn prehash(params: &Params, message: &[u8]) -> Vec<u8> {
                let digest = params.hash.of(message);
                let zeros = usize::saturating_sub($bytes, digest.len());
                [vec![0; zeros], digest].concat()
            }

            fn sign(params: &Params, all: &[Vec<u8>]) -> Answer {
                let [scalar, message] = inputs(all)?;
                let key = SigningKey::from(private(scalar)?);
                let signature: Signature = key
                    .sign_prehash(&prehash(params, message))
                    .map_err(|error| operation(&error.to_string()))?;
                Ok(vec![signature.to_bytes().to_vec()])
            }

            fn verify(params: &Params, all: &[Vec<u8>]) -> Answer {
                let [key, signature, message] = inputs(all)?;
                let key = VerifyingKey::from(public(key)?);
                let Ok(signature) = Signature::from_slice(signature) else {
                    return verdict(false);
                };
                verdict(key.verify_prehash(&prehash(params, message), &signature).is_ok())
            }

            /// Of a private and a public key.
            fn agree(all: &[Vec<u8>]) -> Answer {
                let [scalar, key] = inputs(all)?;
                let shared = private(scalar)?.diffie_hellman(&public(key)?);
                Ok(vec![shared.raw_secret_bytes().to_vec()])
            }
        }
    };
}

curve!(nist256, p256, 32);
curve!(nist384, p384, 48);
