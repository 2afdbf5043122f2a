//! The replicas of the controller: who is there, who owns which work, and what they tell each other.
//!
//! - [`roster`]: the live replicas, and the owner of each piece of work among them
//! - [`exchange`]: what this replica tells its peers as resources on its stream, and what it hears from theirs

pub mod exchange;
pub mod roster;

pub use exchange::{Exchange, Heard, News};
pub use roster::Roster;

use rollcall_catalog::model::Name;

/// What other rooms need of the replicas. Clones are the same.
#[derive(Clone, Debug)]
pub struct Replicas {
    /// Who is there, and who owns what.
    pub roster: Roster,
    /// What is told to peers, and heard from them.
    pub exchange: Exchange,
}

/// Starts as the only replica, which owns everything.
pub fn start(identity: &str) -> Replicas {
    let me = Name::from(identity);
    Replicas { roster: Roster::alone(Name::clone(&me)), exchange: Exchange::new(me) }
}
