//! Who has a stream open, for people: what each client asks for, holds, takes and refuses.

use std::{
    collections::BTreeMap,
    net::IpAddr,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, AtomicUsize, Ordering::Relaxed},
    },
    time::Duration,
};

use tokio::{
    sync::{Notify, oneshot, watch},
    time::{Instant, timeout_at},
};

use crate::{
    resource::ResourceType,
    stream::{Front, Holding, Variant},
    view::Resources,
};

/// Everybody who has a stream open. Bounded by the number of streams.
#[derive(Debug, Default)]
pub struct Clients {
    next: AtomicU64,
    here: Mutex<BTreeMap<u64, Arc<Client>>>,
    /// All streams are to end.
    draining: watch::Sender<bool>,
}

/// One stream, as it is described to people.
#[derive(Debug)]
pub(super) struct Client {
    address: IpAddr,
    identity: Arc<str>,
    variant: Variant,
    since: Instant,
    told: Mutex<Told>,
    /// Somebody wants to know what it holds, or it is to end: the stream heeds it when it is looked at next.
    asked: Notify,
    questions: Mutex<Vec<Question>>,
}

#[derive(Debug)]
struct Question {
    /// How many resources may still be told, of all clients together.
    room: Arc<AtomicUsize>,
    answer: oneshot::Sender<Vec<Holding>>,
}

/// What changes while it is open. Words of the client are cut.
#[derive(Debug, Default)]
struct Told {
    node: Box<str>,
    agent: Box<str>,
    region: Box<str>,
    zone: Box<str>,
    bytes: u64,
    /// By type; most clients ask for one or two.
    types: Vec<(ResourceType, TypeTold)>,
}

#[derive(Clone, Debug, Default)]
struct TypeTold {
    held: usize,
    sent: Option<Instant>,
    ack: Option<Instant>,
    nack: Option<Box<(Instant, Box<str>)>>,
}

/// One client, now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Description {
    /// Where it is.
    pub address: IpAddr,
    /// Who it proved to be, or nothing.
    pub identity: String,
    /// How it speaks.
    pub variant: Variant,
    /// `node.id`, as it says.
    pub node: String,
    /// `node.user_agent_name`.
    pub agent: String,
    /// `node.locality.region`.
    pub region: String,
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

/// How long streams may take to say what they hold. One whose client does not read says nothing.
const PATIENCE: Duration = Duration::from_secs(2);

/// Longest text of a client that is kept, in characters.
const TEXT_CHARS_MAX: usize = 256;

// === impl Clients ===

impl Clients {
    /// Each of them, the oldest first.
    pub fn list(&self) -> Vec<Description> {
        let here: Vec<_> = self.lock().values().cloned().collect();
        here.iter().map(|client| client.describe(Instant::now())).collect()
    }

    /// Each that is wanted, the oldest first, with what it holds: at most `most` resources of all together. `None` of one that
    /// does not say so in time, because it does not read.
    pub async fn holdings(
        &self,
        wanted: impl Fn(&Description) -> bool,
        most: usize,
    ) -> Vec<(Description, Option<Vec<Holding>>)> {
        let (deadline, room) = (Instant::now() + PATIENCE, Arc::new(AtomicUsize::new(most)));
        let here: Vec<_> = self.lock().values().cloned().collect();
        let mut asked = Vec::new();
        for client in here {
            let described = client.describe(Instant::now());
            if wanted(&described) {
                asked.push((described, client.ask(&room)));
            }
        }
        // All at once: one that does not read costs no other its time.
        let mut told = Vec::with_capacity(asked.len());
        for (described, said) in asked {
            told.push((described, timeout_at(deadline, said).await.ok().and_then(Result::ok)));
        }
        told
    }

    pub(super) fn enter(this: &Arc<Self>, (address, identity): (IpAddr, Arc<str>), variant: Variant) -> Entry {
        let id = this.next.fetch_add(1, Relaxed);
        let client = Client {
            address,
            identity,
            variant,
            since: Instant::now(),
            told: Mutex::default(),
            asked: Notify::new(),
            questions: Mutex::default(),
        };
        let client = Arc::new(client);
        this.lock().insert(id, Arc::clone(&client));
        if *this.draining.borrow() {
            client.asked.notify_one();
        }
        Entry { id, all: Arc::clone(this), client }
    }

    /// Has all streams end, also those that open from now on. Each is woken by itself: a list of all that wait for it would be
    /// touched whenever one of them wakes.
    pub(super) fn drain(&self) {
        self.draining.send_replace(true);
        self.lock().values().for_each(|client| client.asked.notify_one());
    }

    /// Ready when all streams are to end. For who has none yet.
    pub(super) async fn drained(&self) {
        _ = self.draining.subscribe().wait_for(|draining| *draining).await;
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, BTreeMap<u64, Arc<Client>>> {
        self.here.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

// === impl Client ===

impl Client {
    /// Has it say what it holds. It says nothing when it ends before.
    fn ask(&self, room: &Arc<AtomicUsize>) -> oneshot::Receiver<Vec<Holding>> {
        let (answer, said) = oneshot::channel();
        let question = Question { room: Arc::clone(room), answer };
        let mut questions = self.questions.lock().unwrap_or_else(PoisonError::into_inner);
        questions.retain(|earlier| !earlier.answer.is_closed()); // whom a client that does not read never answered
        questions.push(question);
        drop(questions);
        self.asked.notify_one();
        said
    }

    fn describe(&self, now: Instant) -> Description {
        let told = self.told.lock().unwrap_or_else(PoisonError::into_inner);
        let ago = |then: Instant| now.saturating_duration_since(then);
        let types = told.types.iter().map(|(ty, told)| TypeDescription {
            ty: *ty,
            held: told.held,
            sent: told.sent.map(ago),
            ack: told.ack.map(ago),
            nack: told.nack.as_ref().map(|nack| (ago(nack.0), nack.1.to_string())),
        });
        Description {
            address: self.address,
            identity: self.identity.to_string(),
            variant: self.variant,
            node: told.node.to_string(),
            agent: told.agent.to_string(),
            region: told.region.to_string(),
            zone: told.zone.to_string(),
            age: ago(self.since),
            bytes: told.bytes,
            types: types.collect(),
        }
    }
}

// === impl Told ===

impl Told {
    fn of_type(&mut self, ty: ResourceType) -> &mut TypeTold {
        let at = self.types.binary_search_by_key(&ty, |(its, _)| *its).unwrap_or_else(|at| {
            self.types.reserve_exact(1);
            self.types.insert(at, (ty, TypeTold::default()));
            at
        });
        &mut self.types[at].1
    }
}

// === impl Entry ===

impl Entry {
    /// It says who it is.
    pub(super) fn meets(&self, node: &crate::proto::discovery::Node) {
        let mut told = self.lock();
        told.node = cut(&node.id);
        told.agent = cut(&node.user_agent_name);
        if let Some(place) = &node.locality {
            (told.region, told.zone) = (cut(&place.region), cut(&place.zone));
        }
    }

    /// Somebody wants to know what it holds, or it is to end.
    pub(super) async fn asked(&self) {
        self.client.asked.notified().await;
    }

    /// It is to end.
    pub(super) fn is_to_end(&self) -> bool {
        *self.all.draining.borrow()
    }

    /// Says it.
    pub(super) fn answer<F: Front>(&self, front: &F, resources: &impl Resources) {
        let questions = std::mem::take(&mut *self.client.questions.lock().unwrap_or_else(PoisonError::into_inner));
        for Question { room, answer } in questions.into_iter().filter(|question| !question.answer.is_closed()) {
            let holdings = front.holdings(resources, room.load(Relaxed));
            _ = room.fetch_update(Relaxed, Relaxed, |room| Some(room.saturating_sub(holdings.len())));
            _ = answer.send(holdings); // who asked may be gone
        }
    }

    /// It was sent a response.
    pub(super) fn sent<F: Front>(&self, ty: Option<ResourceType>, bytes: usize, front: &F) {
        let mut told = self.lock();
        told.bytes += bytes as u64;
        let Some(ty) = ty else { return };
        let of_type = told.of_type(ty);
        of_type.held = front.held(ty);
        of_type.sent = Some(Instant::now());
    }

    /// It took one, or refused one.
    pub(super) fn answered(&self, ty: ResourceType, refused: Option<&str>) {
        let mut told = self.lock();
        let of_type = told.of_type(ty);
        match refused {
            None => of_type.ack = Some(Instant::now()),
            Some(words) => of_type.nack = Some(Box::new((Instant::now(), cut(words)))),
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
