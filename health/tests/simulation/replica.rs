//! One replica: the state machines, and a driver as thin as the one of the controller.

use std::collections::BTreeMap;
use std::sync::Arc;

use rollcall_catalog::input::Origin;
use rollcall_catalog::model::Name;
use rollcall_catalog::time::Now;
use rollcall_health::beat::Beats;
use rollcall_health::checks::{Admission, Change, Listening, Relay, Start, Step, Telling};
use rollcall_health::membership::{Membership, Presence, Standing};
use rollcall_health::{Checks, owner};

use crate::net::{Key, Published, Stream, Value};

pub(crate) struct Replica {
    pub(crate) name: Name,
    pub(crate) checks: Checks,
    pub(crate) beats: Beats,
    pub(crate) membership: Membership,
    pub(crate) standing: Standing,
    pub(crate) published: Published,
    /// What it has of each other one, by its number.
    pub(crate) streams: BTreeMap<usize, Stream>,
    pub(crate) alive: bool,
    /// Grows with each start.
    pub(crate) incarnation: u64,
    /// Its wall clock is off by this.
    pub(crate) skew_ms: i64,
    /// It cannot reach targets.
    pub(crate) blind: bool,
    /// It cannot read or write Leases.
    pub(crate) without_leases: bool,
    /// Until when it reached neither targets nor other replicas.
    pub(crate) outcast_ms: u64,
    /// When it started, or began to see otherwise: nothing is expected of it right then.
    pub(crate) troubled_ms: u64,
    /// When it is to do what is due next.
    pub(crate) step_ms: u64,
}

/// What came of a step.
#[derive(Default)]
pub(crate) struct Did {
    pub(crate) starts: Vec<Start>,
    /// Whom to ask, of those that may be connected to it.
    pub(crate) relays: Vec<Relay>,
    pub(crate) changes: Vec<Change>,
    /// Names with news, to be delivered.
    pub(crate) published: Vec<Key>,
}

impl Replica {
    pub(crate) fn now(&self, now_ms: u64) -> Now {
        let wall_ms = 1_700_000_000_000 + i64::try_from(now_ms).expect("small") + self.skew_ms;
        Now { mono_ms: now_ms, wall_ms }
    }

    /// Says that it lives.
    pub(crate) fn say(&mut self, now_ms: u64) -> Key {
        let suspects_itself = self.checks.suspects_itself(self.now(now_ms));
        let presence = Presence { suspects_itself, leaves: false };
        self.membership.says(presence);
        self.published.publish(Key::Presence, Some(Value::Presence(presence)));
        Key::Presence
    }

    /// Looks who is there.
    pub(crate) fn look(&mut self, now_ms: u64) {
        let suspects_itself = self.checks.suspects_itself(self.now(now_ms));
        self.membership.says(Presence { suspects_itself, leaves: false });
        let standing = self.membership.standing(now_ms);
        if standing != self.standing {
            self.standing = standing.clone();
            let owns = self.owns();
            self.beats.own(&owns);
            self.checks.stand(standing, self.now(now_ms));
        }
    }

    /// What nobody else can be at, as it sees the others.
    pub(crate) fn owns(&self) -> impl Fn(&Origin, &str) -> bool + use<> {
        let (me, standing) = (Name::clone(&self.name), self.standing.clone());
        move |origin, endpoint| standing.keeps(&me, &owner::work(origin, endpoint))
    }

    /// Takes in a resource of another one, and what follows at once.
    pub(crate) fn hear(&mut self, from: (usize, &Name), key: &Key, value: Option<Value>, now_ms: u64) -> Vec<Change> {
        let (number, from) = from;
        let now = self.now(now_ms);
        match (key, value) {
            (Key::Presence, Some(Value::Presence(presence))) => self.membership.heard(from, presence, now_ms),
            (Key::Verdicts(origin), Some(Value::Verdicts(said))) => self.checks.heard(from, origin, said, now),
            (Key::Verdicts(origin), _) => self.checks.heard(from, origin, BTreeMap::new(), now),
            (Key::Doubt(number), Some(Value::Doubt(ask))) => self.checks.asked(from, *number, Some(ask)),
            (Key::Doubt(number), _) => self.checks.asked(from, *number, None),
            (Key::Testimony(asker, number), Some(Value::Testimony(said))) if *asker == self.name => {
                self.checks.testified(from, *number, &said, now);
            }
            (Key::Beats(_), Some(Value::Beats(told))) => {
                let peer = u32::try_from(number).expect("few");
                let changes: Vec<_> = told.iter().filter_map(|told| self.beats.overheard(peer, told, now).1).collect();
                return self.judged(changes, now_ms);
            }
            _ => {}
        }
        Vec::new()
    }

    /// Does what is due.
    pub(crate) fn step(&mut self, now_ms: u64) -> Did {
        let (now, mut did) = (self.now(now_ms), Did::default());
        while let Some(Listening { origin, endpoint, ear }) = self.checks.take_listening() {
            self.beats.listen(&origin, &endpoint, ear, now);
        }
        while let Some(step) = self.checks.next(now, &mut |_| Admission::Admitted) {
            match step {
                Step::Start(start) => did.starts.push(start),
                Step::Change(change) => did.changes.push(change),
                Step::Relay(relay) => did.relays.push(relay),
            }
        }
        while let Some(telling) = self.checks.take_telling() {
            let (key, value) = match telling {
                Telling::Verdicts(origin) => {
                    let said = self.said(&origin);
                    (Key::Verdicts(origin), (!said.is_empty()).then_some(Value::Verdicts(said)))
                }
                Telling::Doubt(number, ask) => (Key::Doubt(number), ask.map(Value::Doubt)),
                Telling::Testimony(asker, number, said) => (Key::Testimony(asker, number), said.map(Value::Testimony)),
            };
            self.published.publish(key.clone(), value);
            did.published.push(key);
        }
        did
    }

    fn said(&self, origin: &Arc<Origin>) -> BTreeMap<Name, rollcall_health::ledger::Subject> {
        let said = self.checks.said(origin).into_iter();
        said.map(|(name, subject)| (Name::clone(name), subject.clone())).collect()
    }
}
