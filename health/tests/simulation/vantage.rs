//! Vantage points: who is no replica, is connected to one of them, and lets itself be asked what they doubt.

use std::sync::Arc;

use rollcall_catalog::model::Name;
use rollcall_health::checks::{Relay, TargetId};
use rollcall_health::confirmation::Vote;

use crate::chance::Chance;
use crate::target::{TIMEOUT_MS, number_of};
use crate::world::{Happening, World};

/// An agent, or the DNS server of a node.
pub(crate) struct Vantage {
    name: Name,
    /// The replica that it is connected to, and the process of that.
    at: Option<(usize, u64)>,
    /// What it was asked and has not answered.
    asked: Vec<TargetId>,
    ailment: Option<Ailment>,
    /// Since when it is there, and is as it is.
    since_ms: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Ailment {
    /// It reaches no target.
    Blind,
    /// It answers nothing.
    Mute,
    /// It reaches no replica.
    Away,
}

/// It looks this often whether its replica is there.
const LOOK_MS: u64 = 500;
/// The longest way of a question or an answer, also if it is lost and sent again.
const WAY_MAX_MS: u64 = 350;
/// From a question to what comes of it.
const PATIENCE_MS: u64 = 4_000;

/// None to two of them.
pub(crate) fn some(chance: &mut Chance) -> Vec<Vantage> {
    let vantage = |number: usize| Vantage {
        name: format!("agent/vm-{number}").into(),
        at: None,
        asked: Vec::new(),
        ailment: None,
        since_ms: 0,
    };
    (0..chance.index(3)).map(vantage).collect()
}

/// By which they are asked.
pub(crate) fn names(vantages: &[Vantage]) -> Arc<[Name]> {
    vantages.iter().map(|vantage| Name::clone(&vantage.name)).collect()
}

impl World {
    /// So many are with this replica, and have been for as long as a question takes, that it is not left to itself: more that reach
    /// targets than not.
    pub(crate) fn is_advised(&self, replica: usize) -> bool {
        let incarnation = self.replicas[replica].incarnation;
        let here = |vantage: &&Vantage| vantage.at == Some((replica, incarnation));
        let (well, ill): (Vec<_>, Vec<_>) = self
            .vantages
            .iter()
            .filter(here)
            .partition(|vantage| vantage.ailment.is_none() && self.now_ms >= vantage.since_ms + PATIENCE_MS);
        well.len() > ill.len()
    }

    /// Something ails one, or does so no longer.
    pub(crate) fn ails(&mut self, number: usize, ailment: Option<Ailment>) {
        (self.vantages[number].ailment, self.vantages[number].since_ms) = (ailment, self.now_ms);
    }

    /// It goes to another replica when its own is gone.
    pub(crate) fn attend(&mut self, number: usize) {
        let away = self.vantages[number].ailment == Some(Ailment::Away);
        if let Some((replica, incarnation)) = self.vantages[number].at
            && (away || !self.is(replica, incarnation))
        {
            self.leave(number);
        }
        if self.vantages[number].at.is_none() && !away {
            let replica = self.chance.index(self.replicas.len());
            if self.replicas[replica].alive {
                let at = (replica, self.replicas[replica].incarnation);
                let vantage = &mut self.vantages[number];
                (vantage.at, vantage.since_ms) = (Some(at), self.now_ms);
            }
        }
        self.after(LOOK_MS, Happening::Vantage(number));
    }

    /// What it was asked is not answered any more, which its replica knows.
    fn leave(&mut self, number: usize) {
        let vantage = &mut self.vantages[number];
        let (at, asked) = (vantage.at.take(), std::mem::take(&mut vantage.asked));
        if let Some((replica, incarnation)) = at {
            asked.into_iter().for_each(|id| self.after(0, Happening::Found(replica, incarnation, id, Vote::Abstained)));
        }
    }

    /// A replica has one asked, if it is connected to it.
    pub(crate) fn ask(&mut self, replica: usize, relay: &Relay) {
        let incarnation = self.replicas[replica].incarnation;
        let here = |vantage: &Vantage| vantage.name == relay.who && vantage.at == Some((replica, incarnation));
        let Some(number) = self.vantages.iter().position(here) else {
            self.after(0, Happening::Found(replica, incarnation, relay.id, Vote::Abstained));
            return;
        };
        let ailment = self.vantages[number].ailment;
        self.vantages[number].asked.push(relay.id);
        if ailment == Some(Ailment::Mute) {
            return;
        }
        let dead = self.dead_ms[number_of(&relay.origin)].is_some() || ailment == Some(Ailment::Blind);
        let (probe_ms, vote) = match (dead, self.chance.percent(50)) {
            (false, _) => (self.chance.within(1, 60), Vote::Reached),
            (true, true) => (self.chance.within(1, 20), Vote::Failed),
            (true, false) => (TIMEOUT_MS, Vote::Failed),
        };
        let ways_ms = self.way_ms() + self.way_ms();
        self.tell(|| {
            format!("{} asks {} about {}: {vote:?}", self.replicas[replica].name, relay.who, relay.origin.name)
        });
        self.after(probe_ms + ways_ms, Happening::Found(replica, incarnation, relay.id, vote));
    }

    fn way_ms(&mut self) -> u64 {
        if self.chance.percent(3) { self.chance.within(200, WAY_MAX_MS) } else { self.chance.within(1, 20) }
    }

    /// An answer arrives. Of one who has left meanwhile the first word stands, that he could not find out.
    pub(crate) fn found(&mut self, replica: usize, id: TargetId, vote: Vote) {
        let now = self.replicas[replica].now(self.now_ms);
        let at = Some((replica, self.replicas[replica].incarnation));
        let there = self.vantages.iter_mut().filter(|vantage| vantage.at == at);
        there.for_each(|vantage| vantage.asked.retain(|asked| *asked != id));
        self.replicas[replica].checks.relayed(id, vote, now);
        self.step(replica);
    }
}
