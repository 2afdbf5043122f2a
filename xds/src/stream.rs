//! What both variants of the protocol have in common: what goes out next, who has to wait for whom, and what one stream may
//! take. Pure: no I/O, no clock.
//!
//! - [`session`]: one stream: subscriptions, and what is next
//! - [`subscription`]: everything of one type: what is wanted, what is held, what is to be sent
//! - [`shared`]: what many clients hold alike is in memory once
//! - [`ask`], [`heard`]: a request, and what it says of earlier responses
//! - [`serves`], [`unserved`]: which types a stream is for, and what is said of others
//! - [`front`]: the messages of a variant around it
//! - [`followers`]: names that are made on demand change with what they are made of
//! - [`order`]: additions before removals, make before break
//! - [`warming`]: Endpoints follow each Cluster sent
//! - [`window`]: one unanswered response of a type
//! - [`queue`]: names that wait to be sent, bounded in bytes
//! - [`nonce`]: names of responses, and refusals
//! - [`limits`], [`error`]: what a stream may ask for, and how it ends

pub(crate) mod ask;
pub(crate) mod error;
mod followers;
pub(crate) mod front;
mod heard;
pub(crate) mod limits;
pub(crate) mod nonce;
pub(crate) mod order;
pub(crate) mod queue;
mod serves;
pub(crate) mod session;
mod shared;
mod subscription;
mod unserved;
pub(crate) mod warming;
pub(crate) mod window;

pub use crate::asking::{Serves, Variant};

use self::subscription::{Telling, take_room};
pub use self::{
    error::SessionError,
    front::{Content, Front, Outgoing},
    heard::Heard,
    limits::Limits,
    nonce::{Nonce, Rejection},
    session::Session,
    subscription::{Holding, Standing},
};

/// Largest response, in bytes of resources and names: below the 4 MiB that gRPC clients accept, with room for the rest of
/// the message. A single larger resource goes alone.
pub const RESPONSE_BYTES_MAX: usize = 7 << 19;
