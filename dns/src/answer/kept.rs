//! Answers of other servers that are kept: how they are asked for here, whoever keeps them.

use super::Transport;
use super::edns::Edns;

/// What an answer repeats of its client's query.
#[derive(Clone, Copy, Debug)]
pub struct Client<'a> {
    /// Id and flags.
    pub begin: [u8; 4],
    /// OPT.
    pub edns: Option<&'a Edns>,
    /// The name as it is spelled, without the root.
    pub name: &'a [u8],
}

/// Has answers at hand.
pub trait Gives: Send + Sync {
    /// Writes the answer to a question into `out`, which is empty. False, and nothing written, when there is none, or more is to be done.
    /// The key is the name in lower case, without the root, its type, and a byte with DO (1) and AD (2).
    fn give(&self, key: &[u8], client: &Client<'_>, transport: Transport, out: &mut Vec<u8>) -> bool;
}
