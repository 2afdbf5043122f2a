//! The replicas of the controller: who is there, who owns which work, and what they tell each other.
//!
//! ```text
//!  Leases <--> registrar --Listing--> members --Standing--> roster --> checks, beats
//!                                       |  ^
//!                                       v  | Replica, twice a second
//!  streams of peers <--dial-- exchange <---+--- checks, beats (verdicts, doubts, testimonies, beats)
//! ```
//!
//! - [`roster`]: the live replicas, and the owner of each piece of work among them
//! - [`exchange`]: what this replica tells its peers as resources on its stream, and what it hears from theirs
//! - [`members`]: the task that knows who is there, by the rules of `rollcall_health::membership`
//! - [`registrar`]: this replica's Lease, and those of the others; [`card`]: what one says
//! - [`dial`]: the streams to peers; [`proof`]: how they know each other; [`asking`]: what is asked of all of them at once
//! - [`metrics`]: what is measured
//!
//! A replica without the right to Leases, or that nobody can reach, is alone and owns everything.

pub mod asking;
pub mod card;
pub mod dial;
pub mod exchange;
pub mod members;
pub mod metrics;
pub mod proof;
pub mod registrar;
pub mod roster;

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;

use kube::Client;
use prometheus_client::registry::Registry;
use rollcall_catalog::model::Name;
use rollcall_health::membership::{Membership, Presence, Standing};
use rollcall_xds::resource::ResourceType;
use rollcall_xds::server::BetweenReplicas;
use rollcall_xds::tls::Certificates;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use self::asking::Peers;
use self::card::Card;
use self::members::Members;
use self::metrics::Metrics;
use self::proof::Proofs;
use self::registrar::Registrar;
use crate::kubernetes::denial_notices::DenialNotices;
use crate::time::clock::Clock;

pub use exchange::{Exchange, Heard, News};
pub use roster::Roster;

/// What other rooms need of the replicas. Clones are the same.
#[derive(Clone, Debug)]
pub struct Replicas {
    /// Who is there, and who owns what.
    pub roster: Roster,
    /// What is told to peers, and heard from them.
    pub exchange: Exchange,
    /// Who can be asked.
    pub peers: Peers,
    says: watch::Sender<Presence>,
}

/// What a replica is to others.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Its identity, unique among them.
    pub identity: String,
    /// Where the Leases are.
    pub namespace: String,
    /// Where others reach its stream; `None` when they cannot.
    pub address: Option<SocketAddr>,
    /// What its stream is served with; `None` without TLS.
    pub certificates: Option<Arc<Certificates>>,
}

/// Starts as the only replica, which owns everything; looks for others until `stop`. The task ends when the Lease is removed.
/// What comes back serves the streams of peers.
pub fn start(
    (settings, denials): (Settings, DenialNotices),
    client: Client,
    clock: Clock,
    stop: &CancellationToken,
    registry: &mut Registry,
) -> ((Replicas, Option<BetweenReplicas>), JoinHandle<()>) {
    let Settings { identity, namespace, address, certificates } = settings;
    let me = Name::from(identity);
    let metrics = Metrics::new(clock);
    metrics.register(registry);
    let Some(proofs) = Proofs::new(Name::clone(&me)) else {
        tracing::error!("the operating system gives no randomness: this replica stays alone");
        return ((Replicas::alone(me), None), tokio::spawn(async {}));
    };
    let exchange = Exchange::new(Name::clone(&me));
    let (standing, stands) = watch::channel(Standing::alone(&me));
    let (says, said) = watch::channel(Presence::default());
    let (deaf, is_deaf) = watch::channel(false);
    let (left, leases_left) = watch::channel(Vec::new());
    let card = {
        let (identity, token, certificates) = (Name::clone(&me), proofs.fingerprint(), certificates.clone());
        move || Card {
            identity: Name::clone(&identity),
            address,
            certificates: members::shown(certificates.as_ref()),
            token,
        }
    };
    let (registrar, listing) = Registrar::new(client, &namespace, card, leases_left, (clock, denials));
    let (ways, known) = watch::channel(BTreeMap::new());
    let roster = Roster::new(Name::clone(&me), stands).deafened(is_deaf);
    let peers = Peers::new(roster.clone(), known, &proofs);
    let members = Members {
        membership: Membership::new(Name::clone(&me)),
        exchange: exchange.clone(),
        proofs: proofs.clone(),
        clock,
        certificates,
        listing,
        says: said,
        standing,
        deaf,
        left,
        dials: BTreeMap::new(),
        ways,
        count: 0,
        metrics,
    };
    tokio::spawn(members.run(exchange.subscribe(ResourceType::Replica), stop.clone()));
    let ended = tokio::spawn(registrar.run(stop.clone()));
    let snapshots = exchange.snapshots();
    let between = BetweenReplicas { snapshots, proves: Arc::new(move |shown| proofs.proves(shown)) };
    let replicas = Replicas { roster, exchange, peers, says };
    ((replicas, Some(between)), ended)
}

// === impl Replicas ===

impl Replicas {
    /// One that has no peers and never will.
    pub fn alone(me: impl Into<Name>) -> Self {
        Self::of(Roster::alone(me))
    }

    /// Those of a roster, to whom no stream leads.
    pub(crate) fn of(roster: Roster) -> Self {
        let (exchange, peers) = (Exchange::new(roster.mine()), Peers::nobody(roster.clone()));
        Self { roster, exchange, peers, says: watch::Sender::new(Presence::default()) }
    }

    /// Tells the others whether this replica suspects that what it sees is its own fault.
    pub fn suspects_itself(&self, suspects_itself: bool) {
        self.says
            .send_if_modified(|says| std::mem::replace(&mut says.suspects_itself, suspects_itself) != suspects_itself);
    }
}
