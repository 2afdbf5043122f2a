//! The servers that are asked, their order and their health.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use arc_swap::ArcSwap;
use hickory_proto::rr::Name;
use tokio::time::Instant;

use super::exchange::Failure;
use super::message::Ids;
use super::proof::Bears;
use super::target::Server;
use super::tls::{self, Channel};

/// Servers beyond these are left out.
pub const UPSTREAMS_MAX: usize = 8;
/// Failures in a row that hold a server down without a look at it.
const FAILURES_MAX: u32 = 2;

/// The servers in force. Readers take no lock to have them.
#[derive(Debug, Default)]
pub struct Upstreams {
    set: ArcSwap<Vec<Arc<Upstream>>>,
    /// Of questions.
    pub ids: Ids,
    /// Counts what may turn a failure into an answer: other servers, and ones that came back.
    epoch: AtomicU64,
    /// Whom those that are spoken to over TLS are believed by.
    trust: tls::Trust,
}

/// One server.
#[derive(Debug)]
pub struct Upstream {
    /// Where it is.
    pub addr: SocketAddr,
    /// A name that only this process asks this server for: whoever asks us for it was sent by that server.
    pub own_question: Name,
    /// What it bears of what makes answers hard to forge.
    pub bears: Bears,
    /// How it is spoken to, if over TLS.
    pub channel: Option<Channel>,
    server: Server,
    own_question_came: AtomicBool,
    health: Mutex<Health>,
}

#[derive(Debug)]
struct Health {
    standing: Standing,
    /// Of clients' questions, in a row.
    failures: u32,
    /// Whether the next look is to be a thorough one: the first, and after a failure.
    in_doubt: bool,
    /// When the last look was begun; `None` before the first.
    checked: Option<Instant>,
    checking: bool,
}

/// What is known of a server.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Standing {
    /// It answers.
    Usable,
    /// It does not; it is asked when no other is left.
    HeldDown,
    /// Nothing yet: it might lead back here, so it is not asked.
    Unchecked,
    /// It leads back to this server: it is not asked.
    Looping,
}

/// How a server is looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Look {
    /// Costs it nothing: it need not ask others.
    Routine,
    /// Has it ask others, so that loops through it are found.
    Thorough,
}

/// What a look at a server showed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Seen {
    /// An answer, whatever it says.
    Answered,
    /// None.
    Silent,
}

// === impl Upstreams ===

impl Upstreams {
    /// None yet. Of those that are spoken to over TLS, certificates are believed by `trust`.
    pub fn trusting(trust: tls::Trust) -> Self {
        Self { trust, ..Self::default() }
    }

    /// Replaces the servers. Those that stay keep what is known of them.
    pub fn set(&self, servers: &[Server]) {
        let held = self.set.load();
        let known = |server: &Server| held.iter().find(|upstream| upstream.server == *server).cloned();
        let new = |server: &Server| Arc::new(Upstream::new(server, &self.ids, &self.trust));
        self.set.store(Arc::new(servers.iter().map(|server| known(server).unwrap_or_else(|| new(server))).collect()));
        self.came_back();
    }

    /// Another number when servers were replaced, or one came back: what failed before may be answered now.
    pub fn epoch(&self) -> u64 {
        self.epoch.load(Ordering::Relaxed)
    }

    /// One came back.
    pub fn came_back(&self) {
        self.epoch.fetch_add(1, Ordering::Relaxed);
    }

    /// All of them.
    pub fn all(&self) -> Arc<Vec<Arc<Upstream>>> {
        self.set.load_full()
    }

    /// Those to ask: as given, the ones that are held down last.
    pub fn in_order(&self) -> Vec<Arc<Upstream>> {
        let set = self.set.load();
        let of = |standing: Standing| set.iter().filter(move |upstream| upstream.standing() == standing).cloned();
        of(Standing::Usable).chain(of(Standing::HeldDown)).collect()
    }

    /// Whether a question is one of our own that came back. Its server is not asked any more.
    pub fn is_own_question(&self, name: &Name) -> bool {
        let set = self.set.load();
        let own = set.iter().find(|upstream| upstream.own_question == *name);
        own.inspect(|upstream| upstream.own_question_came.store(true, Ordering::Relaxed)).is_some()
    }

    /// How many there are of each standing.
    pub fn count(&self) -> BTreeMap<Standing, i64> {
        let mut counts: BTreeMap<_, _> = Standing::ALL.map(|standing| (standing, 0)).into();
        for upstream in self.set.load().iter() {
            *counts.entry(upstream.standing()).or_default() += 1;
        }
        counts
    }
}

// === impl Upstream ===

impl Upstream {
    fn new(server: &Server, ids: &Ids, trust: &tls::Trust) -> Self {
        let labels = [format!("{:016x}", ids.token()), "rollcall-loop-check".to_owned()];
        let mut own_question = Name::from_labels(labels.iter().map(String::as_bytes)).unwrap_or_default();
        own_question.set_fqdn(true);
        let standing = Standing::Unchecked;
        let health = Health { standing, failures: 0, in_doubt: true, checked: None, checking: false };
        Self {
            addr: server.addr,
            own_question,
            bears: Bears::new(ids.token().to_be_bytes()),
            channel: server.tls.clone().map(|name| Channel::new(server.addr, name, trust.clone())),
            server: server.clone(),
            own_question_came: AtomicBool::new(false),
            health: Mutex::new(health),
        }
    }

    /// As operators give it.
    pub fn server(&self) -> &Server {
        &self.server
    }

    /// What is known of it.
    pub fn standing(&self) -> Standing {
        self.health().standing
    }

    /// Whether it failed of late.
    pub fn is_held_down(&self) -> bool {
        self.standing() == Standing::HeldDown
    }

    /// It answered a client's question.
    pub fn answered(&self) {
        let mut health = self.health();
        health.failures = 0;
        if health.standing == Standing::HeldDown {
            health.standing = Standing::Usable;
        }
    }

    /// It did not answer a client's question. True when it is held down from now on.
    ///
    /// Silence may be about the name alone, whose own servers are away: a look shows whether it is about this one.
    pub fn failed(&self, failure: Failure) -> bool {
        let mut health = self.health();
        health.failures = health.failures.saturating_add(1);
        health.in_doubt = true;
        let gone = match failure {
            Failure::Unreachable => health.failures >= FAILURES_MAX,
            Failure::Silent | Failure::Malformed | Failure::NoEdns | Failure::NoSocket | Failure::Doubtful => false,
        };
        let falls = gone && health.standing == Standing::Usable;
        if falls {
            health.standing = Standing::HeldDown;
        }
        falls
    }

    /// The look that is due at it, if one is, which is then begun.
    pub fn begin_check(&self, now: Instant) -> Option<Look> {
        let mut health = self.health();
        let due = health.checked.is_none_or(|checked| now >= checked + health.check_interval());
        if health.checking || !due {
            return None;
        }
        health.checking = true;
        health.checked = Some(now);
        self.own_question_came.store(false, Ordering::Relaxed);
        Some(health.next_look())
    }

    /// The look is over. Returns the standing before and after.
    pub fn end_check(&self, look: Look, seen: Seen) -> (Standing, Standing) {
        let mut health = self.health();
        let before = health.standing;
        health.checking = false;
        health.standing = match (self.own_question_came.load(Ordering::Relaxed), seen) {
            (true, _) => Standing::Looping,
            (false, Seen::Answered) => Standing::Usable,
            // A datagram may be lost; with a client's question unanswered too, it is away.
            (false, Seen::Silent) if before == Standing::Usable && health.failures == 0 => Standing::Usable,
            (false, Seen::Silent) => Standing::HeldDown,
        };
        if seen == Seen::Answered {
            health.failures = 0;
            health.in_doubt &= look == Look::Routine;
        }
        (before, health.standing)
    }

    fn health(&self) -> std::sync::MutexGuard<'_, Health> {
        self.health.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

// === impl Health ===

impl Health {
    /// A loop may hide behind silence, and one that a thorough look found is lost to a routine one.
    fn next_look(&self) -> Look {
        match self.standing {
            Standing::Usable if !self.in_doubt => Look::Routine,
            Standing::Usable | Standing::HeldDown | Standing::Unchecked | Standing::Looping => Look::Thorough,
        }
    }

    /// Between two looks. A loop may come about later: a Service's address turns into ours when its selector does.
    fn check_interval(&self) -> Duration {
        match self.standing {
            Standing::Looping => Duration::from_secs(30),
            Standing::Usable if !self.in_doubt => Duration::from_secs(60),
            Standing::Usable | Standing::HeldDown | Standing::Unchecked => Duration::from_secs(1),
        }
    }
}

// === impl Standing ===

impl Standing {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Usable, Self::HeldDown, Self::Unchecked, Self::Looping];
}

#[cfg(test)]
mod tests;
