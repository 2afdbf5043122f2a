//! What the server did, to export.

use std::sync::{
    Arc, Mutex, PoisonError,
    atomic::{AtomicU64, AtomicUsize, Ordering::Relaxed},
};

use crate::{
    rate::Rate,
    resource::{PerType, ResourceType},
    stream::{Content, RESPONSE_BYTES_MAX},
};

/// What the server did, as counters to export. All but [`streams_open`](Self::streams_open) only grow.
#[derive(Debug, Default)]
pub struct Metrics {
    streams_open: AtomicU64,
    streams_accepted: AtomicU64,
    streams_refused: AtomicU64,
    streams_failed: AtomicU64,
    unserved: AtomicU64,
    refused_requests: [AtomicU64; Refusal::ALL.len()],
    pub(super) asked_bytes: Arc<AtomicUsize>,
    pub(super) rates: Rates,
    types: PerType<TypeMetrics>,
    last_nacks: PerType<Mutex<Option<Nack>>>,
}

/// Why a request was refused, beside its content.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// There was no room for it: others' requests had come by half.
    Crowded,
    /// It had begun and did not come to its end in time.
    Late,
    /// Names that do not exist and answers that are not read take more memory than there is for one address, or for all.
    Memory,
    /// A method that is not served, such as polling.
    Unimplemented,
    /// There was no room for its answer: others' were not read.
    Unread,
    /// Nobody knows who asks.
    Unauthenticated,
    /// Whoever asks may see nothing, or no longer what they saw.
    Forbidden,
    /// Nobody can be asked who asks, or whether they may.
    Unjudged,
}

/// Lines of the log that clients cause.
#[derive(Debug, Default)]
pub(super) struct Rates {
    pub(super) ended: Rate,
    pub(super) rejected: Rate,
    pub(super) unserved: Rate,
    pub(super) refused: Rate,
    pub(super) unread: Rate,
}

/// Counters of one resource type.
#[derive(Debug, Default)]
pub struct TypeMetrics {
    /// Requests received, acknowledgements included.
    pub requests: AtomicU64,
    /// Responses acknowledged.
    pub acks: AtomicU64,
    /// Responses rejected.
    pub nacks: AtomicU64,
    /// Responses sent.
    pub pushes: AtomicU64,
    /// Resources sent.
    pub resources: AtomicU64,
    /// Bytes of resources sent.
    pub bytes: AtomicU64,
    /// Names reported as removed or unknown.
    pub removed: AtomicU64,
    /// Changes merged into one that had not been sent yet.
    pub coalesced: AtomicU64,
    /// Responses with a resource above [`RESPONSE_BYTES_MAX`](crate::stream::RESPONSE_BYTES_MAX), which gRPC clients may
    /// refuse.
    pub oversized: AtomicU64,
    /// Bytes of the resources of the largest response so far.
    pub largest: AtomicU64,
}

/// A rejection, for people.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Nack {
    /// Who rejected it.
    pub node_id: String,
    /// In the client's words.
    pub message: String,
}

/// An open stream, counted until dropped.
#[derive(Debug)]
pub(super) struct Open(pub(super) Arc<Metrics>);

// === impl Refusal ===

impl Refusal {
    /// In the order of their declaration.
    pub const ALL: [Self; 8] = [
        Self::Crowded,
        Self::Late,
        Self::Memory,
        Self::Unimplemented,
        Self::Unread,
        Self::Unauthenticated,
        Self::Forbidden,
        Self::Unjudged,
    ];

    /// As in metrics.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Crowded => "crowded",
            Self::Late => "late",
            Self::Memory => "memory",
            Self::Unimplemented => "unimplemented",
            Self::Unread => "unread",
            Self::Unauthenticated => "unauthenticated",
            Self::Forbidden => "forbidden",
            Self::Unjudged => "unjudged",
        }
    }
}

// === impl Metrics ===

impl Metrics {
    /// Streams open now.
    pub fn streams_open(&self) -> u64 {
        self.streams_open.load(Relaxed)
    }

    /// Streams accepted so far.
    pub fn streams_accepted(&self) -> u64 {
        self.streams_accepted.load(Relaxed)
    }

    /// Streams refused: too many, before the first sync, or while draining.
    pub fn streams_refused(&self) -> u64 {
        self.streams_refused.load(Relaxed)
    }

    /// Streams ended by the server because of what they asked.
    pub fn streams_failed(&self) -> u64 {
        self.streams_failed.load(Relaxed)
    }

    /// Requests refused for that reason. Their streams ended.
    pub fn refused_requests(&self, reason: Refusal) -> u64 {
        self.refused_requests[reason as usize].load(Relaxed)
    }

    /// Memory held now for the sake of clients alone, in bytes: names that do not exist, answers that they have not read.
    pub fn asked_bytes(&self) -> usize {
        self.asked_bytes.load(Relaxed)
    }

    /// Requests for types that are not served here.
    pub fn unserved(&self) -> u64 {
        self.unserved.load(Relaxed)
    }

    /// Counters of each type.
    pub fn types(&self) -> &PerType<TypeMetrics> {
        &self.types
    }

    /// The last rejection of a resource of that type, by any client.
    pub fn last_nack(&self, ty: ResourceType) -> Option<Nack> {
        self.last_nacks[ty].lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub(super) fn open(this: &Arc<Self>) -> Open {
        this.streams_open.fetch_add(1, Relaxed);
        this.streams_accepted.fetch_add(1, Relaxed);
        Open(this.clone())
    }

    pub(super) fn refused(&self) {
        self.streams_refused.fetch_add(1, Relaxed);
    }

    pub(super) fn failed(&self) {
        self.streams_failed.fetch_add(1, Relaxed);
    }

    pub(super) fn refused_request(&self, reason: Refusal) {
        self.refused_requests[reason as usize].fetch_add(1, Relaxed);
    }

    pub(super) fn unserved_request(&self) {
        self.unserved.fetch_add(1, Relaxed);
    }

    pub(super) fn nack(&self, ty: ResourceType, nack: Nack) {
        self.types[ty].nacks.fetch_add(1, Relaxed);
        *self.last_nacks[ty].lock().unwrap_or_else(PoisonError::into_inner) = Some(nack);
    }

    pub(super) fn push(&self, content: Content<'_>) {
        let Some(ty) = ResourceType::from_type_url(content.type_url) else { return };
        let counters = &self.types[ty];
        counters.pushes.fetch_add(1, Relaxed);
        counters.resources.fetch_add(content.resources as u64, Relaxed);
        counters.bytes.fetch_add(content.bytes as u64, Relaxed);
        counters.removed.fetch_add(content.removed as u64, Relaxed);
        counters.oversized.fetch_add(u64::from(content.bytes > RESPONSE_BYTES_MAX), Relaxed);
        counters.largest.fetch_max(content.bytes as u64, Relaxed);
    }
}

// === impl Open ===

impl Drop for Open {
    fn drop(&mut self) {
        self.0.streams_open.fetch_sub(1, Relaxed);
    }
}
