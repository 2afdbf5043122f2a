//! The wall clock, for what people read: Events, and until when a log level stays. Nothing decides on it.

use jiff::Timestamp;

/// What reads it: the program's own, or that of a test.
pub(crate) type Wall = fn() -> Timestamp;

/// Now.
#[expect(clippy::disallowed_methods, reason = "this is the clock module of this crate")]
pub(crate) fn wall() -> Timestamp {
    Timestamp::now()
}
