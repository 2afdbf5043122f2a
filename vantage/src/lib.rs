//! Who is no replica of the controller and probes for it: what is asked, what is answered, and how.
//!
//! - [`lookout`]: by which names they are asked
//! - [`wire`]: a check as it is asked for, and what came of it
//! - [`answers`]: a bounded number of probes under way, for whoever has a stream
//! - [`attend`]: a stream for this alone, of a DNS server; an agent has one already

pub mod answers;
pub mod attend;
pub mod lookout;
pub mod wire;
