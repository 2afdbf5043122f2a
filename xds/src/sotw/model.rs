//! The histories of [`delta::model`](crate::delta::model), told in the state of the world as well: at rest a client of either
//! variant holds the same.

use std::collections::VecDeque;

use proptest::{collection::vec, prelude::*, test_runner::RngAlgorithm};

use super::Session;
use crate::{
    cache::Cache,
    delta::model::{Step, World as DeltaWorld, assert_warm, step},
    proto::discovery::{DiscoveryRequest, DiscoveryResponse, Node},
    resource::Resource,
    stream::{Front, Limits, Serves},
};

mod client;

use self::client::Client;

struct World {
    cache: Cache,
    session: Session,
    wire: VecDeque<DiscoveryResponse>,
    client: Client,
    agent: &'static str,
}

impl World {
    /// With a client of that name. A ring of eight keys, so that it is left behind at times.
    fn of(agent: &'static str) -> Self {
        let (cache, session) = (Cache::with_ring(8), Session::of(Limits::default(), Serves::Catalog));
        Self { cache, session, wire: VecDeque::new(), client: Client::default(), agent }
    }

    fn apply(&mut self, step: Step) {
        match step {
            Step::Write(ty, name, body) => {
                _ = self.cache.upsert(ty, Resource::from_body(ty, name, format!("{name}{body}").into_bytes()));
            }
            Step::Remove(ty, name) => _ = self.cache.remove(ty, name),
            Step::Publish => _ = self.cache.publish(),
            Step::Subscribe(ty, names) => {
                let request = self.client.subscribe(ty, &names);
                self.tell(request);
            }
            Step::Unsubscribe(ty, names) => {
                let request = self.client.unsubscribe(ty, &names);
                request.into_iter().for_each(|request| self.tell(request));
            }
            Step::Send => _ = self.send(),
            Step::Read { accept } => self.read(accept),
            Step::Rest => _ = self.rest(),
            Step::Reconnect => self.reconnect(),
        }
    }

    fn tell(&mut self, request: DiscoveryRequest) {
        let node = Node { id: "a".to_owned(), user_agent_name: self.agent.to_owned(), ..Node::default() };
        let request = DiscoveryRequest { node: Some(node), ..request };
        self.session.on_request(&request, &**self.cache.published()).expect("within the limits");
    }

    fn send(&mut self) -> bool {
        let response = self.session.next_response(&**self.cache.published());
        let sent = response.is_some();
        self.wire.extend(response);
        sent
    }

    fn read(&mut self, accept: bool) {
        let Some(response) = self.wire.pop_front() else { return };
        let answer = self.client.read(&response, accept);
        self.tell(answer);
    }

    fn reconnect(&mut self) {
        self.session = Session::of(Limits::default(), Serves::Catalog);
        self.wire.clear();
        for request in self.client.reconnect() {
            self.tell(request);
            self.send();
        }
    }

    /// Lets everything arrive. Returns how many responses that took.
    fn rest(&mut self) -> usize {
        self.cache.publish();
        let mut responses = 0;
        while self.send() || !self.wire.is_empty() {
            responses += self.wire.len();
            while !self.wire.is_empty() {
                self.read(true);
            }
        }
        responses
    }

    /// What a client wants it holds as it is; what is no more it holds only if it cannot be told, or has refused to hear.
    fn check(&self) {
        for (ty, interest) in &self.client.types {
            let snapshot = self.cache.published();
            for resource in snapshot.iter(*ty).filter(|resource| interest.wants(&resource.name)) {
                let held = interest.holds.get(&*resource.name);
                let refused = self.client.refused.contains(ty);
                assert!(refused || held == Some(&resource.version), "{ty} {} is held as {held:?}", resource.name);
            }
            let told = ty.is_told_whole() || self.agent.starts_with("gRPC");
            for name in interest.holds.keys().filter(|_| told && !self.client.refused.contains(ty)) {
                assert!(interest.wants(name) && snapshot.get(*ty, name).is_some(), "{ty} {name} is still held");
            }
        }
        assert_warm(
            &self.cache,
            |ty, name| self.client.types.get(&ty).is_some_and(|interest| interest.wants(name)),
            |ty, name| self.client.seen.get(&(ty, name.to_owned())),
        );
    }
}

proptest! {
    // Strong random numbers would be a quarter of the work.
    #![proptest_config(ProptestConfig { failure_persistence: None, rng_algorithm: RngAlgorithm::XorShift, ..ProptestConfig::with_cases(1024) })]

    #[test]
    fn at_rest_a_client_of_either_variant_holds_the_same(steps in vec(step(), 0..120)) {
        let (mut world, mut delta) = (World::of("gRPC C-core"), DeltaWorld::new());
        for step in steps {
            world.apply(step.clone());
            delta.apply(step);
        }
        world.rest();
        world.check();
        prop_assert_eq!(world.rest(), 0, "nothing more than necessary");
        delta.rest();
        if world.client.refused.is_empty() && delta.peer.client.refused.is_empty() {
            for (ty, interest) in &world.client.types {
                let theirs = delta.peer.client.types.get(ty).map(|interest| interest.holds.clone()).unwrap_or_default();
                let ours: std::collections::BTreeMap<_, _> =
                    interest.holds.iter().map(|(name, version)| (name.clone(), version.to_string())).collect();
                prop_assert_eq!(ours, theirs, "{}", ty);
            }
        }
    }

    #[test]
    fn a_client_that_reads_no_errors_misses_nothing_that_exists(steps in vec(step(), 0..120)) {
        let mut world = World::of("envoy");
        for step in steps {
            world.apply(step);
        }
        world.rest();
        world.check();
        prop_assert_eq!(world.rest(), 0, "nothing more than necessary");
    }
}
