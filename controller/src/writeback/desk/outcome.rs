//! What came of a work: what is tried again and when, and who is told.

use std::collections::BTreeSet;

use k8s_openapi::api::events::v1::Event;
use rollcall_catalog::Snapshot;
use rollcall_catalog::digest::Version;
use rollcall_catalog::model::Name;

use super::{Desk, Now, Word};
use crate::writeback::apply::{Done, Failed, Failure};
use crate::writeback::events;
use crate::writeback::observed::Seen;
use crate::writeback::queue::Target;
use crate::writeback::slices;

// === impl Desk ===

impl Desk {
    /// Takes in what came of a work: what to tell operators, and Events.
    pub fn finished(
        &mut self,
        target: Target,
        done: Done,
        snapshot: Option<&Snapshot>,
        now: Now,
    ) -> (Vec<Word>, Vec<Event>) {
        let Done { seen, written, failures } = done;
        for name in &written {
            if self.is_part(&target, name, &seen, snapshot) {
                self.setbacks.written_in_part(&target, name);
            } else {
                self.setbacks.written(&target, name);
            }
        }
        for (meant, seen) in seen {
            self.observed.wrote(meant, &seen);
            self.observe(seen, now.mono_ms);
        }
        let (mut words, mut events, mut again, mut retry) = (Vec::new(), Vec::new(), false, false);
        for failed in failures {
            if matches!(failed.failure, Failure::NotLeading) {
                // Should the lease be renewed after all, everything is looked at again.
                self.term = None;
            } else if failed.failure.is_gone() {
                words.push(Word::Quiet(format!("{target}: {}: {}", failed.name, failed.failure)));
            } else if failed.failure.is_refusal() {
                again = true;
                if let Some(said) = self.refused(&target, &failed, snapshot, now.mono_ms) {
                    events.extend(self.tale(&target, &said, snapshot, now));
                    words.push(Word::Refused(format!("{target}: {}: {said}", failed.name)));
                }
            } else {
                retry = true;
                let said = format!("{target}: {}: {}", failed.name, failed.failure);
                // A conflict is the fence at work: somebody wrote since, and the watch is about to tell what.
                let quiet = failed.failure.kind() == "conflict";
                words.push(if quiet { Word::Quiet(said) } else { Word::Failed(said) });
            }
        }
        if let Target::Slices(service) = &target {
            self.queue_statuses(&service.clone(), now.mono_ms);
        }
        if retry {
            self.queue.failed(target, now.mono_ms);
        } else {
            self.queue.done(target.clone(), now.mono_ms);
            if again {
                // What can be written without what was refused.
                self.queue.add(target, now.mono_ms);
            }
        }
        (words, events)
    }

    /// Whether a slice that was refused as a whole was written without some of its endpoints.
    fn is_part(&self, target: &Target, name: &Name, seen: &[(Version, Seen)], snapshot: Option<&Snapshot>) -> bool {
        let (Target::Slices(key), Some(_)) = (target, self.setbacks.of(target, name)) else { return false };
        let written = seen.iter().find_map(|(_, seen)| match seen {
            Seen::Slice(key, _, standing) if key.name == *name => Some(standing.slice()),
            _ => None,
        });
        let Some(service) = snapshot.and_then(|snapshot| snapshot.get(key)) else { return false };
        let desired = slices::desired(service);
        let cut = desired.iter().find(|cut| cut.name() == *name);
        cut.is_some_and(|cut| !slices::new_addresses(&cut.slice, written.as_ref()).is_empty())
    }

    /// Remembers a refusal. What to say of it, if it is news.
    fn refused(
        &mut self,
        target: &Target,
        failed: &Failed,
        snapshot: Option<&Snapshot>,
        now_ms: u64,
    ) -> Option<String> {
        let (said, namespace) = (failed.failure.to_string(), Name::clone(target.namespace()));
        if failed.failure.is_ending() {
            let all = snapshot.into_iter().flat_map(Snapshot::services);
            let own = all.filter(|service| service.key.namespace == namespace);
            let services = own.filter_map(|service| Some(Name::clone(&service.facts.as_deref()?.uid)));
            let registrations = self.observed.registrations().filter(|key| key.namespace == namespace);
            let registrations =
                registrations.filter_map(|key| Some(self.observed.registration(key)?.uid.as_str().into()));
            let uids = services.chain(registrations).collect();
            return self.setbacks.ending(&namespace, uids, said.clone(), now_ms).then_some(said);
        }
        if failed.failure.is_denial() {
            // Told where missing rights are told.
            self.setbacks.denied(target.kind(), &namespace, said, now_ms);
            return None;
        }
        if failed.failure.is_unserved() {
            return self.setbacks.denied(target.kind(), &namespace, said.clone(), now_ms).then_some(said);
        }
        let new = if failed.failure.is_quota() { BTreeSet::new() } else { self.new_addresses(target, failed) };
        let what = (failed.content, new);
        self.setbacks.refused_with(target, &failed.name, what, said.clone(), now_ms).then_some(said)
    }

    /// The addresses of a slice that was refused which stand in it not yet.
    fn new_addresses(&self, target: &Target, failed: &Failed) -> BTreeSet<Name> {
        let Target::Slices(service) = target else { return BTreeSet::new() };
        let stands = self.observed.slices(service).find(|(name, _)| **name == failed.name);
        let standing = stands.and_then(|(_, stands)| stands.slice().endpoints).unwrap_or_default();
        let standing = |address: &Name| standing.iter().any(|endpoint| slices::address(endpoint) == &**address);
        failed.addresses.iter().filter(|address| !standing(address)).cloned().collect()
    }

    /// The Event of a refusal that no status can tell.
    fn tale(&mut self, target: &Target, said: &str, snapshot: Option<&Snapshot>, now: Now) -> Option<Event> {
        if !self.may_tell(target.namespace(), now.mono_ms) {
            return None;
        }
        let regarding = match target {
            // The condition Published has it, and its own Event.
            Target::Slices(_) => return None,
            // The log has it: an Event about a policy whose status is refused has nobody who would look for it.
            Target::Policy(_) => return None,
            Target::Status(key) => events::regarding(key, self.observed.registration(key)?, None),
            Target::Entry(key) => events::of_service(snapshot?.get(key)?).or_else(|| {
                let registration = self.observed.registrations_of(key).next()?;
                Some(events::regarding(registration, self.observed.registration(registration)?, None))
            })?,
        };
        Some(events::refused(&target.to_string(), said, regarding, now.wall))
    }
}
