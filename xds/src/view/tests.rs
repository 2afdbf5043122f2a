//! Tests: what a stream sees.

use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

use super::*;
use crate::{
    asking::{Serves, Variant},
    cache::Cache,
    proto::discovery::{Locality, Node},
    resource::ResourceType::{Listener, Service, Zone},
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

    fn basis<'a>(&self, ty: ResourceType, name: &str, snapshot: &'a Snapshot) -> Option<&'a Resource> {
        snapshot.get(Service, name).filter(|_| ty == Listener)
    }

    fn make(&self, _: &Viewer, ty: ResourceType, name: &str, basis: &Resource) -> Option<Resource> {
        self.looked.fetch_add(1, Relaxed);
        Some(Resource::from_body(ty, name, [b"made of ", &*basis.body()].concat()))
    }
}

fn see(views: &Views, node: &Node, snapshot: Arc<Snapshot>) -> View {
    views.of(&Client { node, variant: Variant::Delta, serves: Serves::Catalog }, snapshot)
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
