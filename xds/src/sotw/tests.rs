//! What a client does while responses are on their way to it. What is told at rest is in `model`, the wire in `tests/wire`.

use prost::Message;

use super::Session;
use crate::{
    cache::Cache,
    proto::discovery::{Any, DiscoveryRequest, DiscoveryResponse, Node, Status},
    resource::{
        Resource,
        ResourceType::{self, Cluster, Endpoints, Service},
    },
    stream::{Front, Limits, Serves},
};

/// A cache and one stream of a client that reads errors.
struct World {
    cache: Cache,
    session: Session,
}

impl World {
    fn with(written: &[(ResourceType, &str)]) -> Self {
        let mut cache = Cache::new();
        for (ty, name) in written {
            cache.upsert(*ty, Resource::from_body(*ty, *name, name.as_bytes().to_vec()));
        }
        cache.publish();
        Self { cache, session: Session::of(Limits::default(), Serves::Catalog) }
    }

    fn ask(&mut self, ty: ResourceType, names: &[&str], nonce: &str) {
        self.tell(request(ty, names, nonce));
    }

    fn refuse(&mut self, ty: ResourceType, names: &[&str], nonce: &str) {
        let error_detail = Some(Status { code: 3, message: "refused".to_owned() });
        self.tell(DiscoveryRequest { error_detail, ..request(ty, names, nonce) });
    }

    fn tell(&mut self, request: DiscoveryRequest) {
        let node = Some(Node { id: "a".to_owned(), user_agent_name: "gRPC C-core".to_owned(), ..Node::default() });
        let request = DiscoveryRequest { node, ..request };
        self.session.on_request(&request, &**self.cache.published()).expect("within the limits");
    }

    /// The next response; what is in it, with `-name` for what there is no more.
    fn hear(&mut self) -> Option<(DiscoveryResponse, Vec<String>)> {
        let response = self.session.next_response(&**self.cache.published())?;
        let body = |any: &bytes::Bytes| {
            String::from_utf8(Any::decode(any.clone()).expect("an Any").value.to_vec()).expect("text")
        };
        let gone = response
            .resource_errors
            .iter()
            .filter_map(|error| Some(format!("-{}", error.resource_name.as_ref()?.name)));
        let what = response.resources.iter().map(body).chain(gone).collect();
        Some((response, what))
    }
}

fn request(ty: ResourceType, names: &[&str], nonce: &str) -> DiscoveryRequest {
    DiscoveryRequest {
        type_url: ty.type_url().to_owned(),
        resource_names: names.iter().map(ToString::to_string).collect(),
        response_nonce: nonce.to_owned(),
        ..DiscoveryRequest::default()
    }
}

#[test]
fn what_a_client_took_between_two_wildcards_it_is_told_the_end_of() {
    let mut world = World::with(&[(Service, "a"), (Service, "b")]);
    world.ask(Service, &["*"], "");
    let (first, what) = world.hear().expect("there are two");
    assert_eq!(what, ["a", "b"]);
    world.ask(Service, &["*"], &first.nonce);
    world.cache.upsert(Service, Resource::from_body(Service, "b", b"b2".to_vec()));
    world.cache.publish();
    let (second, what) = world.hear().expect("one changed");
    assert_eq!(what, ["b2"]);
    // It drops everything and wants everything again, both before it reads the second.
    world.ask(Service, &["a"], &first.nonce);
    world.ask(Service, &["a", "*"], &first.nonce);
    world.cache.remove(Service, "b");
    world.cache.publish();
    world.ask(Service, &["a", "*"], &second.nonce);
    let (_, what) = world.hear().expect("it took what is no more from the second");
    assert_eq!(what, ["a", "-b"], "one it has named since, the other is no more");
}

#[test]
fn endpoints_follow_clusters_that_the_client_took_only_the_second_time() {
    let mut world = World::with(&[(Cluster, "b"), (Endpoints, "b")]);
    world.ask(Endpoints, &["b"], "");
    world.ask(Cluster, &[], "");
    let (first, what) = world.hear().expect("there is a cluster");
    assert_eq!((first.type_url.as_str(), what), (Cluster.type_url(), vec!["b".to_owned()]));
    let (endpoints, _) = world.hear().expect("its endpoints follow");
    world.ask(Endpoints, &["b"], &endpoints.nonce);
    world.ask(Cluster, &["a", "*"], "");
    let (second, what) = world.hear().expect("there is no such cluster");
    assert_eq!((second.type_url.as_str(), what), (Cluster.type_url(), vec!["b".to_owned(), "-a".to_owned()]));
    assert!(world.hear().is_none());
    world.refuse(Cluster, &["a", "*"], &first.nonce);
    world.ask(Cluster, &["a", "*"], &second.nonce);
    let (again, what) = world.hear().expect("it takes the cluster from the second, and warms it");
    assert_eq!((again.type_url.as_str(), what), (Endpoints.type_url(), vec!["b".to_owned()]));
}

#[test]
fn who_dropped_what_was_gone_is_sent_it_when_it_is_back() {
    let mut world = World::with(&[(Service, "b")]);
    world.ask(Service, &["b"], "");
    let (first, _) = world.hear().expect("it exists");
    world.ask(Service, &["b"], &first.nonce);
    world.cache.remove(Service, "b");
    world.cache.publish();
    world.ask(Service, &[], &first.nonce);
    world.cache.upsert(Service, Resource::from_body(Service, "b", b"b".to_vec()));
    world.cache.publish();
    world.ask(Service, &["*"], &first.nonce);
    let (_, what) = world.hear().expect("it does not have it any more");
    assert_eq!(what, ["b"]);
}
