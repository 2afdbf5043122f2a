//! Time and chance.
//!
//! - [`clock`]: the only place that reads a clock
//! - [`backoff`]: pauses between attempts
//! - [`random`]: numbers for jitter

pub mod backoff;
pub mod clock;
pub mod random;
