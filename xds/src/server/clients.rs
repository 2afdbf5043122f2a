//! Who has a stream open, for people: what each client asks for, holds, takes and refuses.

use std::{
    collections::BTreeMap,
    net::IpAddr,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    time::Duration,
};

use tokio::time::Instant;

use crate::{
    resource::ResourceType,
    stream::{Front, Variant},
};

/// Everybody who has a stream open. Bounded by the number of streams.
#[derive(Debug, Default)]
pub struct Clients {
    next: AtomicU64,
    here: Mutex<BTreeMap<u64, Arc<Client>>>,
}

/// One stream, as it is described to people.
#[derive(Debug)]
pub(super) struct Client {
    address: IpAddr,
    variant: Variant,
    since: Instant,
    told: Mutex<Told>,
}

/// What changes while it is open. Words of the client are cut.
#[derive(Debug, Default)]
struct Told {
    node: Box<str>,
    agent: Box<str>,
    zone: Box<str>,
    bytes: u64,
    types: BTreeMap<ResourceType, TypeTold>,
}

#[derive(Clone, Debug, Default)]
struct TypeTold {
    held: usize,
    sent: Option<Instant>,
    ack: Option<Instant>,
    nack: Option<(Instant, Box<str>)>,
}

/// One client, now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Description {
    /// Where it is.
    pub address: IpAddr,
    /// How it speaks.
    pub variant: Variant,
    /// `node.id`, as it says.
    pub node: String,
    /// `node.user_agent_name`.
    pub agent: String,
    /// `node.locality.zone`.
    pub zone: String,
    /// How long the stream has been open.
    pub age: Duration,
    /// Bytes of resources that it was sent.
    pub bytes: u64,
    /// What it asked for.
    pub types: Vec<TypeDescription>,
}

/// One type of one client.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TypeDescription {
    /// Which.
    pub ty: ResourceType,
    /// Resources that it was sent and holds.
    pub held: usize,
    /// Time since the last response.
    pub sent: Option<Duration>,
    /// Time since it took one.
    pub ack: Option<Duration>,
    /// Time since it refused one, and its words.
    pub nack: Option<(Duration, String)>,
}

/// An entry, until it is dropped.
#[derive(Debug)]
pub(super) struct Entry {
    id: u64,
    all: Arc<Clients>,
    client: Arc<Client>,
}

/// Longest text of a client that is kept, in characters.
const TEXT_CHARS_MAX: usize = 256;

// === impl Clients ===

impl Clients {
    /// Each of them, the oldest first.
    pub fn list(&self) -> Vec<Description> {
        let here: Vec<_> = self.lock().values().cloned().collect();
        here.iter().map(|client| client.describe(Instant::now())).collect()
    }

    pub(super) fn enter(this: &Arc<Self>, address: IpAddr, variant: Variant) -> Entry {
        let id = this.next.fetch_add(1, Relaxed);
        let client = Arc::new(Client { address, variant, since: Instant::now(), told: Mutex::default() });
        this.lock().insert(id, Arc::clone(&client));
        Entry { id, all: Arc::clone(this), client }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, BTreeMap<u64, Arc<Client>>> {
        self.here.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

// === impl Client ===

impl Client {
    fn describe(&self, now: Instant) -> Description {
        let told = self.told.lock().unwrap_or_else(PoisonError::into_inner);
        let ago = |then: Instant| now.saturating_duration_since(then);
        let types = told.types.iter().map(|(ty, told)| TypeDescription {
            ty: *ty,
            held: told.held,
            sent: told.sent.map(ago),
            ack: told.ack.map(ago),
            nack: told.nack.as_ref().map(|(then, words)| (ago(*then), words.to_string())),
        });
        Description {
            address: self.address,
            variant: self.variant,
            node: told.node.to_string(),
            agent: told.agent.to_string(),
            zone: told.zone.to_string(),
            age: ago(self.since),
            bytes: told.bytes,
            types: types.collect(),
        }
    }
}

// === impl Entry ===

impl Entry {
    /// It says who it is.
    pub(super) fn meets(&self, node: &crate::proto::discovery::Node) {
        let mut told = self.lock();
        told.node = cut(&node.id);
        told.agent = cut(&node.user_agent_name);
        told.zone = node.locality.as_ref().map(|place| cut(&place.zone)).unwrap_or_default();
    }

    /// It was sent a response.
    pub(super) fn sent<F: Front>(&self, ty: Option<ResourceType>, bytes: usize, front: &F) {
        let mut told = self.lock();
        told.bytes += bytes as u64;
        let Some(ty) = ty else { return };
        let of_type = told.types.entry(ty).or_default();
        of_type.held = front.held(ty);
        of_type.sent = Some(Instant::now());
    }

    /// It took one, or refused one.
    pub(super) fn answered(&self, ty: ResourceType, refused: Option<&str>) {
        let mut told = self.lock();
        let of_type = told.types.entry(ty).or_default();
        match refused {
            None => of_type.ack = Some(Instant::now()),
            Some(words) => of_type.nack = Some((Instant::now(), cut(words))),
        }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Told> {
        self.client.told.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Entry {
    fn drop(&mut self) {
        self.all.lock().remove(&self.id);
    }
}

fn cut(words: &str) -> Box<str> {
    words.chars().take(TEXT_CHARS_MAX).collect()
}
