//! One instance's life, from its beats and its silence.

use std::sync::Arc;
use std::time::Duration;

use rollcall_catalog::model::{Health, Name};
use rollcall_catalog::time::Now;

use super::definition::{ALLOWANCE, Detector, Heartbeat};
use super::intervals::Intervals;
use super::machine::{self, Judged, OnMachine};
use crate::ledger::Evidence;
use crate::told::Told;

/// What an instance says of itself with a beat.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Said {
    status: Status,
    note: Option<Name>,
    machine: Option<Arc<[OnMachine]>>,
}

/// How an instance finds itself.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Status {
    /// Well.
    #[default]
    Pass,
    /// It can be called, and something is wrong.
    Warn,
    /// Not to be called.
    Fail,
    /// It stops, and will be silent from now on.
    Stopped,
}

/// Until when an instance has to be heard again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Due {
    /// Silence for this long, from the beat on, makes it Critical.
    pub within: Duration,
    /// How often it is to beat.
    pub interval: Duration,
}

/// Bytes of a note. What is longer is cut.
pub const NOTE_MAX: usize = 256;

/// How the reason ends of a silence that may be older than this replica has listened.
const UNHEARD_HERE: &str = ", and none since this replica listens";

/// One instance.
#[derive(Clone, Debug)]
pub struct Instance {
    /// When it was heard last, or when listening began, in milliseconds awake.
    heard_ms: u64,
    life: Life,
    said: Status,
    /// Since when its health is what it is, in milliseconds since the epoch.
    since_ms: i64,
    told: Told,
    intervals: Option<Box<Intervals>>,
    /// What each check on its machine says, once it has said anything of them.
    machine: Option<Arc<[Judged]>>,
}

/// How an instance is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Life {
    /// Nobody has ever heard it: callers do not have it.
    Unheard,
    /// Not heard here yet. What others knew of it stands for a full period: before a restart, at the replica that listened
    /// until now, or while it did not have to beat.
    Vouched,
    /// Heard, and not silent for too long.
    Heard,
    /// Silent for too long.
    Silent,
}

// === impl Said ===

impl Said {
    /// A beat with nothing to say.
    pub const PASS: Self = Self { status: Status::Pass, note: None, machine: None };
    /// The last one before it stops.
    pub const STOPPED: Self = Self { status: Status::Stopped, note: None, machine: None };

    /// A status with a note in plain words, of which what is longer than [`NOTE_MAX`] is cut and control characters are
    /// left out: it is shown to people.
    pub fn new(status: Status, note: &str) -> Self {
        let mut kept = String::new();
        for character in note.trim().chars().filter(|character| !character.is_control()) {
            if kept.len() + character.len_utf8() > NOTE_MAX {
                break;
            }
            kept.push(character);
        }
        Self { status, note: Some(kept).filter(|note| !note.is_empty()).map(Name::from), machine: None }
    }

    /// The same, and what each check on the machine says, sorted by name: all of them. Who leaves this out says nothing of them.
    #[must_use]
    pub fn with_machine(self, checks: Arc<[OnMachine]>) -> Self {
        Self { machine: Some(checks), ..self }
    }

    /// What each check on the machine says, if it says anything of them.
    pub fn machine(&self) -> Option<&Arc<[OnMachine]>> {
        self.machine.as_ref()
    }

    /// How it finds itself.
    pub fn status(&self) -> Status {
        self.status
    }

    /// In its words.
    pub fn note(&self) -> Option<&str> {
        self.note.as_deref()
    }

    fn health(&self) -> Health {
        match self.status {
            Status::Pass => Health::Passing,
            Status::Warn => Health::Warning,
            Status::Fail | Status::Stopped => Health::Critical,
        }
    }

    fn reason(&self) -> Name {
        match (self.status, &self.note) {
            (Status::Pass, None) => "heartbeat heard".into(),
            (Status::Pass, Some(note)) => format!("heartbeat: {note}").into(),
            (Status::Warn, None) => "heartbeat says warn".into(),
            (Status::Warn, Some(note)) => format!("heartbeat says warn: {note}").into(),
            (Status::Fail, None) => "heartbeat says fail".into(),
            (Status::Fail, Some(note)) => format!("heartbeat says fail: {note}").into(),
            (Status::Stopped, None) => "said that it stops".into(),
            (Status::Stopped, Some(note)) => format!("said that it stops: {note}").into(),
        }
    }
}

// === impl Instance ===

impl Instance {
    /// One to which listening begins at `awake_ms`.
    pub fn new(life: Life, awake_ms: u64, now: Now) -> Self {
        let told = Told::inherited(Name::default());
        Self {
            heard_ms: awake_ms,
            life,
            said: Status::Pass,
            since_ms: now.wall_ms,
            told,
            intervals: None,
            machine: None,
        }
    }

    /// How it is known.
    pub fn life(&self) -> Life {
        self.life
    }

    /// When it was heard last, or when listening began, in milliseconds awake.
    pub fn heard_ms(&self) -> u64 {
        self.heard_ms
    }

    /// Listening begins anew at `awake_ms`: it has a full period from then on, and what is known of it stands until then. Also of
    /// one that was never heard here: who listened until now may have heard it.
    pub fn begin_anew(&mut self, awake_ms: u64) {
        self.heard_ms = self.heard_ms.max(awake_ms);
        self.life = Life::Vouched;
    }

    /// It was heard at `awake_ms`. What it comes to, if that changed, or what the checks on its machine say. `regular` unless this process slept in between, so that
    /// the time since the last beat says nothing.
    pub fn heard(
        &mut self,
        said: &Said,
        heartbeat: &Heartbeat,
        awake_ms: u64,
        regular: bool,
        now: Now,
    ) -> Option<Evidence> {
        let before = self.evidence();
        // An interval that ends an outage is none: the detector would get used to outages.
        if self.life == Life::Heard && self.said != Status::Stopped && regular && awake_ms > self.heard_ms {
            self.learn(heartbeat, awake_ms - self.heard_ms);
        }
        self.heard_ms = self.heard_ms.max(awake_ms);
        let reason = said.reason();
        if before.as_ref().is_none_or(|before| before.health != said.health()) {
            self.since_ms = now.wall_ms;
            self.told.decided(&reason, now);
        } else if self.life == Life::Silent || self.said != said.status {
            self.told.decided(&reason, now);
        } else {
            self.told.saw(&reason, now);
        }
        (self.life, self.said) = (Life::Heard, said.status);
        let checks = said.machine.as_ref().and_then(|said| machine::said(self.machine.as_ref(), said, now));
        let other = checks.is_some();
        self.machine = checks.or_else(|| self.machine.take());
        self.evidence().filter(|evidence| other || before.as_ref() != Some(evidence))
    }

    /// When its silence convicts, in milliseconds awake; `None` for one that has nothing to lose.
    pub fn convicted_ms(&self, heartbeat: &Heartbeat) -> Option<u64> {
        match self.life {
            Life::Heard if self.said != Status::Stopped => {}
            Life::Vouched => {}
            Life::Heard | Life::Unheard | Life::Silent => return None,
        }
        Some(self.heard_ms.saturating_add(millis(self.silence(heartbeat).saturating_add(ALLOWANCE))))
    }

    /// Its silence has lasted until `awake_ms`: what that comes to, if it is too long.
    pub fn silent(&mut self, heartbeat: &Heartbeat, awake_ms: u64, now: Now) -> Option<Evidence> {
        self.convicted_ms(heartbeat).filter(|convicted_ms| *convicted_ms <= awake_ms)?;
        let for_s = awake_ms.saturating_sub(self.heard_ms) as f64 / 1e3;
        let why = match (self.life, heartbeat.detector()) {
            (Life::Vouched, _) => format!("no heartbeat for {for_s:.1}s{UNHEARD_HERE}"),
            (_, Detector::Ttl(_)) => format!("no heartbeat for {for_s:.1}s"),
            (_, Detector::Phi(phi)) if self.silence(heartbeat) < phi.hard_deadline => {
                format!("no heartbeat for {for_s:.1}s: by its last beats less likely than 10^-{}", phi.threshold)
            }
            (_, Detector::Phi(_)) => format!("no heartbeat for {for_s:.1}s, its hard deadline"),
        };
        let was_critical = self.evidence().is_some_and(|before| before.health == Health::Critical);
        self.life = Life::Silent;
        if !was_critical {
            self.since_ms = now.wall_ms;
        }
        self.told.decided(&why.into(), now);
        self.evidence()
    }

    /// What it says to the ledger; `None` while others speak for it.
    pub fn evidence(&self) -> Option<Evidence> {
        let health = match (self.life, self.said) {
            (Life::Vouched, _) => return None,
            (Life::Unheard, _) => return Some(unheard(self.since_ms)),
            (Life::Silent, _) | (Life::Heard, Status::Fail | Status::Stopped) => Health::Critical,
            (Life::Heard, Status::Warn) => Health::Warning,
            (Life::Heard, Status::Pass) => Health::Passing,
        };
        Some(Evidence { health, since_ms: self.since_ms, reason: Name::clone(self.told.reason()) })
    }

    /// What each check on its machine says; `None` while nobody has said anything of them here.
    pub fn machine(&self) -> Option<&Arc<[Judged]>> {
        self.machine.as_ref()
    }

    /// By when it is to be heard again.
    pub fn due(&self, heartbeat: &Heartbeat) -> Due {
        Due { within: self.silence(heartbeat), interval: heartbeat.interval() }
    }

    /// What it learned is about another definition.
    pub fn redefined(&mut self, heartbeat: &Heartbeat) {
        match (heartbeat.detector(), &self.intervals) {
            (Detector::Phi(_), None) => {}
            (Detector::Phi(_) | Detector::Ttl(_), _) => self.intervals = None,
        }
    }

    /// Bytes that it takes beside itself.
    pub fn heap_bytes(&self) -> usize {
        self.intervals.as_ref().map_or(0, |intervals| size_of::<Intervals>() + intervals.heap_bytes())
    }

    fn silence(&self, heartbeat: &Heartbeat) -> Duration {
        match heartbeat.detector() {
            Detector::Ttl(ttl) => *ttl,
            Detector::Phi(phi) => match &self.intervals {
                Some(learned) => heartbeat.silence(phi, learned.mean_ms(), learned.deviation_ms()),
                None => {
                    let interval_ms = heartbeat.interval().as_secs_f64() * 1e3;
                    heartbeat.silence(phi, interval_ms, interval_ms / 4.0)
                }
            },
        }
    }

    fn learn(&mut self, heartbeat: &Heartbeat, interval_ms: u64) {
        let Detector::Phi(phi) = heartbeat.detector() else { return };
        let new = || Box::new(Intervals::new(phi.window, heartbeat.interval(), phi.hard_deadline));
        self.intervals.get_or_insert_with(new).add(interval_ms);
    }
}

/// Whether it is the silence of an instance that was not heard here. Of one that nobody else has heard either it says nothing: that
/// one is Unknown, and stays so.
pub fn is_unheard_here(silence: &Evidence) -> bool {
    silence.health == Health::Critical && silence.reason.ends_with(UNHEARD_HERE)
}

/// What is said of an instance that nobody has ever heard.
pub fn unheard(since_ms: i64) -> Evidence {
    Evidence {
        health: Health::Unknown,
        since_ms,
        reason: "no heartbeat yet: callers get it after the first one".into(),
    }
}

/// Whole milliseconds, never fewer.
fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos().div_ceil(1_000_000)).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests;
