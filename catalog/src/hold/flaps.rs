//! Flap damping, after RFC 2439: each fall of an endpoint adds a penalty, which decays by its half-life. Above one limit the
//! endpoint is kept out, below another it is callable again. A penalty is an endpoint's, whatever its registration is meanwhile.

use std::collections::BTreeMap;

use crate::members::Members;
use crate::model::{Conditions, EndpointId, Health, Name};
use crate::policy::Damping;
use crate::policy::sections::ms;
use crate::service::Member;
use crate::time::Now;
use crate::treatment::{Penalty, Treatment};

/// Who fell of late in one service. Bounded by the number of its endpoints: what has decayed is forgotten.
#[derive(Debug, Default)]
pub(crate) struct Flaps {
    records: BTreeMap<EndpointId, Flap>,
    /// Of an earlier process, to be taken up.
    restored: BTreeMap<EndpointId, Penalty>,
    /// By what it was judged last, for when the service is gone.
    damping: Damping,
}

#[derive(Debug)]
struct Flap {
    penalty: f64,
    at_ms: u64,
    falls: u32,
    damped: bool,
    /// What is told of it.
    shown: Penalty,
    /// Falls when it was told.
    shown_falls: u32,
}

/// What damping did.
#[derive(Debug, Default)]
pub(crate) struct Damped {
    /// The members, with who is kept out and what is told of penalties; `None` where nobody fell.
    pub(crate) members: Option<Members>,
    /// How many are kept out.
    pub(crate) count: usize,
    /// When the first of them may come back, or is forgotten.
    pub(crate) again_ms: Option<u64>,
}

// === impl Flaps ===

impl Flaps {
    /// Takes up what an earlier process knew.
    pub(crate) fn restore(&mut self, id: EndpointId, penalty: Penalty) {
        self.restored.insert(id, penalty);
    }

    /// Whether nothing is remembered.
    pub(crate) fn is_empty(&self) -> bool {
        self.records.is_empty() && self.restored.is_empty()
    }

    /// `before` is what was said at the last call, if there was one, and `after` what is said now.
    pub(crate) fn apply(&mut self, damping: &Damping, before: Option<&Members>, after: &Members, now: Now) -> Damped {
        self.damping = *damping;
        for (id, penalty) in std::mem::take(&mut self.restored) {
            self.take_up(damping, id, penalty, now);
        }
        for (member, now_is) in before.into_iter().flat_map(|before| before.left(after)) {
            // Whom its owner takes away, or shuts down, has not fallen.
            if now_is.is_some_and(|now| now.health == Health::Critical && !now.conditions.terminating) {
                self.records.entry(member.id).or_insert_with(|| Flap::new(now)).fall(damping, now);
            }
        }
        self.tend(damping, now);
        if self.records.is_empty() {
            return Damped::default();
        }
        let there = self.records.iter().filter_map(|(id, flap)| Some((flap, after.get(*id)?)));
        let put: Vec<_> = there.map(|(flap, member)| flap.treat(damping, member)).collect();
        let is_damped = |member: &&Member| member.treatment.as_ref().is_some_and(|treatment| treatment.damped);
        Damped {
            count: put.iter().filter(is_damped).count(),
            again_ms: self.next_ms(damping),
            members: Some(after.with(put.iter().map(|member| member.id).collect(), put)),
        }
    }

    /// Forgets what has decayed while the service is not there. When to do so again, `None` when nothing is left.
    pub(crate) fn age(&mut self, now: Now) -> Option<u64> {
        let damping = self.damping;
        self.restored.clear();
        self.tend(&damping, now);
        self.next_ms(&damping)
    }

    fn tend(&mut self, damping: &Damping, now: Now) {
        self.records.retain(|_, flap| {
            let penalty = flap.decayed(damping, now.mono_ms);
            let was = flap.damped;
            flap.damped = if was { penalty > f64::from(damping.reuse) } else { penalty >= f64::from(damping.suppress) };
            if was != flap.damped {
                flap.show(damping, now);
            }
            flap.damped || penalty > forgotten(damping)
        });
    }

    fn next_ms(&self, damping: &Damping) -> Option<u64> {
        self.records.values().map(|flap| flap.until_ms(damping)).min()
    }

    fn take_up(&mut self, damping: &Damping, id: EndpointId, restored: Penalty, now: Now) {
        let age_ms = now.wall_ms.saturating_sub(restored.at_ms).max(0);
        let half_lives = age_ms as f64 / ms(damping.half_life).max(1) as f64;
        let penalty = f64::from(restored.value).min(damping.greatest()) * 0.5f64.powf(half_lives);
        // Who has seen it fall knows better.
        let restored = Flap { penalty, damped: restored.damped, shown: restored, ..Flap::new(now) };
        self.records.entry(id).or_insert(restored);
    }
}

/// Below this a penalty is not remembered.
fn forgotten(damping: &Damping) -> f64 {
    f64::from(damping.reuse) / 2.0
}

// === impl Flap ===

impl Flap {
    fn new(now: Now) -> Self {
        let shown = Penalty { value: 0, at_ms: now.wall_ms, damped: false };
        Self { penalty: 0.0, at_ms: now.mono_ms, falls: 0, damped: false, shown, shown_falls: 0 }
    }

    fn decayed(&self, damping: &Damping, now_ms: u64) -> f64 {
        let half_lives = now_ms.saturating_sub(self.at_ms) as f64 / ms(damping.half_life).max(1) as f64;
        self.penalty * 0.5f64.powf(half_lives)
    }

    fn fall(&mut self, damping: &Damping, now: Now) {
        let penalty = self.decayed(damping, now.mono_ms) + f64::from(damping.penalty);
        self.penalty = penalty.min(damping.greatest());
        self.at_ms = now.mono_ms;
        self.falls = self.falls.saturating_add(1);
        let told_s = now.wall_ms.saturating_sub(self.shown.at_ms).max(0) as f64 / ms(damping.half_life).max(1) as f64;
        let told = f64::from(self.shown.value) * 0.5f64.powf(told_s);
        if (self.penalty - told).abs() * 4.0 > self.penalty {
            self.show(damping, now);
        }
    }

    fn show(&mut self, damping: &Damping, now: Now) {
        let value = self.decayed(damping, now.mono_ms).round() as u32;
        self.shown = Penalty { value, at_ms: now.wall_ms - now.wall_ms % 1000, damped: self.damped };
        self.shown_falls = self.falls;
    }

    /// When it may come back, or is forgotten.
    fn until_ms(&self, damping: &Damping) -> u64 {
        let bound = if self.damped { f64::from(damping.reuse) } else { forgotten(damping) };
        let half_lives = (self.penalty / bound.max(f64::MIN_POSITIVE)).log2().max(0.0);
        // A millisecond more, so that it is below by then.
        self.at_ms.saturating_add((half_lives * ms(damping.half_life) as f64).ceil() as u64 + 1)
    }

    fn treat(&self, damping: &Damping, member: &Member) -> Member {
        let treatment = Treatment { held: false, damped: self.damped, penalty: Some(self.shown) };
        let mut member = member.clone();
        member.treatment = Some(Box::new(treatment));
        // Whatever its checks say at the moment, so that callers are not told of each of its turns.
        if self.damped && matches!(member.health, Health::Passing | Health::Warning | Health::Critical) {
            (member.health, member.conditions) = (Health::Critical, Conditions::NOT_READY);
            member.reason = self.words(damping);
            member.since_ms = Some(self.shown.at_ms);
        }
        member
    }

    fn words(&self, damping: &Damping) -> Name {
        let half_lives = (f64::from(self.shown.value) / f64::from(damping.reuse)).log2().max(0.0);
        let rest = damping.half_life.mul_f64(half_lives);
        let falls = match self.shown_falls {
            0 => "it fell too often before the controller started".to_owned(),
            falls => format!("it fell {falls} times of late"),
        };
        format!(
            "damped, as {falls}: penalty {}, kept out until that is down to {}, {} after its last fall",
            self.shown.value,
            damping.reuse,
            crate::time::words(rest)
        )
        .into()
    }
}

// === impl Damping ===

impl Damping {
    /// A penalty is never greater: it would keep an endpoint out for longer than the maximum.
    pub fn greatest(&self) -> f64 {
        let half_lives = ms(self.maximum) as f64 / ms(self.half_life).max(1) as f64;
        f64::from(self.reuse) * half_lives.exp2().min(f64::from(u32::MAX))
    }
}

#[cfg(test)]
mod tests;
