//! Chance, good enough to keep clients apart.

use std::hash::{BuildHasher, Hasher, RandomState};

/// In `0.0..1.0`: the standard library seeds each `RandomState` differently.
pub(crate) fn fraction() -> f64 {
    let bits = RandomState::new().build_hasher().finish() >> 11;
    bits as f64 / (1_u64 << 53) as f64
}
