//! What an agent registers, and what its checks say.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use rollcall_xds::proto::rollcall::v1 as wire;
use rollcall_xds::proto::rollcall::v1::answer::State as WireState;
use tokio::time::Instant;
use tonic::Status;

use super::slot::Slot;
use super::{Attendance, INSTANCES_MAX, RIGHTS_INTERVAL};
use crate::agents::admission::Denial;
use crate::agents::instance::{Instance, InstanceKey};
use crate::agents::metrics::Refusal;
use crate::agents::registrar::Message;
use crate::kubernetes::syntax::is_dns_label;
use crate::time::random;

/// What is made of one instance.
enum Judged {
    /// It is registered.
    Admitted(Arc<Instance>),
    /// Whether it may be cannot be found out now.
    Deferred(Arc<Instance>, String),
    /// It is not, and why.
    Refused(Refusal, String),
}

/// What could not be found out is asked again after this time.
const DEFERRED_INTERVAL: Duration = Duration::from_secs(5);
/// The identity of an agent, in bytes.
const AGENT_ID_BYTES_MAX: usize = 128;

// === impl Attendance ===

impl Attendance {
    /// Everything that an agent registers; each instance is judged by itself.
    pub(super) async fn on_hello(&mut self, hello: wire::Hello) -> Result<(), Status> {
        self.introduced(&hello)?;
        let mut before: BTreeMap<InstanceKey, (u32, Slot)> = BTreeMap::new();
        let slots = Vec::with_capacity(hello.instances.len());
        for (index, slot) in (0..).zip(std::mem::replace(&mut self.slots, slots)) {
            if let Some(key) = slot.key.clone() {
                before.insert(key, (index, slot));
            }
        }
        let before_revision = self.revision;
        self.revision = hello.revision;
        let (mut answers, mut seen) = (Vec::new(), BTreeSet::new());
        for (index, said) in (0..).zip(&hello.instances) {
            let mut slot = Slot::default();
            match self.judged(said, &mut seen).await {
                Judged::Admitted(instance) => {
                    let before = before.remove(&instance.key);
                    slot = self.take(index, instance, before).await;
                }
                Judged::Deferred(instance, words) => {
                    slot.deferred = Some(instance);
                    answers.extend(slot.says(index, WireState::Waiting, &words));
                }
                Judged::Refused(why, words) => {
                    self.shared.metrics.refused(why);
                    answers.extend(slot.says(index, WireState::Refused, &words));
                }
            }
            self.slots.push(slot);
        }
        self.leave_out(before, before_revision).await;
        self.on_lookout(hello.lookout()).await;
        self.look_later();
        self.answer(answers);
        Ok(())
    }

    fn introduced(&mut self, hello: &wire::Hello) -> Result<(), Status> {
        let machine = &hello.machine;
        // Names of nodes may have dots.
        let is_node = hello.lookout() == wire::hello::Lookout::DnsServer && hello.instances.is_empty();
        if !(is_dns_label(machine) || is_node && machine.len() <= 253 && machine.split('.').all(is_dns_label)) {
            return Err(Status::invalid_argument(format!(
                "machine {machine:?}: use a-z, 0-9 and - only, such as vm-17"
            )));
        }
        if !(1..=AGENT_ID_BYTES_MAX).contains(&hello.agent_id.len()) {
            return Err(Status::invalid_argument(format!("agent_id: give 1 to {AGENT_ID_BYTES_MAX} bytes")));
        }
        if hello.instances.len() > INSTANCES_MAX {
            let count = hello.instances.len();
            return Err(Status::invalid_argument(format!(
                "there are {count} instances; one agent has {INSTANCES_MAX} at most, so run a second one for the others"
            )));
        }
        if hello.revision <= self.revision {
            return Err(Status::invalid_argument("revision: count the Hellos of a stream from 1"));
        }
        self.agent = hello.agent_id.as_str().into();
        self.machine = machine.as_str().into();
        Ok(())
    }

    async fn judged(&self, said: &wire::Instance, seen: &mut BTreeSet<InstanceKey>) -> Judged {
        let instance = match Instance::read(&self.machine, said) {
            Ok(instance) => Arc::new(instance),
            Err(words) => return Judged::Refused(Refusal::Unusable, words),
        };
        if !seen.insert(instance.key.clone()) {
            let InstanceKey { service, endpoint } = &instance.key;
            let words = format!("endpoint {endpoint} of {service} is given twice; give one of them another `name`");
            return Judged::Refused(Refusal::Unusable, words);
        }
        self.admitted(instance).await
    }

    async fn admitted(&self, instance: Arc<Instance>) -> Judged {
        match self.caller.may(&instance.key.service).await {
            Ok(()) => match self.shared.claims.take(&instance.key, &self.agent, self.session) {
                Ok(()) => Judged::Admitted(instance),
                Err(words) => Judged::Refused(Refusal::Claimed, words),
            },
            Err(Denial::Refused(words)) => Judged::Refused(Refusal::Forbidden, words),
            Err(Denial::Unknown(words)) => Judged::Deferred(instance, words),
        }
    }

    async fn take(&self, index: u32, instance: Arc<Instance>, before: Option<(u32, Slot)>) -> Slot {
        let mut slot = Slot::new(instance.key.clone(), &instance.local_checks);
        if let Some((_, before)) = before {
            slot.take_over(before);
        }
        // Fails during shutdown only.
        let _ = self.shared.registrar.send(Message::Want(self.seat(index), instance)).await;
        slot
    }

    /// Those of which it could not be found out whether they may: perhaps it can now.
    pub(super) async fn look_at_deferred(&mut self) {
        let mut answers = Vec::new();
        for index in 0..self.slots.len() {
            let Some(instance) = self.slots[index].deferred.clone() else { continue };
            let at = u32::try_from(index).unwrap_or(u32::MAX);
            match self.admitted(instance).await {
                Judged::Admitted(instance) => {
                    let slot = self.take(at, instance, None).await;
                    self.slots[index] = slot;
                }
                Judged::Deferred(_, words) => answers.extend(self.slots[index].says(at, WireState::Waiting, &words)),
                Judged::Refused(why, words) => {
                    self.shared.metrics.refused(why);
                    answers.extend(self.slots[index].refuse(at, &words));
                }
            }
        }
        self.answer(answers);
    }

    /// Soon where something could not be found out, else when rights are due.
    pub(super) fn look_later(&mut self) {
        let is_deferred = self.post.is_deferred || self.slots.iter().any(|slot| slot.deferred.is_some());
        let interval = if is_deferred { DEFERRED_INTERVAL } else { RIGHTS_INTERVAL };
        self.next = Instant::now() + interval.mul_f64(0.9 + random::fraction() / 5.0);
    }

    /// What a new Hello does not name any more is deregistered.
    async fn leave_out(&self, gone: BTreeMap<InstanceKey, (u32, Slot)>, revision: u32) {
        for (key, (index, mut slot)) in gone {
            let _ = slot.stop(&*self.shared.ears, index);
            self.shared.claims.give_back(&key, self.session);
            let seat = crate::agents::desk::Seat { revision, ..self.seat(index) };
            let _ = self.shared.registrar.send(Message::Leave(seat, key)).await;
        }
    }

    /// What checks on the machine say. A change is passed on at once, with a beat.
    pub(super) fn on_results(&mut self, results: Vec<wire::Result>) -> Result<(), Status> {
        self.shared.metrics.results(results.len());
        let mut changed = BTreeSet::new();
        for said in results {
            let Some(slot) = self.slots.get_mut(said.instance as usize) else {
                return Err(Status::invalid_argument(format!("there is no instance {}", said.instance)));
            };
            // Of one that is refused nothing is heard.
            if slot.key.is_none() {
                continue;
            }
            let is_new = slot.result(&said.check, said.verdict(), &said.output).map_err(Status::invalid_argument)?;
            if is_new {
                changed.insert(said.instance);
            }
        }
        let changed: Vec<_> = changed.into_iter().collect();
        if !changed.is_empty() {
            self.on_beats(&changed);
        }
        Ok(())
    }
}
