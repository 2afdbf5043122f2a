//! Tests: what a stream sees.

use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

use prost::Message;

use super::*;
use crate::{
    asking::{Serves, Variant},
    cache::Cache,
    delta, known,
    proto::discovery::{DeltaDiscoveryRequest, DiscoveryRequest, Locality, Node},
    resource::ResourceType::{Endpoints, Listener, Service, Zone},
    sotw,
    stream::{Front, Limits},
};

/// Shows namespaces by the client's cluster, and puts its zone in front of each body.
#[derive(Debug, Default)]
struct Near {
    looked: AtomicUsize,
}

impl Lens for Near {
    fn viewer(&self, client: &Client<'_>) -> Viewer {
        let scope = match &*client.node.cluster {
            "" => Scope::All,
            namespace => Scope::Namespaces([Arc::from(namespace)].into()),
        };
        let zone = client.node.locality.as_ref().map(|locality| ("".into(), locality.zone.as_str().into()));
        Viewer { scope, locality: zone, ..Viewer::default() }
    }

    fn shows(&self, viewer: &Viewer, _: ResourceType, name: &str) -> bool {
        match &viewer.scope {
            Scope::All => true,
            Scope::Namespaces(shown) => {
                shown.iter().any(|shown| name.split_once('/').is_some_and(|(own, _)| *own == **shown))
            }
        }
    }

    fn alters(&self, _: &Viewer, ty: ResourceType) -> bool {
        ty != Zone
    }

    fn see(&self, viewer: &Viewer, ty: ResourceType, resource: &Resource) -> Resource {
        self.looked.fetch_add(1, Relaxed);
        let zone = viewer.locality.as_ref().map_or("nowhere", |(_, zone)| zone);
        let body = [zone.as_bytes(), b":", &resource.body()].concat();
        Resource::from_body(ty, Arc::clone(&resource.name), body)
    }

    fn parting(&self, ty: ResourceType, name: &str) -> Option<Resource> {
        (ty == Endpoints).then(|| Resource::from_body(ty, name, &b"nobody"[..]))
    }

    fn basis<'a>(&self, ty: ResourceType, name: &str, snapshot: &'a Snapshot) -> Option<&'a Resource> {
        snapshot.get(Service, name).filter(|_| ty == Listener)
    }

    fn make(&self, _: &Viewer, ty: ResourceType, name: &str, basis: &Resource) -> Option<Resource> {
        self.looked.fetch_add(1, Relaxed);
        Some(Resource::from_body(ty, name, [b"made of ", &*basis.body()].concat()))
    }
}

fn see(views: &Views, node: &Node, snapshot: Arc<Snapshot>) -> View {
    views.of(&Client { node, may_see: &Scope::All, variant: Variant::Delta, serves: Serves::Catalog }, snapshot)
}

fn node(namespace: &str, zone: &str) -> Node {
    let locality = Some(Locality { zone: zone.to_owned(), ..Locality::default() });
    Node { cluster: namespace.to_owned(), locality, ..Node::default() }
}

fn catalog() -> Cache {
    let mut cache = Cache::new();
    for name in ["shop/a", "shop/b", "bank/a"] {
        cache.upsert(Service, Resource::from_body(Service, name, &b"1"[..]));
    }
    cache.publish();
    cache
}

fn all(view: &View) -> Vec<(String, Vec<u8>)> {
    let mut all = Vec::new();
    view.for_each(Service, &mut |resource| all.push((resource.name.to_string(), resource.body().to_vec())));
    all.sort_unstable();
    all
}

#[test]
fn each_sees_its_part_and_those_who_see_alike_share_the_bytes() {
    let (lens, mut cache) = (Arc::new(Near::default()), catalog());
    let views = Views::through(lens.clone());
    let snapshot = || cache.published().clone();
    let (one, same) = (see(&views, &node("shop", "a"), snapshot()), see(&views, &node("shop", "a"), snapshot()));
    let other = see(&views, &node("bank", "b"), snapshot());
    assert_eq!(all(&one), [("shop/a".to_owned(), b"a:1".to_vec()), ("shop/b".to_owned(), b"a:1".to_vec())]);
    assert_eq!(all(&other), [("bank/a".to_owned(), b"b:1".to_vec())]);
    let looked = lens.looked.load(Relaxed);
    let wire = |view: &View| view.get(Service, "shop/a").expect("shown").wire.as_ptr();
    assert_eq!((wire(&one), one.get(Service, "bank/a")), (wire(&same), None));
    assert_eq!(lens.looked.load(Relaxed), looked, "nothing is looked at twice");

    cache.upsert(Service, Resource::from_body(Service, "shop/a", &b"2"[..]));
    let (mut one, mut same) = (one, same);
    let next = cache.publish();
    one.turn_to(next.clone());
    same.turn_to(next);
    assert_eq!((wire(&one), all(&one)[0].1.clone()), (wire(&same), b"a:2".to_vec()));
    assert_eq!(lens.looked.load(Relaxed), looked + 1, "what changed, once");
}

#[test]
fn without_a_lens_a_view_is_the_snapshot() {
    let cache = catalog();
    let view = see(&Views::plain(), &node("shop", "a"), cache.published().clone());
    let own = cache.published().get(Service, "bank/a").expect("there");
    assert!(matches!(view.get(Service, "bank/a"), Some(Cow::Borrowed(resource)) if std::ptr::eq(resource, own)));
    assert_eq!((all(&view).len(), view.get(Zone, "zone")), (3, None));
}

#[test]
fn a_viewer_is_forgotten_with_its_last_stream_and_the_dead_with_time() {
    let mut cache = Cache::new();
    let views = Views::through(Arc::new(Near::default()));
    let mut view = see(&views, &node("", "a"), cache.publish());
    for n in 0..3_000 {
        let name = format!("shop/{n}");
        cache.upsert(Service, Resource::from_body(Service, name.clone(), &b"1"[..]));
        view.turn_to(cache.publish());
        assert!(view.get(Service, &name).is_some());
        cache.remove(Service, &name);
    }
    let (_, eyes) = views.0.as_deref().expect("a lens");
    let kept = |eyes: &AllEyes| {
        let eyes = eyes.lock().expect("not poisoned");
        eyes.values().filter_map(std::sync::Weak::upgrade).map(|eyes| eyes.seen_len()).sum::<usize>()
    };
    assert!(kept(eyes) <= 1_025, "{} kept", kept(eyes));
    drop(view);
    assert!(eyes.lock().expect("not poisoned").is_empty());
}

#[test]
fn what_exists_by_name_alone_is_made_once_when_it_is_asked_for() {
    let (lens, mut cache) = (Arc::new(Near::default()), catalog());
    let views = Views::through(lens.clone());
    let mut view = see(&views, &node("shop", "a"), cache.published().clone());
    let body = |view: &View, name| view.get(Listener, name).map(|made| made.body().to_vec());
    assert_eq!(lens.looked.load(Relaxed), 0, "nobody asked");
    assert_eq!(body(&view, "shop/a"), Some(b"made of 1".to_vec()));
    assert_eq!((body(&view, "shop/none"), body(&view, "bank/a")), (None, None));
    let other = see(&views, &node("shop", "a"), cache.published().clone());
    assert_eq!(body(&other, "shop/a"), Some(b"made of 1".to_vec()));
    assert_eq!(lens.looked.load(Relaxed), 1, "once for those who see alike");
    cache.upsert(Service, Resource::from_body(Service, "shop/a", &b"2"[..]));
    view.turn_to(cache.publish());
    assert_eq!(body(&view, "shop/a"), Some(b"made of 2".to_vec()));
}

/// What a client is told of an assignment that it asks for, while it is there and after it is gone.
fn told_of_what_goes<F: Front>(variant: Variant, ask: F::Request, ack: impl Fn(&F::Response) -> F::Request) {
    let (views, mut cache) = (Views::through(Arc::new(Near::default())), Cache::new());
    let client = Client { node: &node("", "a"), may_see: &Scope::All, variant, serves: Serves::Catalog };
    let mut front = F::of(Limits::default(), Serves::Catalog);
    let write = |cache: &mut Cache, body: &[u8]| {
        cache.upsert(Endpoints, Resource::from_body(Endpoints, "shop/a", body.to_vec()));
        cache.publish()
    };
    let mut view = views.of(&client, write(&mut cache, b"1"));
    front.on_request(&ask, &view).expect("within the limits");
    let mut said = Vec::new();
    for step in 0..4 {
        while let Some(response) = front.next_response(&view) {
            let bytes = response.encode_to_vec();
            let text = String::from_utf8_lossy(&bytes).into_owned();
            said.push((step, ["a:1", "a:2", "nobody"].into_iter().find(|body| text.contains(body))));
            front.on_request(&ack(&response), &view).expect("an ACK is fine");
        }
        match step {
            0 => _ = cache.remove(Endpoints, "shop/a"),
            1 => _ = cache.upsert(Service, Resource::from_body(Service, "shop/other", &b"1"[..])),
            _ => _ = write(&mut cache, b"2"),
        }
        view.turn_to(cache.publish());
        front.on_snapshot(&view);
    }
    assert_eq!(said, [(0, Some("a:1")), (1, Some("nobody")), (3, Some("a:2"))], "{variant:?}");
}

#[test]
fn whoever_holds_what_is_gone_is_told_so_once_in_words_that_are_understood_and_hears_of_its_return() {
    let (type_url, names) = (Endpoints.type_url().to_owned(), vec!["shop/a".to_owned()]);
    let ask = DiscoveryRequest { type_url: type_url.clone(), resource_names: names.clone(), ..Default::default() };
    told_of_what_goes::<sotw::Session>(Variant::StateOfTheWorld, ask.clone(), |response| DiscoveryRequest {
        response_nonce: response.nonce.clone(),
        version_info: response.version_info.clone(),
        ..ask.clone()
    });
    let ask = DeltaDiscoveryRequest { type_url, resource_names_subscribe: names, ..Default::default() };
    told_of_what_goes::<delta::Session>(Variant::Delta, ask.clone(), |response| DeltaDiscoveryRequest {
        resource_names_subscribe: Vec::new(),
        response_nonce: response.nonce.clone(),
        ..ask.clone()
    });
}

#[test]
fn a_client_that_comes_back_with_what_went_meanwhile_is_told_so_in_the_same_words() {
    let views = Views::through(Arc::new(Near::default()));
    let view = see(&views, &node("", "a"), Cache::new().publish());
    let mut session = delta::Session::of(Limits::default(), Serves::Catalog);
    let ask = DeltaDiscoveryRequest {
        type_url: Endpoints.type_url().to_owned(),
        resource_names_subscribe: vec!["shop/a".to_owned(), "shop/never".to_owned()],
        initial_resource_versions: vec![known::entry("shop/a", "0123456789abcdef")],
        ..Default::default()
    };
    session.on_request(&ask, &view).expect("within the limits");
    let (mut sent, mut removed) = (0, Vec::new());
    while let Some(response) = session.next_response(&view) {
        sent += response.resources.len();
        removed.extend(response.removed_resources);
    }
    assert_eq!((sent, removed), (1, vec!["shop/never".to_owned()]));
}

#[test]
fn a_client_of_the_whole_world_that_was_away_when_something_went_is_told_so_and_a_new_one_is_not() {
    let views = Views::through(Arc::new(Near::default()));
    let view = see(&views, &node("", "a"), Cache::new().publish());
    for (version, told) in [("0123456789abcdef", 2), ("", 0)] {
        let mut session = sotw::Session::of(Limits::default(), Serves::Catalog);
        let ask = DiscoveryRequest {
            type_url: Endpoints.type_url().to_owned(),
            resource_names: vec!["shop/a".to_owned(), "shop/b".to_owned()],
            version_info: version.to_owned(),
            ..Default::default()
        };
        session.on_request(&ask, &view).expect("within the limits");
        let mut sent = 0;
        while let Some(response) = session.next_response(&view) {
            sent += response.resources.len();
            let ack = DiscoveryRequest { response_nonce: response.nonce, ..ask.clone() };
            session.on_request(&ack, &view).expect("an ACK is fine");
        }
        assert_eq!(sent, told, "of version {version:?}");
        assert_eq!(session.asked_bytes(), 2 * 20, "nothing stays but that they are absent");
    }
}
