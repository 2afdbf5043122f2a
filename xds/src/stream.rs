//! What both variants of the protocol have in common: what goes out next, who has to wait for whom, and what one stream may
//! take. Pure: no I/O, no clock.
//!
//! - [`order`]: additions before removals, make before break
//! - [`warming`]: Endpoints follow each Cluster sent
//! - [`window`]: one unanswered response of a type
//! - [`queue`]: names that wait to be sent, bounded in bytes
//! - [`nonce`]: names of responses, and refusals
//! - [`limits`], [`error`]: what a stream may ask for, and how it ends

pub(crate) mod error;
pub(crate) mod limits;
pub(crate) mod nonce;
pub(crate) mod order;
pub(crate) mod queue;
pub(crate) mod warming;
pub(crate) mod window;

pub use self::{
    error::SessionError,
    limits::Limits,
    nonce::{Nonce, Rejection},
};

/// Largest response, in bytes of resources and names: below the 4 MiB that gRPC clients accept, with room for the rest of
/// the message. A single larger resource goes alone.
pub const RESPONSE_BYTES_MAX: usize = 7 << 19;
