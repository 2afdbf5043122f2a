//! Randomness for jitter, where neither secrecy nor quality matters.

use std::hash::{BuildHasher, RandomState};

/// A number in 0..1, different in every process and at every call.
pub fn fraction() -> f64 {
    // Each RandomState has its own keys, seeded by the operating system.
    let bits = RandomState::new().hash_one(0_u8) >> 11;
    bits as f64 / (1_u64 << 53) as f64
}
