//! What `crypto.subtle` leaves to Rust: one call an operation, keys as bytes. The prelude knows the Web Cryptography API
//! (algorithms by name, usages, formats); this room knows the mathematics.
//!
//! Pure: `compute` calls it for the engine, `scripts/bundle-shell` compiles it for bundles.

use rand_chacha::ChaCha12Rng;
use rand_chacha::rand_core::{RngCore, SeedableRng};
use rsa::rand_core::{TryCryptoRng, TryRng};
use serde::Deserialize;

mod ed25519;
mod elliptic;
mod hash;
mod pkcs1;
mod rsa_keys;
mod symmetric;

/// Work that may be done while the guest stands still: half a second.
const NOW_FUEL_MAX: u64 = 500_000_000;
/// Rounds of PBKDF2 times blocks of its output: some seconds of work. OWASP asks for 1,300,000 with SHA-1.
const ROUNDS_MAX: u64 = 5_000_000;
/// Bits of an RSA key that can be made; 8,192 can be imported.
const RSA_BITS_MAX: u32 = 4_096;

/// Bytes that an operation answers with, or `Name: message` for the error of that name.
pub type Answer = Result<Vec<Vec<u8>>, String>;

/// What an operation is told beside bytes; each reads what concerns it.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Params {
    hash: hash::Hash,
    curve: elliptic::Curve,
    /// `raw`, `spki`, `pkcs8` or `jwk`.
    format: String,
    encrypt: bool,
    /// The key is a private one.
    private: bool,
    /// RSA-PSS instead of PKCS #1 v1.5.
    pss: bool,
    bits: u32,
    rounds: u64,
    salt_bytes: usize,
    tag_bits: usize,
    counter_bits: u32,
    exponent: u64,
}

pub fn operation(message: &str) -> String {
    format!("OperationError: {message}")
}

fn data(message: &str) -> String {
    format!("DataError: {message}")
}

fn unsupported(message: &str) -> String {
    format!("NotSupportedError: {message}")
}

/// The bytes an operation was given; the prelude hands over as many as it needs.
fn inputs<const N: usize>(all: &[Vec<u8>]) -> Result<[&[u8]; N], String> {
    let given: Vec<&[u8]> = all.iter().map(Vec::as_slice).collect();
    given
        .try_into()
        .map_err(|given: Vec<_>| operation(&format!("{} inputs instead of {N}", given.len())))
}

/// The generator of one operation.
pub struct Draws(ChaCha12Rng);

impl TryRng for Draws {
    type Error = std::convert::Infallible;

    fn try_next_u32(&mut self) -> Result<u32, Self::Error> {
        Ok(self.0.next_u32())
    }

    fn try_next_u64(&mut self) -> Result<u64, Self::Error> {
        Ok(self.0.next_u64())
    }

    fn try_fill_bytes(&mut self, bytes: &mut [u8]) -> Result<(), Self::Error> {
        self.0.fill_bytes(bytes);
        Ok(())
    }
}

impl TryCryptoRng for Draws {}

/// What an operation costs in fuel: about a nanosecond each.
fn fuel(op: &str, params: &Params, all: &[Vec<u8>]) -> u64 {
    let bytes: u64 = all.iter().map(|input| input.len() as u64).sum();
    let key_bits = all.first().map_or(0, |key| key.len() as u64 * 8).min(64 << 10);
    let work = match op {
        "pbkdf2" => params.blocks().saturating_mul(params.rounds).saturating_mul(1_000),
        // A private key's DER is some four and a half times as long as its modulus; work grows with the cube.
        "rsa-sign" => cubed(key_bits / 9) / 2,
        "rsa-oaep" if !params.encrypt => cubed(key_bits / 9) / 2,
        "rsa-verify" | "rsa-oaep" | "rsa-import" | "rsa-export" => 300_000,
        "rsa-generate" => cubed(params.bits.into()).saturating_mul(40),
        op if op.starts_with("ec") => 400_000,
        op if op.starts_with("ed") => 100_000,
        _ => 2_000,
    };
    work.saturating_add(bytes.saturating_mul(4))
}

fn cubed(bits: u64) -> u64 {
    bits.saturating_mul(bits).saturating_mul(bits) / 1_000
}

impl Params {
    /// Blocks of output that a key derivation makes.
    fn blocks(&self) -> u64 {
        u64::from(self.bits).div_ceil(self.hash.bits())
    }

    /// What is refused because it would take too long.
    fn check(&self, op: &str) -> Result<(), String> {
        if op == "pbkdf2" && self.blocks().saturating_mul(self.rounds) > ROUNDS_MAX {
            return Err(unsupported(&format!(
                "{} rounds for {} bits; at most {ROUNDS_MAX} rounds, fewer for longer keys",
                self.rounds, self.bits
            )));
        }
        if op == "rsa-generate" && self.bits > RSA_BITS_MAX {
            return Err(unsupported(&format!(
                "RSA keys of {} bits; at most {RSA_BITS_MAX}",
                self.bits
            )));
        }
        Ok(())
    }
}

/// An operation that may be done.
pub struct Work {
    params: Params,
    /// What it costs.
    pub fuel: u64,
}

impl Work {
    /// # Errors
    /// `Name: message`, the name of a DOMException: also for work that would take too long.
    pub fn read(op: &str, params: &str, all: &[Vec<u8>]) -> Result<Work, String> {
        let params: Params = serde_json::from_str(params).map_err(|error| operation(&error.to_string()))?;
        params.check(op)?;
        let fuel = fuel(op, &params, all);
        Ok(Work { params, fuel })
    }

    /// # Errors
    /// `Name: message`.
    pub fn run(&self, op: &str, all: &[Vec<u8>], seed: [u8; 32]) -> Answer {
        run(op, &self.params, all, seed)
    }

    /// While the guest waits.
    ///
    /// # Errors
    /// `Name: message`, also for work that takes long.
    pub fn run_now(&self, op: &str, all: &[Vec<u8>], seed: [u8; 32]) -> Answer {
        if self.fuel > NOW_FUEL_MAX {
            return Err(unsupported(
                "this takes too long to be done at once; use the asynchronous form",
            ));
        }
        match op {
            "md5" => hash::md5(all),
            "hmac-md5" => hash::hmac_md5(all),
            _ => run(op, &self.params, all, seed),
        }
    }
}

fn run(op: &str, params: &Params, all: &[Vec<u8>], seed: [u8; 32]) -> Answer {
    let mut draws = Draws(ChaCha12Rng::from_seed(seed));
    match op {
        "digest" => hash::digest(params, all),
        "hmac" => hash::hmac(params, all),
        "hkdf" => hash::hkdf(params, all),
        "pbkdf2" => hash::pbkdf2(params, all),
        "aes-gcm" => symmetric::gcm(params, all),
        "aes-cbc" => symmetric::cbc(params, all),
        "aes-ctr" => symmetric::ctr(params, all),
        "aes-kw" => symmetric::wrap(params, all),
        "rsa-generate" => rsa_keys::generate(params, &mut draws),
        "rsa-import" => rsa_keys::import(params, all),
        "rsa-export" => rsa_keys::export(params, all),
        "rsa-sign" => rsa_keys::sign(params, all, &mut draws),
        "rsa-verify" => rsa_keys::verify(params, all),
        "rsa-oaep" => rsa_keys::oaep(params, all, &mut draws),
        "ec-generate" | "ec-import" | "ec-export" | "ec-sign" | "ec-verify" | "ec-agree" => {
            elliptic::run(op, params, all, &mut draws)
        }
        "ed-generate" => ed25519::generate(&mut draws),
        "ed-import" => ed25519::import(params, all),
        "ed-export" => ed25519::export(params, all),
        "ed-sign" => ed25519::sign(all),
        "ed-verify" => ed25519::verify(all),
        _ => Err(unsupported(op)),
    }
}

/// `true` and `false` as an answer.
fn verdict(valid: bool) -> Answer {
    Ok(vec![vec![u8::from(valid)]])
}
