//! All beating instances of a process: who is heard, and who has been silent for too long.
//!
//! No task, socket or clock: a driver hands in registrations, beats and the time, and passes on the changes.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::Duration;

use rollcall_catalog::input::Origin;
use rollcall_catalog::model::{Addresses, Name};
use rollcall_catalog::time::Now;

use super::awake::Awake;
use super::definition::Heartbeat;
use super::ear::Ear;
use super::hearsay::{self, Here, Repeated, Telling};
use super::instance::{Due, Instance, Life, Said};
use super::machine::Judged;
use super::wheel::Wheel;
use crate::ledger::Evidence;

/// All beating instances of a process. A beat costs a look-up and an addition; a silence costs something when it is due.
#[derive(Debug, Default)]
pub struct Beats {
    registrations: HashMap<Arc<Origin>, Registered>,
    pub(super) entries: Vec<Option<Entry>>,
    /// Where an instance is that another replica heard.
    pub(super) by_instance: HashMap<u64, u32>,
    free: Vec<u32>,
    wheel: Wheel<Look>,
    pub(super) awake: Awake,
    /// When this process last woke from a sleep, in milliseconds awake.
    pub(super) woke_ms: u64,
    pub(super) telling: Telling,
    /// So that what is left in the wheel of an instance that is gone is not taken for another's.
    generation: u32,
}

#[derive(Debug)]
struct Registered {
    /// `None`: its endpoints do not beat.
    heartbeat: Option<Arc<Heartbeat>>,
    endpoints: BTreeMap<Name, u32>,
}

/// An instance and where it belongs.
#[derive(Debug)]
pub(super) struct Entry {
    /// The hash of its name ([`hearsay::instance`]).
    pub(super) id: u64,
    origin: Arc<Origin>,
    endpoint: Name,
    addresses: Addresses,
    pub(super) heartbeat: Arc<Heartbeat>,
    pub(super) instance: Instance,
    generation: u32,
    /// Nobody else can be at it; else what is heard of it is told to others.
    pub(super) owned: bool,
    /// This process judges it: the owner, and whoever stands in for it.
    pub(super) judged: bool,
    /// It is in the wheel.
    armed: bool,
    /// What was heard of it here, for whoever decides about it.
    pub(super) here: Option<Here>,
    /// The last beat of which each of the others told.
    pub(super) from: Repeated,
}

/// Who was deaf is told by then what the others have heard: they see it again, and share the instances with it.
const RECOVERY_MS: u64 = 1_500;

/// An entry to look at.
#[derive(Clone, Copy, Debug)]
struct Look {
    entry: u32,
    generation: u32,
}

/// An endpoint that is to beat.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Beating {
    /// Its name in the registration.
    pub name: Name,
    /// Where it is. At others it is another machine.
    pub addresses: Addresses,
    /// Whether something is known of it, which stands for a full period. Else it is not given to callers before it was heard.
    pub vouched: bool,
}

/// What the beats of an instance come to now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Change {
    /// The registration.
    pub origin: Arc<Origin>,
    /// Its endpoint.
    pub endpoint: Name,
    /// For the ledger.
    pub evidence: Evidence,
    /// What each check on its machine says, all of them, if it says anything of them.
    pub machine: Option<Arc<[Judged]>>,
    /// If it is that an instance fell silent that was heard before.
    pub silence: Option<Silence>,
}

/// How an instance came to be silent for too long, by the monotonic clock.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Silence {
    /// When it was heard last.
    pub heard_ms: u64,
    /// When its silence convicted it.
    pub convicted_ms: u64,
    /// How long that may take at the longest, until it is decided.
    pub longest: Duration,
}

/// Who hears a beat.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Heard {
    /// This process, which tells whoever decides.
    Here,
    /// Every replica.
    Everywhere,
}

/// Why a beat is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unknown {
    /// There is no such registration.
    Registration,
    /// It has no such endpoint.
    Endpoint,
    /// Its endpoints do not beat.
    Heartbeat,
}

// === impl Beats ===

impl Beats {
    /// A registration as it is now. Its instances stay as they are heard, unless their addresses are others. `owned` says which of
    /// them are this process's; of a new one it also decides until [`Beats::listen`] says otherwise.
    pub fn register(
        &mut self,
        origin: &Arc<Origin>,
        heartbeat: Option<Arc<Heartbeat>>,
        endpoints: &[Beating],
        owned: &dyn Fn(&Origin, &str) -> bool,
        now: Now,
    ) {
        let mut before = self.registrations.remove(origin).map(|before| before.endpoints).unwrap_or_default();
        let mut registered = Registered { heartbeat: heartbeat.clone(), endpoints: BTreeMap::new() };
        let beating = heartbeat.iter().flat_map(|heartbeat| endpoints.iter().map(move |beating| (heartbeat, beating)));
        for (heartbeat, beating) in beating {
            let id = match before.remove(&beating.name) {
                Some(id) if self.keep(id, beating, heartbeat) => id,
                other => {
                    let moved = other.is_some();
                    other.into_iter().for_each(|id| self.remove(id));
                    let life = if beating.vouched && !moved { Life::Vouched } else { Life::Unheard };
                    let instance = Instance::new(life, self.awake.at(now.mono_ms), now);
                    self.insert(Entry {
                        id: hearsay::instance(origin, &beating.name),
                        origin: Arc::clone(origin),
                        endpoint: Name::clone(&beating.name),
                        addresses: beating.addresses,
                        heartbeat: Arc::clone(heartbeat),
                        instance,
                        generation: 0,
                        owned: owned(origin, &beating.name),
                        judged: owned(origin, &beating.name),
                        armed: false,
                        here: None,
                        from: Repeated::default(),
                    })
                }
            };
            registered.endpoints.insert(Name::clone(&beating.name), id);
            self.arm(id);
        }
        before.into_values().for_each(|id| self.remove(id));
        self.registrations.insert(Arc::clone(origin), registered);
    }

    /// A registration is gone.
    pub fn forget(&mut self, origin: &Origin) {
        let gone = self.registrations.remove(origin).map(|gone| gone.endpoints).unwrap_or_default();
        gone.into_values().for_each(|id| self.remove(id));
    }

    /// The replicas are others now: what is heard of those that are not `owned` is told to them.
    pub fn own(&mut self, owned: &dyn Fn(&Origin, &str) -> bool) {
        for entry in self.entries.iter_mut().flatten() {
            entry.owned = owned(&entry.origin, &entry.endpoint);
        }
        self.telling.again();
    }

    /// What this process does about the beats of an instance from now on. Who is judged anew has a full period to be heard.
    pub fn listen(&mut self, origin: &Origin, endpoint: &str, ear: Ear, now: Now) {
        let awake_ms = self.awake.at(now.mono_ms);
        let id = self.registrations.get(origin).and_then(|registered| registered.endpoints.get(endpoint)).copied();
        let Some((id, entry)) = id.and_then(|id| Some((id, self.entry(id)?))) else { return };
        match ear {
            Ear::Rests => entry.judged = false,
            Ear::Judges if entry.judged => {}
            Ear::Judges | Ear::Begins => {
                entry.instance.begin_anew(awake_ms);
                entry.judged = true;
            }
        }
        self.arm(id);
    }

    /// What the beats of a registration's instances come to now, of those that this process decides about. To be told after
    /// a registration: what was under way may have been about another machine.
    pub fn all_of(&self, origin: &Origin) -> Vec<Change> {
        let ids = self.registrations.get(origin).into_iter().flat_map(|registered| registered.endpoints.values());
        let entries = ids.filter_map(|id| self.entries.get(*id as usize)?.as_ref()).filter(|entry| entry.judged);
        entries.filter_map(|entry| Some(entry.change(entry.instance.evidence()?))).collect()
    }

    /// An instance was heard just now, here alone or, as a Lease is, by every replica. Until when it has to be heard again, and
    /// what it comes to if that changed and this process decides about it.
    ///
    /// # Errors
    /// When it is not one that is to beat.
    pub fn heard(
        &mut self,
        origin: &Origin,
        endpoint: &str,
        said: &Said,
        by: Heard,
        now: Now,
    ) -> Result<(Due, Option<Change>), Unknown> {
        let registered = self.registrations.get(origin).ok_or(Unknown::Registration)?;
        if registered.heartbeat.is_none() {
            return Err(Unknown::Heartbeat);
        }
        let id = *registered.endpoints.get(endpoint).ok_or(Unknown::Endpoint)?;
        let (awake_ms, woke_ms) = (self.awake.at(now.mono_ms), self.woke_ms);
        let entry = self.entries.get_mut(id as usize).and_then(Option::as_mut).ok_or(Unknown::Endpoint)?;
        if by == Heard::Here {
            self.telling.heard(entry, said, awake_ms);
        }
        let regular = entry.instance.heard_ms() >= woke_ms;
        let evidence = entry.instance.heard(said, &entry.heartbeat, awake_ms, regular, now);
        let change = evidence.filter(|_| entry.judged).map(|evidence| entry.change(evidence));
        let due = entry.instance.due(&entry.heartbeat);
        self.arm(id);
        Ok((due, change))
    }

    /// The time goes on; to be called each [`super::awake::TICK_MS`]. Whose silence is too long.
    pub fn tick(&mut self, now: Now) -> Vec<Change> {
        let stalls = self.awake.stalls();
        self.awake.tick(now.mono_ms);
        if self.awake.stalls() != stalls {
            self.woke_ms = self.awake.now_ms();
        }
        let (awake_ms, dazed_until_ms) = (self.awake.now_ms(), self.awake.dazed_until_ms());
        let mut changes = Vec::new();
        for Look { entry: id, generation } in self.wheel.turn(awake_ms) {
            let Some(entry) = self.entry(id).filter(|entry| entry.generation == generation) else { continue };
            entry.armed = false;
            if !entry.judged {
                continue;
            }
            match dazed_until_ms {
                Some(until_ms) => self.arm_at(id, until_ms),
                None => {
                    let silence = entry.silence(awake_ms, now);
                    let evidence = entry.instance.silent(&entry.heartbeat, awake_ms, now);
                    changes.extend(evidence.map(|evidence| Change { silence, ..entry.change(evidence) }));
                    self.arm(id);
                }
            }
        }
        changes
    }

    /// Another replica lives and is not heard: what beats to it is not silent. Nobody is convicted now, and for a moment after.
    pub fn deaf(&mut self) {
        self.awake.daze(RECOVERY_MS);
    }

    /// Nobody called [`Beats::tick`] since there was nobody to listen to.
    pub fn resume(&mut self, now: Now) {
        self.awake.resume(now.mono_ms);
    }

    /// Instances that are to beat.
    pub fn len(&self) -> usize {
        self.entries.len() - self.free.len()
    }

    /// Whether nobody is to beat.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// How often this process slept.
    pub fn stalls(&self) -> u64 {
        self.awake.stalls()
    }

    /// How an instance is known.
    pub fn life(&self, origin: &Origin, endpoint: &str) -> Option<Life> {
        let id = *self.registrations.get(origin)?.endpoints.get(endpoint)?;
        self.entries.get(usize::try_from(id).ok()?)?.as_ref().map(|entry| entry.instance.life())
    }

    /// Takes an instance over into the registration as it is now, if it is the same.
    fn keep(&mut self, id: u32, beating: &Beating, heartbeat: &Arc<Heartbeat>) -> bool {
        let Some(entry) = self.entry(id).filter(|entry| entry.addresses == beating.addresses) else { return false };
        if entry.heartbeat != *heartbeat {
            entry.instance.redefined(heartbeat);
            // Where it stands in the wheel is of the old definition.
            entry.armed = false;
            entry.heartbeat = Arc::clone(heartbeat);
            self.generation = self.generation.wrapping_add(1);
            let generation = self.generation;
            self.entry(id).into_iter().for_each(|entry| entry.generation = generation);
        }
        true
    }

    /// Sees to it that an instance is looked at in time. No beat can make its silence shorter than the shortest.
    pub(super) fn arm(&mut self, id: u32) {
        let awake_ms = self.awake.now_ms();
        let Some(entry) = self.entry(id).filter(|entry| entry.judged && !entry.armed) else { return };
        let Some(convicted_ms) = entry.instance.convicted_ms(&entry.heartbeat) else { return };
        let shortest_ms = u64::try_from(entry.heartbeat.silence_min().as_millis()).unwrap_or(u64::MAX);
        self.arm_at(id, convicted_ms.min(awake_ms.saturating_add(shortest_ms)));
    }

    fn arm_at(&mut self, id: u32, due_ms: u64) {
        let Some(entry) = self.entry(id) else { return };
        entry.armed = true;
        let look = Look { entry: id, generation: entry.generation };
        self.wheel.put(due_ms, look);
    }

    fn insert(&mut self, mut entry: Entry) -> u32 {
        self.generation = self.generation.wrapping_add(1);
        entry.generation = self.generation;
        let instance = entry.id;
        if let Some(id) = self.free.pop()
            && let Some(slot) = self.entries.get_mut(id as usize)
        {
            *slot = Some(entry);
            self.by_instance.insert(instance, id);
            return id;
        }
        let id = u32::try_from(self.entries.len()).unwrap_or(u32::MAX);
        self.entries.push(Some(entry));
        self.by_instance.insert(instance, id);
        id
    }

    fn remove(&mut self, id: u32) {
        if let Some(slot) = self.entries.get_mut(id as usize)
            && let Some(gone) = slot.take()
        {
            if self.by_instance.get(&gone.id) == Some(&id) {
                self.by_instance.remove(&gone.id);
            }
            self.free.push(id);
        }
    }

    pub(super) fn entry(&mut self, id: u32) -> Option<&mut Entry> {
        self.entries.get_mut(id as usize)?.as_mut()
    }
}

// === impl Entry ===

impl Entry {
    pub(super) fn change(&self, evidence: Evidence) -> Change {
        let machine = self.instance.machine().cloned();
        let (origin, endpoint) = (Arc::clone(&self.origin), Name::clone(&self.endpoint));
        Change { origin, endpoint, evidence, machine, silence: None }
    }

    /// Its silence up to now, if it was heard here; time in which this process slept is left out, since it could hear nobody.
    fn silence(&self, awake_ms: u64, now: Now) -> Option<Silence> {
        let silent_ms = awake_ms.saturating_sub(self.instance.heard_ms());
        let heard_ms = now.mono_ms.saturating_sub(silent_ms);
        let longest = self.heartbeat.time_to_evict().total();
        (self.instance.life() == Life::Heard).then_some(Silence { heard_ms, convicted_ms: now.mono_ms, longest })
    }
}

#[cfg(test)]
mod tests;
