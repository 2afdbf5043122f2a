//! The mass-removal guard: endpoints of one failure domain that leave all at once are more likely to be a fault of who
//! tells us than of all of them. They are held, callable and marked, until they return, until the owner of the instances
//! says that they are gone, or for as long as the policy allows.

use std::collections::{BTreeMap, HashMap};
use std::time::Duration;

use crate::members::Members;
use crate::model::{Conditions, EndpointId, Health, Name};
use crate::policy::RemovalGuard;
use crate::service::Member;

/// Who left a service of late.
#[derive(Debug, Default)]
pub(crate) struct Removal {
    left: BTreeMap<EndpointId, Left>,
}

#[derive(Debug)]
struct Left {
    /// As it was when it was last callable.
    member: Member,
    at_ms: u64,
    held: bool,
}

/// What the guard did.
#[derive(Debug, Default)]
pub(crate) struct Held {
    /// The members with those that are held; `None` if nobody is.
    pub(crate) members: Option<Members>,
    pub(crate) count: usize,
    /// When the first of them is let go.
    pub(crate) again_ms: Option<u64>,
}

/// A failure domain: how many are callable in it, and how many have left.
#[derive(Debug, Default)]
struct Domain {
    callable: usize,
    left: usize,
    /// Some are held already: that it becomes small meanwhile does not end that.
    holds: bool,
}

// === impl Removal ===

impl Removal {
    /// `before` is what was published, `after` what is said now.
    pub(crate) fn apply(
        &mut self,
        guard: &RemovalGuard,
        before: &Members,
        after: &Members,
        said_gone: impl Fn(&Member, Option<&Member>) -> bool,
        now_ms: u64,
    ) -> Held {
        let now: HashMap<EndpointId, &Member> = after.iter().map(|member| (member.id, member)).collect();
        let is_away = |id: &EndpointId| !now.get(id).is_some_and(|member| member.conditions.ready);
        for member in before.iter().filter(|member| member.conditions.ready && is_away(&member.id)) {
            self.left.entry(member.id).or_insert_with(|| Left { member: member.clone(), at_ms: now_ms, held: false });
        }
        let (hold_ms, window_ms) = (ms(guard.hold), ms(guard.window));
        self.left.retain(|id, left| {
            let kept_ms = if left.held { hold_ms } else { window_ms };
            let by_its_owner = said_gone(&left.member, now.get(id).copied());
            is_away(id) && !by_its_owner && now_ms < left.at_ms.saturating_add(kept_ms)
        });
        let domains = self.domains(after);
        for left in self.left.values_mut() {
            // Who left a domain that can bear it is gone, and counts for as long as the window is.
            left.held = domains.get(&left.member.zone).is_some_and(|domain| domain.is_struck(guard));
        }
        let held: Vec<_> = self.left.values().filter(|left| left.held).collect();
        if held.is_empty() {
            return Held::default();
        }
        let again_ms = held.iter().map(|left| left.at_ms.saturating_add(hold_ms)).min();
        let mut members: BTreeMap<EndpointId, Member> =
            after.iter().map(|member| (member.id, member.clone())).collect();
        for left in &held {
            let said = now.get(&left.member.id).map_or("it is not named any more", |member| &*member.reason);
            let domain =
                domains.get(&left.member.zone).map_or((0, 0), |domain| (domain.left, domain.callable + domain.left));
            members.insert(left.member.id, held_member(&left.member, domain, said));
        }
        Held { members: Some(members.into_values().collect()), count: held.len(), again_ms }
    }

    fn domains(&self, after: &Members) -> HashMap<Option<Name>, Domain> {
        let mut domains: HashMap<Option<Name>, Domain> = HashMap::new();
        for member in after.iter().filter(|member| member.conditions.ready) {
            domains.entry(member.zone.clone()).or_default().callable += 1;
        }
        for left in self.left.values() {
            let domain = domains.entry(left.member.zone.clone()).or_default();
            domain.left += 1;
            domain.holds |= left.held;
        }
        domains
    }
}

// === impl Domain ===

impl Domain {
    fn is_struck(&self, guard: &RemovalGuard) -> bool {
        let all = self.callable + self.left;
        (self.holds || all >= guard.endpoints_min) && self.left * 100 > all * usize::from(guard.percent_max)
    }
}

/// Answers, with a complaint: still given to callers.
fn held_member(member: &Member, (left, all): (usize, usize), said: &str) -> Member {
    let zone = member.zone.as_deref().map_or_else(String::new, |zone| format!(" of zone {zone}"));
    Member {
        health: Health::Warning,
        conditions: Conditions::READY,
        reason: format!("held, as {left} of {all} endpoints{zone} left together; {said}").into(),
        ..member.clone()
    }
}

fn ms(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}
