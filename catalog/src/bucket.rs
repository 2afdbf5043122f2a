//! How a large service is cut into buckets: the same cut on the stream and in written EndpointSlices.
//!
//! The bucket of an endpoint follows from the hash of its identity alone, so packing needs no memory: every replica,
//! before and after a restart, cuts alike, and one changed endpoint of 5,000 touches one bucket.

use std::ops::Range;

use crate::model::EndpointId;

/// Endpoints per bucket that the count aims at. Hashing scatters: a bucket may hold half as many again.
pub const TARGET: usize = 64;

/// The number of buckets for `endpoints` endpoints: the least power of two that keeps about [`TARGET`] in each, and 0
/// for none.
pub fn count(endpoints: usize) -> usize {
    match endpoints {
        0 => 0,
        n => n.div_ceil(TARGET).next_power_of_two(),
    }
}

/// The bucket of an endpoint among `count` (a power of two): the leading bits of its identity.
pub fn index(id: EndpointId, count: usize) -> usize {
    debug_assert!(count.is_power_of_two());
    match count.trailing_zeros() {
        0 => 0,
        bits => usize::try_from(id.0 >> (64 - bits)).unwrap_or(usize::MAX),
    }
}

/// The bounds of each bucket in a list sorted by identity. Leading bits choose the bucket, so each is one run.
pub fn runs<T>(sorted: &[T], count: usize, id: impl Fn(&T) -> EndpointId) -> impl Iterator<Item = Range<usize>> {
    let mut start = 0;
    (0..count).map(move |bucket| {
        let len = sorted[start..].partition_point(|item| index(id(item), count) <= bucket);
        let run = start..start + len;
        start += len;
        run
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_count_is_a_power_of_two_that_keeps_about_64() {
        let counts = [0, 1, 64, 65, 128, 129, 5000].map(count);
        assert_eq!(counts, [0, 1, 1, 2, 2, 4, 128]);
    }

    #[test]
    fn runs_cover_a_sorted_list_without_gap_or_overlap() {
        let mut ids: Vec<_> = (0..1000_u64).map(|n| EndpointId(n.wrapping_mul(0x9e37_79b9_7f4a_7c15))).collect();
        ids.sort_unstable();
        let runs: Vec<_> = runs(&ids, 16, |id| *id).collect();
        assert_eq!(runs.len(), 16);
        assert_eq!(runs.iter().map(ExactSizeIterator::len).sum::<usize>(), 1000);
        for (bucket, run) in runs.into_iter().enumerate() {
            assert!(ids[run].iter().all(|id| index(*id, 16) == bucket));
        }
    }
}
