//! Latencies by count: logarithmic buckets as in HdrHistogram (Tene), with the same equivalent values, but kept in small pages
//! that are made when something falls into them. So a histogram takes what its values are spread over, and one of a function
//! that is called twice a day takes next to nothing.

use std::collections::BTreeMap;

/// How finely values are told apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Precision {
    /// Three digits: a value lies within a thousandth of what is told.
    Fine,
    /// Two digits, within a hundredth: for many histograms at once.
    Coarse,
}

impl Precision {
    /// Buckets for each doubling, as a power of two.
    const fn bits(self) -> u32 {
        match self {
            Precision::Fine => 10,
            Precision::Coarse => 7,
        }
    }
}

const PAGE_BITS: u32 = 6;
const PAGE: usize = 1 << PAGE_BITS;

type Page = [u32; PAGE];

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Latencies {
    bits: u32,
    pages: Vec<Option<Box<Page>>>,
    /// What has gone beyond 32 bits: bucket, and how often it has.
    carried: BTreeMap<usize, u64>,
    count: u64,
}

impl Latencies {
    pub fn new(precision: Precision) -> Latencies {
        Latencies {
            bits: precision.bits(),
            pages: Vec::new(),
            carried: BTreeMap::new(),
            count: 0,
        }
    }

    /// The first two doublings are not told apart by their size but value by value.
    #[inline]
    fn bucket(&self, value: u64) -> usize {
        let mask = (2u64 << self.bits) - 1;
        let shift = 63 - self.bits - (value | mask).leading_zeros();
        ((shift as usize) << self.bits) + (value >> shift) as usize
    }

    /// The largest value that falls into this bucket.
    fn upper(&self, bucket: usize) -> u64 {
        let half = 1usize << self.bits;
        let shift = (bucket >> self.bits).saturating_sub(1);
        let sub = bucket - (shift << self.bits);
        debug_assert!(sub < 2 * half, "a bucket lies in its doubling");
        (((sub as u64) + 1) << shift).wrapping_sub(1)
    }

    #[inline]
    pub fn record(&mut self, value: u64) {
        let bucket = self.bucket(value);
        self.count += 1;
        if let Some(Some(page)) = self.pages.get_mut(bucket >> PAGE_BITS) {
            let cell = &mut page[bucket % PAGE];
            *cell = cell.wrapping_add(1);
            if *cell == 0 {
                self.carry(bucket);
            }
            return;
        }
        self.record_first(bucket);
    }

    #[cold]
    fn record_first(&mut self, bucket: usize) {
        let at = bucket >> PAGE_BITS;
        if at >= self.pages.len() {
            self.pages.resize(at + 1, None);
        }
        self.pages[at].get_or_insert_with(|| Box::new([0; PAGE]))[bucket % PAGE] = 1;
    }

    #[cold]
    fn carry(&mut self, bucket: usize) {
        *self.carried.entry(bucket).or_default() += 1;
    }

    pub fn clear(&mut self) {
        self.pages.clear();
        self.carried.clear();
        self.count = 0;
    }

    /// The value that this share of all values does not exceed; 0 of none.
    pub fn quantile(&self, share: f64) -> u64 {
        let rank = ((share * self.count as f64).ceil() as u64).max(1);
        let mut below = 0;
        for (at, page) in self.pages.iter().enumerate() {
            for (within, cell) in page.iter().flat_map(|page| page.iter().enumerate()) {
                let bucket = (at << PAGE_BITS) + within;
                let carried = self.carried.get(&bucket).copied().unwrap_or(0);
                below += (carried << 32) + u64::from(*cell);
                if below >= rank && below > 0 {
                    return self.upper(bucket);
                }
            }
        }
        0
    }
}

#[cfg(test)]
mod tests {
    use hdrhistogram::Histogram;
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn quantiles_are_those_of_an_hdr_histogram(
            values in proptest::collection::vec((any::<u64>(), 0u32..64), 1..300),
            coarse in any::<bool>(),
        ) {
            let (precision, digits) = if coarse { (Precision::Coarse, 2) } else { (Precision::Fine, 3) };
            let mut ours = Latencies::new(precision);
            let mut theirs = Histogram::<u64>::new(digits).expect("a precision it has");
            for (value, shift) in values {
                // Beyond that theirs does not go.
                let value = (value >> shift) >> 2;
                ours.record(value);
                theirs.record(value).expect("it grows");
            }
            for share in [0.001, 0.1, 0.5, 0.9, 0.99, 1.0] {
                prop_assert_eq!(ours.quantile(share), theirs.value_at_quantile(share));
            }
        }
    }

    #[test]
    fn counts_go_beyond_32_bits() {
        let mut latencies = Latencies::new(Precision::Fine);
        latencies.record(5);
        latencies.record(9);
        // As after 2^32 - 2 more records of 5.
        latencies.count += u64::from(u32::MAX) - 1;
        latencies.pages[0].as_mut().expect("a page")[5] = u32::MAX;
        latencies.record(5);
        assert_eq!(latencies.carried, BTreeMap::from([(5, 1)]));
        assert_eq!((latencies.quantile(0.5), latencies.quantile(1.0)), (5, 9));
    }

    #[test]
    fn what_is_called_seldom_takes_little() {
        let mut latencies = Latencies::new(Precision::Coarse);
        assert_eq!(latencies.quantile(0.5), 0);
        for ms in [800, 1_000, 1_700] {
            latencies.record(ms * 1_000);
        }
        assert!(latencies.pages.iter().flatten().count() <= 3 && latencies.pages.len() < 64);
    }
}
