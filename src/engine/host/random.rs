//! Randomness that a seed decides: the same run draws the same numbers, another run others.

use rand_chacha::ChaCha12Rng;
use rand_core::{RngCore, SeedableRng};
use wasmtime::component::{HasData, Linker};
use wasmtime_wasi::p2::bindings::random as p2;
use wasmtime_wasi::p3::bindings::random as p3;

use super::Guest;

/// Of one call; an entropy pool of a language runtime takes some kilobytes.
const BYTES_MAX: u64 = 1 << 20;

/// A guest's generator, made when first asked for.
pub struct Random {
    seed: u64,
    generator: Option<ChaCha12Rng>,
}

impl Random {
    pub fn new(seed: u64) -> Self {
        Self { seed, generator: None }
    }

    fn generator(&mut self) -> &mut ChaCha12Rng {
        self.generator
            .get_or_insert_with(|| ChaCha12Rng::seed_from_u64(self.seed))
    }

    pub fn next_u64(&mut self) -> u64 {
        self.generator().next_u64()
    }

    /// # Errors
    /// Above 1 MiB in one call; the guest traps.
    pub fn bytes(&mut self, length: u64) -> wasmtime::Result<Vec<u8>> {
        if length > BYTES_MAX {
            wasmtime::bail!("{length} random bytes at once, at most {BYTES_MAX} can be had");
        }
        let mut bytes = vec![0; length as usize];
        self.generator().fill_bytes(&mut bytes);
        Ok(bytes)
    }
}

struct HasRandom;

impl HasData for HasRandom {
    type Data<'a> = &'a mut Random;
}

fn random(guest: &mut Guest) -> &mut Random {
    &mut guest.random
}

pub(super) fn add_to_linker(l: &mut Linker<Guest>) -> wasmtime::Result<()> {
    p2::random::add_to_linker::<_, HasRandom>(l, random)?;
    p2::insecure::add_to_linker::<_, HasRandom>(l, random)?;
    p2::insecure_seed::add_to_linker::<_, HasRandom>(l, random)?;
    p3::random::add_to_linker::<_, HasRandom>(l, random)?;
    p3::insecure::add_to_linker::<_, HasRandom>(l, random)?;
    p3::insecure_seed::add_to_linker::<_, HasRandom>(l, random)
}

impl p2::random::Host for Random {
    fn get_random_bytes(&mut self, length: u64) -> wasmtime::Result<Vec<u8>> {
        self.bytes(length)
    }

    fn get_random_u64(&mut self) -> wasmtime::Result<u64> {
        Ok(self.next_u64())
    }
}

impl p2::insecure::Host for Random {
    fn get_insecure_random_bytes(&mut self, length: u64) -> wasmtime::Result<Vec<u8>> {
        self.bytes(length)
    }

    fn get_insecure_random_u64(&mut self) -> wasmtime::Result<u64> {
        Ok(self.next_u64())
    }
}

impl p2::insecure_seed::Host for Random {
    fn insecure_seed(&mut self) -> wasmtime::Result<(u64, u64)> {
        Ok((self.next_u64(), self.next_u64()))
    }
}

impl p3::random::Host for Random {
    fn get_random_bytes(&mut self, length: u64) -> wasmtime::Result<Vec<u8>> {
        // In 0.3 the call may give fewer bytes than asked for.
        self.bytes(length.min(BYTES_MAX))
    }

    fn get_random_u64(&mut self) -> wasmtime::Result<u64> {
        Ok(self.next_u64())
    }
}

impl p3::insecure::Host for Random {
    fn get_insecure_random_bytes(&mut self, length: u64) -> wasmtime::Result<Vec<u8>> {
        self.bytes(length.min(BYTES_MAX))
    }

    fn get_insecure_random_u64(&mut self) -> wasmtime::Result<u64> {
        Ok(self.next_u64())
    }
}

impl p3::insecure_seed::Host for Random {
    fn get_insecure_seed(&mut self) -> wasmtime::Result<(u64, u64)> {
        Ok((self.next_u64(), self.next_u64()))
    }
}
