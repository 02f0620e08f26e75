//! RSA. Private keys are PKCS #8, public ones SubjectPublicKeyInfo, both DER.

use rsa::pkcs8::{DecodePrivateKey, DecodePublicKey, EncodePrivateKey, EncodePublicKey};
use rsa::traits::{PrivateKeyParts, PublicKeyParts};
use rsa::{BoxedUint, Oaep, PrivateKey, Pss, PublicKey};

use super::hash::with_hash;
use super::{Answer, Draws, Params, data, inputs, operation, pkcs1, verdict};

fn private_key(der: &[u8]) -> Result<PrivateKey, String> {
    PrivateKey::from_pkcs8_der(der).map_err(|error| data(&format!("not an RSA private key in PKCS #8: {error}")))
}

fn public_key(der: &[u8]) -> Result<PublicKey, String> {
    PublicKey::from_public_key_der(der).map_err(|error| data(&format!("not an RSA public key: {error}")))
}

/// A number as JSON Web Keys have it: without leading zeros.
fn bytes_of(number: &BoxedUint) -> Vec<u8> {
    let all = number.to_be_bytes();
    let begin = all
        .iter()
        .position(|byte| *byte != 0)
        .unwrap_or(all.len().saturating_sub(1));
    all[begin..].to_vec()
}

fn number(bytes: &[u8], bits: u32) -> Result<BoxedUint, String> {
    BoxedUint::from_be_slice(bytes, bits.max(8)).map_err(|error| data(&error.to_string()))
}

/// A key as the prelude keeps it: its DER, its modulus and its public exponent.
fn private_parts(key: &PrivateKey) -> Answer {
    let der = key.to_pkcs8_der().map_err(|error| operation(&error.to_string()))?;
    Ok(vec![der.as_bytes().to_vec(), bytes_of(key.n()), bytes_of(key.e())])
}

fn public_parts(key: &PublicKey) -> Answer {
    let der = key.to_public_key_der().map_err(|error| operation(&error.to_string()))?;
    Ok(vec![der.as_bytes().to_vec(), bytes_of(key.n()), bytes_of(key.e())])
}

/// A new key: the parts of its private half, then those of its public half.
pub fn generate(params: &Params, draws: &mut Draws) -> Answer {
    let exponent = BoxedUint::from(params.exponent);
    let key = PrivateKey::new_with_exp(draws, params.bits as usize, exponent);
    let key = key.map_err(|error| operation(&format!("no RSA key of {} bits: {error}", params.bits)))?;
    let mut parts = private_parts(&key)?;
    parts.extend(public_parts(&key.to_public_key())?);
    Ok(parts)
}

/// From DER, or from the numbers of a JSON Web Key: n and e, and for a private key d, p and q.
pub fn import(params: &Params, all: &[Vec<u8>]) -> Answer {
    match (params.format.as_str(), params.private) {
        ("pkcs8", _) => private_parts(&private_key(inputs::<1>(all)?[0])?),
        ("spki", _) => public_parts(&public_key(inputs::<1>(all)?[0])?),
        (_, false) => {
            let [n, e] = inputs(all)?;
            let key = PublicKey::new(number(n, n.len() as u32 * 8)?, number(e, e.len() as u32 * 8)?);
            public_parts(&key.map_err(|error| data(&error.to_string()))?)
        }
        (_, true) => {
            let [n, e, d, p, q] = inputs(all)?;
            let bits = n.len() as u32 * 8;
            let primes = vec![number(p, bits)?, number(q, bits)?];
            let key = PrivateKey::from_components(
                number(n, bits)?,
                number(e, e.len() as u32 * 8)?,
                number(d, bits)?,
                primes,
            );
            private_parts(&key.map_err(|error| data(&error.to_string()))?)
        }
    }
}

/// The numbers of a JSON Web Key: n, e and for a private key d, p, q, dp, dq, qi.
pub fn export(params: &Params, all: &[Vec<u8>]) -> Answer {
    let [der] = inputs(all)?;
    if !params.private {
        let key = public_key(der)?;
        return Ok(vec![bytes_of(key.n()), bytes_of(key.e())]);
    }
    let key = private_key(der)?;
    let missing = || operation("the key lacks its precomputed values");
    let [p, q] = key.primes() else { return Err(missing()) };
    let (dp, dq) = (key.dp().ok_or_else(missing)?, key.dq().ok_or_else(missing)?);
    let coefficient = key.crt_coefficient().ok_or_else(missing)?;
    let numbers = [key.n().as_ref(), key.e(), key.d(), p, q, dp, dq, &coefficient];
    Ok(numbers.into_iter().map(bytes_of).collect())
}

/// Of a private key and data.
pub fn sign(params: &Params, all: &[Vec<u8>], draws: &mut Draws) -> Answer {
    let [der, message] = inputs(all)?;
    let key = private_key(der)?;
    if !params.pss {
        let signature = pkcs1::sign(&key, params.hash, message);
        return Ok(vec![
            signature.ok_or_else(|| operation("the key is too small for this hash"))?,
        ]);
    }
    let hashed = params.hash.of(message);
    let signature =
        with_hash!(params.hash, D => key.sign_with_rng(draws, Pss::<D>::new_with_salt(params.salt_bytes), &hashed));
    Ok(vec![signature.map_err(|error| operation(&error.to_string()))?])
}

/// Of a public key, a signature and data.
pub fn verify(params: &Params, all: &[Vec<u8>]) -> Answer {
    let [der, signature, message] = inputs(all)?;
    let key = public_key(der)?;
    if !params.pss {
        return verdict(pkcs1::verify(&key, params.hash, message, signature));
    }
    let hashed = params.hash.of(message);
    let valid =
        with_hash!(params.hash, D => key.verify(Pss::<D>::new_with_salt(params.salt_bytes), &hashed, signature));
    verdict(valid.is_ok())
}

/// RSA-OAEP of a key, a label and data.
pub fn oaep(params: &Params, all: &[Vec<u8>], draws: &mut Draws) -> Answer {
    let [der, label, message] = inputs(all)?;
    let done = if params.encrypt {
        let key = public_key(der)?;
        with_hash!(params.hash, D => key.encrypt(draws, Oaep::<D>::new_with_label(label), message))
    } else {
        let key = private_key(der)?;
        with_hash!(params.hash, D => key.decrypt_blinded(draws, Oaep::<D>::new_with_label(label), message))
    };
    Ok(vec![done.map_err(|error| operation(&error.to_string()))?])
}
