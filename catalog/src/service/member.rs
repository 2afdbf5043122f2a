//! An endpoint in a service.

use std::ops::{Deref, DerefMut};
use std::sync::Arc;

use crate::digest::Digest;
use crate::input::{CheckVerdict, Origin};
use crate::model::{Attributes, Conditions, Endpoint, EndpointId, Health, Name};
use crate::treatment::Treatment;

/// An endpoint in a service, with what the catalog decided about it.
#[derive(Clone, Debug)]
pub struct Member {
    /// Its stable identity.
    pub id: EndpointId,
    /// What its origin says.
    pub endpoint: Arc<Endpoint>,
    /// The health decided from conditions, pod, verdict or maintenance.
    pub health: Health,
    /// What written EndpointSlices and callers are told.
    pub conditions: Conditions,
    /// A pod that runs and has these addresses: a policy may have it checked.
    pub is_pod_there: bool,
    /// All else. It is read as if it stood here, and members of which the same is to be told have the same.
    pub particulars: Arc<Particulars>,
}

/// What is alike in members of which, for certain, the same is to be told: where texts and objects are, so that none has to be compared.
pub(crate) type Likeness = ([usize; 5], Option<i64>);

/// What else there is to tell of a member.
#[derive(Clone, Debug)]
pub struct Particulars {
    /// Its origin.
    pub origin: Arc<Origin>,
    /// Its zone: its own, or its node's.
    pub zone: Option<Name>,
    /// Its region: its own, or its node's.
    pub region: Option<Name>,
    /// Tags and metadata: its pod's labels, or what its origin says.
    pub attributes: Arc<Attributes>,
    /// Since when, in milliseconds since the epoch, where a verdict knows it. Part of versions only where callers are
    /// [told](Member::told).
    pub since_ms: Option<i64>,
    /// Why it has this health, in plain words.
    pub reason: Name,
    /// What each of its checks says, also while it is in maintenance.
    pub checks: Arc<[CheckVerdict]>,
    /// What history did to it: `None` for most.
    pub treatment: Option<Box<Treatment>>,
}

// === impl Particulars ===

impl Particulars {
    /// By what it may be found to be another's as well, as long as both are there; `None` for what is checked or treated.
    pub(crate) fn likeness(&self) -> Option<Likeness> {
        let place = |name: &Option<Name>| name.as_ref().map_or(0, |name| Arc::as_ptr(name).addr());
        (self.checks.is_empty() && self.treatment.is_none()).then(|| {
            let (origin, attributes) = (Arc::as_ptr(&self.origin).addr(), Arc::as_ptr(&self.attributes).addr());
            let reason = Arc::as_ptr(&self.reason).addr();
            ([origin, attributes, reason, place(&self.zone), place(&self.region)], self.since_ms)
        })
    }
}

// === impl Member ===

impl Deref for Member {
    type Target = Particulars;

    fn deref(&self) -> &Particulars {
        &self.particulars
    }
}

impl DerefMut for Member {
    /// Others that have the same keep it.
    fn deref_mut(&mut self) -> &mut Particulars {
        Arc::make_mut(&mut self.particulars)
    }
}

impl Member {
    /// What callers are told of its health beside whether they may call it: the reason, and since when in whole seconds since
    /// the epoch, where it is called with a complaint.
    pub fn told(&self) -> Option<(&Name, Option<i64>)> {
        let complains = self.health == Health::Warning;
        complains.then(|| (&self.reason, self.since_ms.map(|since_ms| since_ms.div_euclid(1000))))
    }

    /// Adds what callers are given of it.
    pub(crate) fn digest(&self, digest: &mut Digest) {
        let endpoint = &*self.endpoint;
        digest.number(self.id.0).text(&endpoint.name());
        for ip in endpoint.addresses.iter() {
            digest.ip(ip);
        }
        digest.ports(&endpoint.ports);
        digest.maybe(endpoint.hostname.as_deref()).maybe(self.zone.as_deref()).maybe(endpoint.node.as_deref());
        digest.number(endpoint.weight.into()).number(self.health as u64);
        digest.flag(self.conditions.ready).flag(self.conditions.serving).flag(self.conditions.terminating);
        digest.number(self.attributes.tags.len() as u64);
        for tag in &self.attributes.tags {
            digest.text(tag);
        }
        digest.number(self.attributes.metadata.len() as u64);
        for (key, value) in &self.attributes.metadata {
            digest.text(key).text(value);
        }
        if let Some(region) = self.region.as_deref() {
            digest.flag(true).text(region);
        }
        if let Some((reason, since_s)) = self.told() {
            digest.flag(false).text(reason).number(since_s.map_or(0, i64::unsigned_abs));
        }
        if endpoint.is_suspect() {
            digest.text("suspect");
        }
    }

    /// Adds what else can be told of it.
    pub(crate) fn digest_story(&self, digest: &mut Digest) {
        self.origin.digest(digest.text(&self.origin.namespace));
        digest.text(&self.reason).maybe(self.attributes.machine.as_deref()).flag(self.is_pod_there);
        for check in self.checks.iter() {
            digest.text(&check.name).number(check.health as u64).text(&check.reason);
            if check.on_machine {
                digest.number(1);
            }
        }
        if let Some(treatment) = &self.treatment {
            treatment.digest(digest);
        }
    }
}
