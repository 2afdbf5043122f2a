//! Any sequence of requests, acknowledgements, reconnects and catalog changes, against a client that knows nothing of how
//! the server works: at rest it must hold what it subscribed to, as it is, and nothing else.

use std::collections::VecDeque;

use proptest::{collection::vec, prelude::*, sample::select, test_runner::RngAlgorithm};

use super::Session;
use crate::{
    cache::{Cache, Changes},
    proto::discovery::{DeltaDiscoveryRequest, DeltaDiscoveryResponse},
    resource::{
        Resource,
        ResourceType::{self, Cluster, EndpointBucket, Endpoints, Service},
    },
    stream::{Front, Limits},
};

mod client;

use self::client::Client;

#[derive(Clone, Debug)]
pub(crate) enum Step {
    Write(ResourceType, &'static str, &'static str),
    Remove(ResourceType, &'static str),
    Publish,
    Subscribe(ResourceType, Vec<&'static str>),
    Unsubscribe(ResourceType, Vec<&'static str>),
    /// The server writes one response.
    Send,
    /// The client reads one response and answers it.
    Read {
        accept: bool,
    },
    /// Everything arrives.
    Rest,
    Reconnect,
}

pub(crate) fn step() -> impl Strategy<Value = Step> {
    let ty = || select(vec![Cluster, Endpoints, EndpointBucket, Service]);
    let name = || select(vec!["a", "b"]);
    let names = || vec(select(vec!["a", "b", "unknown", "*"]), 0..3);
    prop_oneof![
        4 => (ty(), name(), select(vec!["1", "2"])).prop_map(|(ty, name, body)| Step::Write(ty, name, body)),
        2 => (ty(), name()).prop_map(|(ty, name)| Step::Remove(ty, name)),
        4 => Just(Step::Publish),
        3 => (ty(), names()).prop_map(|(ty, names)| Step::Subscribe(ty, names)),
        2 => (ty(), names()).prop_map(|(ty, names)| Step::Unsubscribe(ty, names)),
        6 => Just(Step::Send),
        6 => prop::bool::weighted(0.8).prop_map(|accept| Step::Read { accept }),
        3 => Just(Step::Rest),
        1 => Just(Step::Reconnect),
    ]
}

pub(crate) struct World {
    cache: Cache,
    pub(crate) peer: Peer,
}

/// A client and its stream.
pub(crate) struct Peer {
    session: Session,
    wire: VecDeque<DeltaDiscoveryResponse>,
    pub(crate) client: Client,
}

/// Several of one cache: those that hold the same go abreast.
struct Crowd {
    cache: Cache,
    peers: [Peer; 3],
}

// === impl World ===

impl World {
    /// A ring of eight keys, so that it is left behind at times.
    pub(crate) fn new() -> Self {
        Self { cache: Cache::with_ring(8), peer: Peer::new() }
    }

    pub(crate) fn apply(&mut self, step: Step) {
        if matches!(step, Step::Rest) {
            self.rest();
        } else if let Some(step) = write(&mut self.cache, step) {
            self.peer.apply(step, &self.cache);
        }
    }

    /// Lets everything arrive. Returns how many resources that took.
    pub(crate) fn rest(&mut self) -> usize {
        self.cache.publish();
        self.peer.rest(&self.cache)
    }
}

/// What is done to the catalog; gives back what is not.
fn write(cache: &mut Cache, step: Step) -> Option<Step> {
    match step {
        Step::Write(ty, name, body) => {
            _ = cache.upsert(ty, Resource::from_body(ty, name, format!("{name}{body}").into_bytes()));
        }
        Step::Remove(ty, name) => _ = cache.remove(ty, name),
        Step::Publish => _ = cache.publish(),
        other => return Some(other),
    }
    None
}

// === impl Peer ===

impl Peer {
    fn new() -> Self {
        Self { session: Session::new(Limits::default()), wire: VecDeque::new(), client: Client::default() }
    }

    fn apply(&mut self, step: Step, cache: &Cache) {
        match step {
            Step::Write(..) | Step::Remove(..) | Step::Publish => {}
            Step::Subscribe(ty, names) => {
                let request = self.client.subscribe(ty, &names);
                self.tell(&request, cache);
            }
            Step::Unsubscribe(ty, names) => {
                let request = self.client.unsubscribe(ty, &names);
                request.iter().for_each(|request| self.tell(request, cache));
            }
            Step::Send => _ = self.send(cache),
            Step::Read { accept } => self.read(accept, cache),
            Step::Rest => _ = self.rest(cache),
            Step::Reconnect => self.reconnect(cache),
        }
    }

    fn tell(&mut self, request: &DeltaDiscoveryRequest, cache: &Cache) {
        self.session.on_request(request, &**cache.published()).expect("within the limits");
    }

    fn send(&mut self, cache: &Cache) -> bool {
        let response = self.session.next_response(&**cache.published());
        let sent = response.is_some();
        self.wire.extend(response);
        sent
    }

    fn read(&mut self, accept: bool, cache: &Cache) {
        let Some(response) = self.wire.pop_front() else { return };
        let answer = self.client.read(&response, accept);
        self.tell(&answer, cache);
    }

    fn reconnect(&mut self, cache: &Cache) {
        self.session = Session::new(Limits::default());
        self.wire.clear();
        for request in self.client.reconnect() {
            self.tell(&request, cache);
            self.send(cache);
        }
    }

    fn rest(&mut self, cache: &Cache) -> usize {
        let mut resources = 0;
        while self.send(cache) || !self.wire.is_empty() {
            resources += self.wire.back().map_or(0, |response| response.resources.len());
            while !self.wire.is_empty() {
                self.read(true, cache);
            }
        }
        resources
    }

    fn check(&self, cache: &Cache) {
        let snapshot = cache.published();
        assert!(matches!(snapshot.changes_since(snapshot.revision()), Changes::None));
        for (ty, interest) in &self.client.types {
            let refused =
                |name: &str, version: &str| self.client.refused.contains(&(*ty, name.to_owned(), version.to_owned()));
            for resource in snapshot.iter(*ty).filter(|resource| interest.wants(&resource.name)) {
                let (name, version) = (&*resource.name, resource.version.to_string());
                let held = interest.holds.get(name) == Some(&version) || refused(name, &version);
                assert!(held, "{ty} {name} should be {version}, is {:?}", interest.holds.get(name));
            }
            for name in interest.holds.keys() {
                let exists = snapshot.get(*ty, name).is_some();
                assert!(exists && interest.wants(name), "{ty} {name} is held, exists: {exists}");
            }
        }
        assert_warm(
            cache,
            |ty, name| self.client.types.get(&ty).is_some_and(|interest| interest.wants(name)),
            |ty, name| self.client.seen.get(&(ty, name.to_owned())),
        );
    }
}

/// Endpoints follow each Cluster: Envoy warms it with them. `wants` and `seen`, which counts up, are a client's.
pub(crate) fn assert_warm<T: PartialOrd>(
    cache: &Cache,
    wants: impl Fn(ResourceType, &str) -> bool,
    seen: impl Fn(ResourceType, &str) -> Option<T>,
) {
    for endpoints in cache.published().iter(Endpoints) {
        let name = &*endpoints.name;
        let warm = seen(Endpoints, name) > seen(Cluster, name) || seen(Cluster, name).is_none();
        assert!(warm || !wants(Cluster, name) || !wants(Endpoints, name), "endpoints of {name} did not follow");
    }
}

proptest! {
    // Strong random numbers would be a quarter of the work.
    #![proptest_config(ProptestConfig { failure_persistence: None, rng_algorithm: RngAlgorithm::XorShift, ..ProptestConfig::with_cases(1024) })]

    #[test]
    fn at_rest_a_client_holds_what_it_asked_for_as_it_is(steps in vec(step(), 0..120)) {
        let mut world = World::new();
        for step in steps {
            world.apply(step);
        }
        world.rest();
        world.peer.check(&world.cache);
        prop_assert_eq!(world.rest(), 0);
        if world.peer.client.refused.is_empty() {
            world.peer.reconnect(&world.cache);
            prop_assert_eq!(world.rest(), 0, "a client that knows everything is sent nothing");
            world.peer.check(&world.cache);
        }
    }

    /// Three of them, who mostly want everything, each at its own pace.
    #[test]
    fn at_rest_each_of_several_clients_holds_what_it_asked_for(steps in vec((0..3usize, step()), 0..160)) {
        let mut crowd = Crowd { cache: Cache::with_ring(8), peers: std::array::from_fn(|_| Peer::new()) };
        let Crowd { cache, peers } = &mut crowd;
        for (which, step) in steps {
            let Some(step) = write(cache, step) else { continue };
            let step = match step {
                Step::Subscribe(ty, _) if peers[which].client.types.len() < 3 => Step::Subscribe(ty, vec![]),
                other => other,
            };
            peers[which].apply(step, cache);
        }
        cache.publish();
        for peer in peers {
            peer.rest(cache);
            peer.check(cache);
            prop_assert_eq!(peer.rest(cache), 0);
            if peer.client.refused.is_empty() {
                peer.reconnect(cache);
                prop_assert_eq!(peer.rest(cache), 0, "a client that knows everything is sent nothing");
                peer.check(cache);
            }
        }
    }
}
