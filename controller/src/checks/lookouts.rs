//! Those who are no replicas and are asked whether they reach an endpoint: agents and DNS servers that are connected here.
//!
//! Whoever hears them (`agents`) lets them in, by RBAC, takes what each is to be asked, and brings what it found.

use std::collections::HashMap;
use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use prometheus_client::registry::Registry;
use rollcall_admin::page::{self, Page, count};
use rollcall_catalog::model::Name;
use rollcall_health::checks::{Relay, TargetId};
use rollcall_health::confirmation::Vote;
use rollcall_vantage::lookout::Lookout;
use rollcall_vantage::wire;
use rollcall_xds::proto::rollcall::v1::Probe;
use tokio::sync::mpsc;

/// What is to be asked of one of them. It refuses what it has no room for.
pub trait Desk: Send + Sync {
    /// Takes a question; whether it did.
    fn ask(&self, probe: Probe) -> bool;
}

/// Everybody who is there. Clones are the same.
#[derive(Clone)]
pub struct Lookouts(Arc<Shared>);

struct Shared {
    there: Mutex<There>,
    found: mpsc::Sender<(TargetId, Vote)>,
    asked: AtomicU64,
    /// What they answered, in the order of [`VOTES`].
    answers: [AtomicU64; VOTES.len()],
}

/// What may be answered, and what metrics call it.
const VOTES: [(Vote, &str); 3] = [(Vote::Reached, "reached"), (Vote::Failed, "failed"), (Vote::Abstained, "abstained")];

#[derive(Default)]
struct There {
    by_name: HashMap<Name, Seat>,
    /// Who was asked what, until it answers or leaves.
    asked: HashMap<u64, (Name, TargetId)>,
    last: u64,
}

struct Seat {
    session: u64,
    desk: Arc<dyn Desk>,
}

/// What they found, for the checks.
#[derive(Debug)]
pub struct Findings(mpsc::Receiver<(TargetId, Vote)>);

/// Findings that wait. One for which there is no room is as if it had not come.
const FINDINGS: usize = 1_024;
/// Questions open at a time. The checks have fewer; what was never answered is forgotten when there are as many.
const ASKED_MAX: usize = 8_192;

// === impl Lookouts ===

impl Lookouts {
    /// Nobody yet, and where it is heard what they find.
    pub fn new() -> (Self, Findings) {
        let (found, findings) = mpsc::channel(FINDINGS);
        let (asked, answers) = Default::default();
        (Self(Arc::new(Shared { there: Mutex::default(), found, asked, answers })), Findings(findings))
    }

    /// Registers `rollcall_vantages_…`.
    pub fn register(&self, registry: &mut Registry) {
        let lookouts = self.clone();
        page::register(registry, move |page| lookouts.write(page));
    }

    fn write(&self, page: &mut Page<'_>) -> fmt::Result {
        let kinds = [Lookout::Agent, Lookout::DnsServer].map(|kind| ([("kind", kind.as_str())], self.of_kind(kind)));
        page.gauges(
            "rollcall_vantages_connected",
            "Agents and DNS servers that are connected to this replica and may be asked whether they reach an endpoint.",
            kinds,
        )?;
        page.counters(
            "rollcall_vantages_asked",
            "Questions to agents and DNS servers about endpoints that replicas found failing.",
            [([], count(&self.0.asked))],
        )?;
        let answers = VOTES.iter().zip(&self.0.answers);
        page.counters(
            "rollcall_vantages_answers",
            "Their answers. Who abstains could not find out, or left before it had.",
            answers.map(|((_, vote), answers)| ([("answer", *vote)], count(answers))),
        )
    }

    /// How many of a kind are there.
    fn of_kind(&self, kind: Lookout) -> f64 {
        let (there, prefix) = (self.there(), kind.named(""));
        there.by_name.keys().filter(|name| name.starts_with(&*prefix)).count() as f64
    }

    /// Somebody is there, and is asked from now on, by the newest of his streams.
    pub fn enter(&self, name: &Name, session: u64, desk: Arc<dyn Desk>) {
        self.there().by_name.insert(Name::clone(name), Seat { session, desk });
    }

    /// A stream has ended, or may not be asked any more. What it was asked it cannot find out.
    pub fn leave(&self, name: &Name, session: u64) {
        let mut there = self.there();
        if there.by_name.get(name).is_none_or(|seat| seat.session != session) {
            return;
        }
        there.by_name.remove(name);
        let open = there.asked.extract_if(|_, (who, _)| who == name).map(|(_, (_, id))| id).collect::<Vec<_>>();
        drop(there);
        open.into_iter().for_each(|id| self.tell(id, Vote::Abstained));
    }

    /// How many are there.
    pub fn count(&self) -> usize {
        self.there().by_name.len()
    }

    /// Asks somebody; whether he was.
    pub fn ask(&self, relay: &Relay) -> bool {
        let mut there = self.there();
        there.last += 1;
        let number = there.last;
        let Some(seat) = there.by_name.get(&relay.who) else { return false };
        let Some(probe) = wire::probe(number, &relay.target.check, relay.target.address) else { return false };
        if !seat.desk.ask(probe) {
            return false;
        }
        if there.asked.len() >= ASKED_MAX {
            there.asked.clear();
        }
        there.asked.insert(number, (Name::clone(&relay.who), relay.id));
        self.0.asked.fetch_add(1, Relaxed);
        true
    }

    /// Somebody has found out. What he was not asked counts for nothing.
    pub fn found(&self, name: &Name, number: u64, vote: Vote) {
        let mut there = self.there();
        if there.asked.get(&number).is_some_and(|(who, _)| who == name)
            && let Some((_, id)) = there.asked.remove(&number)
        {
            drop(there);
            self.tell(id, vote);
        }
    }

    fn tell(&self, id: TargetId, vote: Vote) {
        let counted = VOTES.iter().zip(&self.0.answers).find(|((of, _), _)| *of == vote);
        counted.into_iter().for_each(|(_, answers)| _ = answers.fetch_add(1, Relaxed));
        // There is no room, or the checks have ended: whoever asks does without.
        let _ = self.0.found.try_send((id, vote));
    }

    fn there(&self) -> MutexGuard<'_, There> {
        self.0.there.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl std::fmt::Debug for Lookouts {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Lookouts").field("count", &self.count()).finish_non_exhaustive()
    }
}

// === impl Findings ===

impl Findings {
    /// The next one; for ever none when nobody can find any.
    pub async fn next(&mut self) -> (TargetId, Vote) {
        match self.0.recv().await {
            Some(found) => found,
            None => std::future::pending().await,
        }
    }
}
