//! Streams of random numbers: one for each purpose of each replication, so that a change of one thing (a longer service,
//! another policy) meets the same arrivals, and so that cores share nothing.

use rand_core::RngCore;

/// xoshiro256++ by Blackman and Vigna: a draw costs about a nanosecond. The platform's own draws (cold starts) come from its
/// own generator.
#[derive(Clone, Debug)]
pub struct Stream([u64; 4]);

/// What a stream is drawn for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Purpose {
    Arrivals,
    Service,
    ColdStart,
    Server,
}

impl Stream {
    /// `index` tells functions and servers apart.
    pub fn new(seed: u64, replication: u32, purpose: Purpose, index: u32) -> Stream {
        let mut state = seed;
        for part in [u64::from(replication), purpose as u64, u64::from(index)] {
            state = mix(state ^ part.wrapping_mul(0x9E37_79B9_7F4A_7C15));
        }
        let words = [0u64; 4].map(|_| {
            state = state.wrapping_add(0x9E37_79B9_7F4A_7C15);
            mix(state)
        });
        Stream(words)
    }

    /// Uniform in `[0, 1)` with 53 bits.
    pub fn unit(&mut self) -> f64 {
        (self.next_u64() >> 11) as f64 / (1u64 << 53) as f64
    }
}

/// One replication of a simulation: where its streams come from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Seeds {
    pub seed: u64,
    pub replication: u32,
}

impl Seeds {
    /// `index` tells functions and servers apart.
    pub fn stream(self, purpose: Purpose, index: u32) -> Stream {
        Stream::new(self.seed, self.replication, purpose, index)
    }

    /// Of the platform's own generator.
    pub fn platform(self) -> u64 {
        mix(self.seed ^ mix(u64::from(self.replication) + 1))
    }
}

/// The finaliser of SplitMix64.
fn mix(word: u64) -> u64 {
    let word = (word ^ (word >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    let word = (word ^ (word >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    word ^ (word >> 31)
}

impl RngCore for Stream {
    #[inline]
    fn next_u64(&mut self) -> u64 {
        let [a, b, c, d] = &mut self.0;
        let out = a.wrapping_add(*d).rotate_left(23).wrapping_add(*a);
        let t = *b << 17;
        *c ^= *a;
        *d ^= *b;
        *b ^= *c;
        *a ^= *d;
        *c ^= t;
        *d = d.rotate_left(45);
        out
    }

    fn next_u32(&mut self) -> u32 {
        (self.next_u64() >> 32) as u32
    }

    fn fill_bytes(&mut self, into: &mut [u8]) {
        for chunk in into.chunks_mut(8) {
            chunk.copy_from_slice(&self.next_u64().to_le_bytes()[..chunk.len()]);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn streams_differ_and_repeat() {
        let first = |seed, replication, purpose, index| Stream::new(seed, replication, purpose, index).next_u64();
        let base = first(1, 0, Purpose::Arrivals, 0);
        assert_eq!(base, first(1, 0, Purpose::Arrivals, 0));
        for other in [
            first(2, 0, Purpose::Arrivals, 0),
            first(1, 1, Purpose::Arrivals, 0),
            first(1, 0, Purpose::Service, 0),
            first(1, 0, Purpose::Arrivals, 1),
        ] {
            assert_ne!(base, other);
        }
    }

    #[test]
    fn units_are_uniform() {
        let mut stream = Stream::new(7, 0, Purpose::Service, 0);
        let n = 20_000;
        let mean = (0..n).map(|_| stream.unit()).sum::<f64>() / f64::from(n);
        assert!((mean - 0.5).abs() < 0.01, "{mean}");
    }
}
