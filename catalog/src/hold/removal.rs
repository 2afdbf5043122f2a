//! The mass-removal guard: endpoints of one service, or of one of its failure domains, that leave all at once are more
//! likely to be a fault of who tells us than of all of them. They are held, callable and marked, until they return, until
//! the owner of the instances says that they are gone, or for as long as the policy allows.

use std::collections::BTreeMap;

use crate::hashed::HashMap;
use crate::input::OriginKind;
use crate::members::Members;
use crate::model::{Conditions, EndpointId, Health, Name};
use crate::policy::sections::ms;
use crate::policy::{RemovalGuard, Scope};
use crate::service::Member;
use crate::treatment::Treatment;

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

/// The service, or a failure domain of it: how many are callable in it, and how many have left.
#[derive(Clone, Copy, Debug, Default)]
struct Domain {
    callable: usize,
    left: usize,
    /// Some are held already: that it becomes small meanwhile does not end that.
    holds: bool,
}

/// The domains of a service.
struct Domains {
    whole: Domain,
    zones: HashMap<Option<Name>, Domain>,
}

// === impl Removal ===

impl Removal {
    /// `before` is what was offered at the last call, if there was one, and `after` what is now.
    pub(crate) fn apply(
        &mut self,
        guard: &RemovalGuard,
        before: Option<&Members>,
        after: &Members,
        said_gone: impl Fn(&Member, Option<&Member>) -> bool,
        now_ms: u64,
    ) -> Held {
        for (member, _) in before.into_iter().flat_map(|before| before.left(after)) {
            if is_guarded(guard, member) {
                let left = || Left { member: member.clone(), at_ms: now_ms, held: false };
                self.left.entry(member.id).or_insert_with(left);
            }
        }
        if self.left.is_empty() {
            return Held::default();
        }
        let (hold_ms, window_ms) = (ms(guard.hold), ms(guard.window));
        self.left.retain(|id, left| {
            let kept_ms = if left.held { hold_ms } else { window_ms };
            let now = after.get(*id);
            let is_away = !now.is_some_and(|now| now.conditions.ready);
            is_away && !said_gone(&left.member, now) && now_ms < left.at_ms.saturating_add(kept_ms)
        });
        let domains = self.domains(guard, after);
        for left in self.left.values_mut() {
            // Who left a domain that can bear it is gone, and counts for as long as the window is.
            left.held = domains.struck(&left.member, guard).is_some();
        }
        let held: Vec<_> = self.left.values().filter(|left| left.held).collect();
        if held.is_empty() {
            return Held::default();
        }
        let again_ms = held.iter().map(|left| left.at_ms.saturating_add(hold_ms)).min();
        let member = |left: &&Left| {
            let said = after.get(left.member.id).map_or("it is not named any more", |now| &*now.reason);
            held_member(&left.member, domains.struck(&left.member, guard).unwrap_or_default(), guard, said)
        };
        let members = after.with(held.iter().map(|left| left.member.id).collect(), held.iter().map(member).collect());
        Held { members: Some(members), count: held.len(), again_ms }
    }

    fn domains(&self, guard: &RemovalGuard, after: &Members) -> Domains {
        let mut domains = Domains { whole: Domain::default(), zones: HashMap::default() };
        for member in after.iter().filter(|member| member.conditions.ready && is_guarded(guard, member)) {
            domains.each(&member.zone, |domain| domain.callable += 1);
        }
        for left in self.left.values() {
            domains.each(&left.member.zone, |domain| {
                domain.left += 1;
                domain.holds |= left.held;
            });
        }
        domains
    }
}

fn is_guarded(guard: &RemovalGuard, member: &Member) -> bool {
    match guard.scope {
        Scope::All => true,
        Scope::Registered => member.origin.kind == OriginKind::ServiceRegistration,
    }
}

// === impl Domains ===

impl Domains {
    fn each(&mut self, zone: &Option<Name>, change: impl Fn(&mut Domain)) {
        change(&mut self.whole);
        match self.zones.get_mut(zone) {
            Some(domain) => change(domain),
            None => change(self.zones.entry(zone.clone()).or_default()),
        }
    }

    /// The domain of a member's of which too many left, in words; the whole service goes first.
    fn struck(&self, member: &Member, guard: &RemovalGuard) -> Option<String> {
        if self.whole.is_struck(guard) {
            return Some(format!("{} of {} endpoints", self.whole.left, self.whole.left + self.whole.callable));
        }
        let zone = self.zones.get(&member.zone).filter(|zone| zone.is_struck(guard))?;
        let name = member.zone.as_deref().map_or_else(|| "without a zone".to_owned(), |name| format!("of zone {name}"));
        Some(format!("{} of {} endpoints {name}", zone.left, zone.left + zone.callable))
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
fn held_member(member: &Member, struck: String, guard: &RemovalGuard, said: &str) -> Member {
    let treatment = Treatment { held: true, ..member.treatment.as_deref().copied().unwrap_or_default() };
    let words = format!("held for {} at most, as {struck} left together; {said}", crate::time::words(guard.hold));
    let mut held = Member { health: Health::Warning, conditions: Conditions::READY, ..member.clone() };
    (held.reason, held.treatment) = (words.into(), Some(Box::new(treatment)));
    held
}
