//! What comes by the stream, in whatever order, and what of it is wanted.

use prost::Message;
use rollcall_xds::client::Upsert;

use super::*;

fn wanted() -> Wanted {
    Wanted { cluster: "east".into(), me: "west".into(), namespaces: None, services_max: 3, endpoints_max: 5 }
}

fn upsert(ty: ResourceType, name: &str, message: &impl Message) -> Event {
    let upserts = vec![Upsert { name: name.into(), version: "1".into(), value: message.encode_to_vec().into() }];
    Event::Update(Update { ty, upserts, removed: Vec::new() })
}

fn removed(ty: ResourceType, name: &str) -> Event {
    Event::Update(Update { ty, upserts: Vec::new(), removed: vec![name.into()] })
}

fn service(name: &str) -> Event {
    let (namespace, own) = name.split_once('/').expect("a name");
    let message = v1::ExportedService { namespace: namespace.into(), name: own.into(), ..Default::default() };
    upsert(ResourceType::ExportedService, name, &message)
}

fn bucket(service: &str, cut: &str, ids: &[u8]) -> Event {
    let (namespace, name) = service.split_once('/').expect("a name");
    let endpoint = |id: &u8| v1::ExportedEndpoint {
        id: (*id).into(),
        addresses: vec![vec![10, 1, 0, *id].into()],
        ..Default::default()
    };
    let message = v1::ExportedBucket {
        namespace: namespace.into(),
        service: name.into(),
        endpoints: ids.iter().map(endpoint).collect(),
        port_sets: vec![v1::PortSet::default()],
    };
    upsert(ResourceType::ExportedBucket, &format!("{service}/{cut}"), &message)
}

fn exporter(id: &str) -> Event {
    upsert(ResourceType::Exporter, "cluster", &v1::Exporter { cluster_id: id.into(), beat: 1 })
}

fn names(heard: &Heard, service: &str) -> Option<Vec<String>> {
    let (namespace, name) = service.split_once('/').expect("a name");
    let (_, endpoints) = heard.service(&ServiceKey::new(namespace, name))?;
    Some(endpoints.iter().map(|endpoint| endpoint.name.to_string()).collect())
}

#[test]
fn a_service_is_the_union_of_its_buckets_and_there_once_it_is_said() {
    let mut heard = Heard::new(wanted());
    heard.on(bucket("shop/a", "1/0", &[1, 2])).expect("taken");
    assert_eq!(names(&heard, "shop/a"), None);
    heard.on(service("shop/a")).expect("taken");
    // It grows: for a moment there are buckets of both counts, and each endpoint once.
    heard.on(bucket("shop/a", "2/1", &[2, 3])).expect("taken");
    assert_eq!(names(&heard, "shop/a").expect("there"), ["10.1.0.1", "10.1.0.2", "10.1.0.3"]);
    heard.on(removed(ResourceType::ExportedBucket, "shop/a/1/0")).expect("taken");
    assert_eq!(names(&heard, "shop/a").expect("there"), ["10.1.0.2", "10.1.0.3"]);
    heard.on(removed(ResourceType::ExportedService, "shop/a")).expect("taken");
    assert_eq!(names(&heard, "shop/a"), None);
    heard.on(removed(ResourceType::ExportedBucket, "shop/a/2/1")).expect("taken");
    assert_eq!((heard.services.len(), heard.endpoints, heard.complete), (0, 0, false));
}

#[test]
fn it_is_complete_with_the_first_beat_of_the_right_cluster() {
    let mut heard = Heard::new(wanted());
    heard.on(Event::Connected { server: "https://east:18000".into() }).expect("taken");
    let said = heard.on(exporter("north")).expect_err("another cluster");
    assert!(said.contains("says that its id is north") && said.contains("https://east:18000"), "{said}");
    let said = heard.on(exporter("west")).expect_err("this cluster");
    assert!(said.contains("is this cluster itself"), "{said}");
    assert!(!heard.complete && heard.trouble.is_some());
    heard.on(exporter("east")).expect("taken");
    assert_eq!((heard.complete, heard.beats, &heard.trouble), (true, 1, &None));
}

#[test]
fn what_is_not_wanted_or_too_much_is_counted_and_left_out() {
    let namespaces = Some(["shop".into(), "default".into()].into());
    let mut heard = Heard::new(Wanted { namespaces, ..wanted() });
    for name in ["bank/a", "default/kubernetes", "shop/a", "shop/b", "shop/c", "shop/d"] {
        heard.on(service(name)).expect("taken or held back");
    }
    heard.on(bucket("bank/a", "1/0", &[1])).expect("held back");
    assert_eq!(heard.keys().iter().map(ToString::to_string).collect::<Vec<_>>(), ["shop/a", "shop/b", "shop/c"]);
    assert_eq!(heard.held_back(), LinkCounts { services: 3, endpoints: 1 });
    heard.on(bucket("shop/a", "1/0", &[1, 2, 3, 4])).expect("taken");
    heard.on(bucket("shop/b", "1/0", &[5, 6])).expect("held back");
    assert_eq!(heard.held_back(), LinkCounts { services: 3, endpoints: 3 });
    // What is said anew takes the place of what was said, and does not count twice.
    heard.on(bucket("shop/a", "1/0", &[1, 2, 3])).expect("taken");
    heard.on(bucket("shop/b", "1/0", &[5, 6])).expect("taken");
    assert_eq!((heard.endpoints, heard.held_back().endpoints, heard.is_full()), (5, 1, true));
}

#[test]
fn one_bad_resource_costs_only_itself() {
    let mut heard = Heard::new(wanted());
    let Event::Update(mut update) = service("shop/a") else { panic!("an update") };
    update.upserts.push(Upsert { name: "shop/b".into(), version: "1".into(), value: vec![0xff].into() });
    let said = heard.on(Event::Update(update)).expect_err("half of it");
    assert!(said.starts_with("1 resources refused, the others applied: service shop/b"), "{said}");
    assert_eq!(names(&heard, "shop/a"), Some(Vec::new()));
    assert!(heard.refused.is_some());
}
