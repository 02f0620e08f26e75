//! Digests, and what is made of them: HMAC, HKDF, PBKDF2.

use hmac::{Hmac, KeyInit, Mac};
use serde::Deserialize;
use sha2::Digest;

use super::{Answer, Params, inputs, operation};

/// An expression with the type of a hash in it.
macro_rules! with_hash {
    ($hash:expr, $D:ident => $expression:expr) => {
        match $hash {
            super::hash::Hash::Sha1 => {
                type $D = sha1::Sha1;
                $expression
            }
            super::hash::Hash::Sha256 => {
                type $D = sha2::Sha256;
                $expression
            }
            super::hash::Hash::Sha384 => {
                type $D = sha2::Sha384;
                $expression
            }
            super::hash::Hash::Sha512 => {
                type $D = sha2::Sha512;
                $expression
            }
        }
    };
}
pub(super) use with_hash;

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
pub enum Hash {
    #[serde(rename = "SHA-1")]
    Sha1,
    #[default]
    #[serde(rename = "SHA-256")]
    Sha256,
    #[serde(rename = "SHA-384")]
    Sha384,
    #[serde(rename = "SHA-512")]
    Sha512,
}

impl Hash {
    pub fn bits(self) -> u64 {
        match self {
            Hash::Sha1 => 160,
            Hash::Sha256 => 256,
            Hash::Sha384 => 384,
            Hash::Sha512 => 512,
        }
    }

    pub fn of(self, data: &[u8]) -> Vec<u8> {
        with_hash!(self, D => D::digest(data).to_vec())
    }
}

pub fn digest(params: &Params, all: &[Vec<u8>]) -> Answer {
    let [data] = inputs(all)?;
    Ok(vec![params.hash.of(data)])
}

/// Of a key and data.
pub fn hmac(params: &Params, all: &[Vec<u8>]) -> Answer {
    let [key, data] = inputs(all)?;
    let code = with_hash!(params.hash, D => {
        let mut mac = Hmac::<D>::new_from_slice(key).map_err(|error| operation(&error.to_string()))?;
        mac.update(data);
        mac.finalize().into_bytes().to_vec()
    });
    Ok(vec![code])
}

/// For what packages still name things by; no web API has it.
pub fn md5(all: &[Vec<u8>]) -> Answer {
    let [data] = inputs(all)?;
    Ok(vec![md5::Md5::digest(data).to_vec()])
}

/// Of a key and data.
pub fn hmac_md5(all: &[Vec<u8>]) -> Answer {
    let [key, data] = inputs(all)?;
    let mut mac = Hmac::<md5::Md5>::new_from_slice(key).map_err(|error| operation(&error.to_string()))?;
    mac.update(data);
    Ok(vec![mac.finalize().into_bytes().to_vec()])
}

/// Of a key, a salt and an info.
pub fn hkdf(params: &Params, all: &[Vec<u8>]) -> Answer {
    let [key, salt, info] = inputs(all)?;
    let longest = params.hash.bits() * 255;
    if u64::from(params.bits) > longest {
        return Err(operation(&format!("HKDF with this hash gives at most {longest} bits")));
    }
    let mut derived = vec![0; params.bits as usize / 8];
    with_hash!(params.hash, D => hkdf::Hkdf::<D>::new(Some(salt), key).expand(info, &mut derived))
        .map_err(|error| operation(&error.to_string()))?;
    Ok(vec![derived])
}

/// Of a password and a salt.
pub fn pbkdf2(params: &Params, all: &[Vec<u8>]) -> Answer {
    let [password, salt] = inputs(all)?;
    let rounds = u32::try_from(params.rounds).map_err(|error| operation(&error.to_string()))?;
    let mut derived = vec![0; params.bits as usize / 8];
    with_hash!(params.hash, D => pbkdf2::pbkdf2_hmac::<D>(password, salt, rounds, &mut derived));
    Ok(vec![derived])
}
