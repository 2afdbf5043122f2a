//! What comes by the stream, in whatever order, and what of it is wanted.

use std::collections::HashMap;

use proptest::prelude::*;
use prost::Message;
use rollcall_xds::client::Upsert;

use super::*;

fn wanted() -> Wanted {
    Wanted { cluster: "east".into(), me: "west".into(), namespaces: None, services_max: 3, endpoints_max: 5 }
}

fn upsert(ty: ResourceType, name: &str, message: &impl Message) -> Event {
    let value = message.encode_to_vec();
    let version = rollcall_xds::resource::Version::of(&value).to_string();
    let upserts = vec![Upsert { name: name.into(), version: version.into(), value: value.into() }];
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
    upsert(
        ResourceType::Exporter,
        "cluster",
        &v1::Exporter { cluster_id: id.into(), beat: 1, cluster_uid: String::new() },
    )
}

fn names(heard: &Heard, service: &str) -> Option<Vec<String>> {
    let (namespace, name) = service.split_once('/').expect("a name");
    let (_, endpoints) = heard.service(&ServiceKey::new(namespace, name))?;
    Some(endpoints.iter().map(|endpoint| endpoint.name().to_string()).collect())
}

#[test]
fn a_service_is_the_union_of_its_buckets_and_there_once_it_is_said() {
    let mut heard = Heard::new(wanted(), None);
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
    let mut heard = Heard::new(wanted(), None);
    heard.on(Event::Connected { server: "https://east:18000".into() }).expect("taken");
    let said = heard.on(exporter("north")).expect_err("another cluster");
    assert!(said.contains("says that its id is north") && said.contains("at east:18000"), "{said}");
    let said = heard.on(exporter("west")).expect_err("this cluster");
    assert!(said.contains("is this cluster itself"), "{said}");
    assert!(!heard.complete && heard.wrong.is_some());
    heard.on(exporter("east")).expect("taken");
    assert_eq!((heard.complete, heard.beats, &heard.wrong), (true, 1, &None));
}

#[test]
fn what_is_not_wanted_or_too_much_is_counted_and_left_out() {
    let namespaces = Some(Arc::new(["shop".into(), "default".into()].into()));
    let mut heard = Heard::new(Wanted { namespaces, ..wanted() }, None);
    for name in ["bank/a", "default/kubernetes", "shop/a", "shop/b", "shop/c", "shop/d"] {
        heard.on(service(name)).expect("taken or held back");
    }
    heard.on(bucket("bank/a", "1/0", &[1])).expect("held back");
    assert_eq!(heard.keys().iter().map(ToString::to_string).collect::<Vec<_>>(), ["shop/a", "shop/b", "shop/c"]);
    assert_eq!(heard.held_back(), LinkCounts { services: 3, endpoints: 1 });
    heard.on(bucket("shop/a", "1/0", &[1, 2, 3, 4])).expect("taken");
    heard.on(bucket("shop/b", "1/0", &[5, 6])).expect("half of it is taken");
    assert_eq!(heard.held_back(), LinkCounts { services: 3, endpoints: 2 });
    // What is said anew takes the place of what was said, and does not count twice.
    heard.on(bucket("shop/a", "1/0", &[1, 2, 3])).expect("taken");
    heard.on(bucket("shop/b", "1/0", &[5, 6])).expect("taken");
    assert_eq!((heard.endpoints, heard.held_back().endpoints, heard.is_full()), (5, 1, true));
}

#[test]
fn what_is_of_a_namespace_that_is_wanted_no_more_goes_at_once_and_waits_for_no_room() {
    let mut heard = Heard::new(Wanted { services_max: 2, ..wanted() }, None);
    heard.on(exporter("east")).expect("complete");
    for (name, ids) in [("bank/a", [1, 2]), ("shop/b", [3, 4]), ("shop/c", [5, 6])] {
        heard.on(service(name)).expect("taken or held back");
        heard.on(bucket(name, "1/0", &ids)).expect("taken or held back");
    }
    assert_eq!(
        (heard.keys().len(), heard.held_back(), heard.is_full()),
        (2, LinkCounts { services: 1, endpoints: 2 }, true)
    );
    let version = heard.version();
    let only = |names: &[&str]| names.iter().map(|name| Name::from(*name)).collect::<BTreeSet<_>>();
    heard.keep_to(Some(&only(&["bank", "shop"])));
    heard.keep_to(None);
    assert_eq!(heard.keys().len(), 2, "nothing that is here is wanted no more");
    heard.keep_to(Some(&only(&["bank"])));
    assert_eq!(heard.keys(), BTreeSet::from([ServiceKey::new("bank", "a")]));
    assert_eq!((heard.endpoints, heard.held_back()), (2, LinkCounts { services: 2, endpoints: 4 }));
    assert_eq!((heard.is_full(), heard.has_room_again(), heard.version()), (false, false, version));
    // What is said of it afterwards is counted, and what is removed is not any more.
    heard.on(bucket("shop/b", "1/0", &[3, 4, 7])).expect("held back");
    heard.on(removed(ResourceType::ExportedBucket, "shop/c/1/0")).expect("taken");
    heard.on(removed(ResourceType::ExportedService, "shop/c")).expect("taken");
    assert_eq!((heard.endpoints, heard.held_back()), (2, LinkCounts { services: 1, endpoints: 3 }));
    // To want more is not to have it.
    heard.keep_to(Some(&only(&["bank", "shop"])));
    assert_eq!(heard.keys().len(), 1);
}

#[test]
fn what_is_over_the_limit_goes_and_what_stays_does_not_and_room_is_seen_when_it_comes() {
    let mut heard = Heard::new(wanted(), None);
    heard.on(service("shop/a")).expect("taken");
    heard.on(bucket("shop/a", "1/0", &[1, 2, 3, 4])).expect("taken");
    // Two that were there are there no more, and of four new ones three find room.
    heard.on(bucket("shop/a", "1/0", &[3, 4, 5, 6, 7, 8])).expect("most of it is taken");
    assert_eq!(names(&heard, "shop/a").expect("there"), ["10.1.0.3", "10.1.0.4", "10.1.0.5", "10.1.0.6", "10.1.0.7"]);
    assert_eq!((heard.held_back().endpoints, heard.endpoints), (1, 5));
    heard.on(exporter("east")).expect("taken");
    assert!(heard.is_full() && !heard.has_room_again());
    heard.on(service("shop/b")).expect("taken");
    heard.on(bucket("shop/b", "1/0", &[9])).expect("held back");
    assert_eq!((heard.held_back().endpoints, heard.has_room_again()), (2, false));
    heard.on(bucket("shop/a", "1/0", &[3, 4])).expect("taken");
    assert!(heard.is_full() && heard.has_room_again(), "for what is held back of shop/b");
    // Who asks anew is told all of it.
    heard.on(bucket("shop/b", "1/0", &[9])).expect("taken");
    assert!(!heard.is_full() && !heard.has_room_again());
    assert_eq!(names(&heard, "shop/b").expect("there"), ["10.1.0.9"]);
    // The same of services.
    for name in ["shop/c", "shop/d"] {
        heard.on(service(name)).expect("taken or held back");
    }
    assert!(heard.is_full() && !heard.has_room_again());
    heard.on(removed(ResourceType::ExportedService, "shop/c")).expect("taken");
    assert!(heard.has_room_again());
}

#[test]
fn one_bad_resource_costs_only_itself() {
    let mut heard = Heard::new(wanted(), None);
    let Event::Update(mut update) = service("shop/a") else { panic!("an update") };
    let version = rollcall_xds::resource::Version::of(&[0xff]).to_string();
    update.upserts.push(Upsert { name: "shop/b".into(), version: version.into(), value: vec![0xff].into() });
    let said = heard.on(Event::Update(update)).expect_err("half of it");
    assert!(said.starts_with("1 resources refused, the others applied: service shop/b"), "{said}");
    assert_eq!(names(&heard, "shop/a"), Some(Vec::new()));
    assert!(heard.refused().is_some());
}

fn by(address: &str) -> Event {
    Event::Connected { server: address.into() }
}

fn exporter_of(uid: &str, beat: u64) -> Event {
    let message = v1::Exporter { cluster_id: "east".into(), beat, cluster_uid: uid.into() };
    upsert(ResourceType::Exporter, "cluster", &message)
}

#[test]
fn of_two_clusters_with_one_id_the_one_that_was_heard_before_is_believed() {
    let mut heard = Heard::new(wanted(), Some("uid-1".into()));
    heard.on(by("https://east-1:18000")).expect("open");
    heard.on(exporter_of("uid-1", 1)).expect("the same");
    heard.on(by("https://east-2:18000")).expect("open");
    heard.on(service("shop/a")).expect("taken");
    let said = heard.on(exporter_of("uid-2", 2)).expect_err("another cluster");
    assert!(said.contains("two clusters say that they are east: the one at east-2:18000"), "{said}");
    assert!(heard.take_changed().is_empty(), "nothing of it is handed on");
    // Of an earlier version, which does not say.
    let mut heard = Heard::new(wanted(), Some("uid-1".into()));
    heard.on(exporter_of("", 1)).expect("taken");
    assert_eq!(heard.uid.as_deref(), Some("uid-1"));
}

#[test]
fn what_comes_by_another_address_waits_until_it_is_said_whose_it_is() {
    let mut heard = Heard::new(wanted(), None);
    heard.on(by("https://east-1:18000")).expect("open");
    heard.on(service("shop/a")).expect("taken");
    assert!(heard.take_changed().is_empty());
    heard.on(exporter_of("uid-1", 1)).expect("taken");
    assert_eq!(heard.take_changed().len(), 1);
    // The same address is the same cluster.
    heard.on(by("https://east-1:18000")).expect("open");
    heard.on(service("shop/b")).expect("taken");
    assert_eq!(heard.take_changed().len(), 1);
    heard.on(by("https://east-2:18000")).expect("open");
    heard.on(removed(ResourceType::ExportedService, "shop/a")).expect("taken");
    assert!(heard.take_changed().is_empty());
    heard.on(exporter_of("uid-1", 2)).expect("taken");
    assert_eq!(heard.take_changed(), BTreeSet::from([ServiceKey::new("shop", "a")]));
}

#[test]
fn content_that_is_not_that_of_its_version_is_refused_until_it_is() {
    let mut heard = Heard::new(wanted(), None);
    let Event::Update(mut update) = service("shop/a") else { panic!("an update") };
    update.upserts[0].version = "0123456789abcdef".into();
    let said = heard.on(Event::Update(update)).expect_err("two different things");
    assert!(said.contains("shop/a came as version 0123456789abcdef with the content of version"), "{said}");
    assert_eq!(names(&heard, "shop/a"), None);
    assert!(heard.refused().is_some_and(|said| said.contains("shop/a")));
    heard.on(service("shop/a")).expect("taken");
    assert_eq!(heard.refused(), None);
}

#[test]
fn a_peer_that_never_ends_costs_a_bounded_amount() {
    let mut heard = Heard::new(wanted(), None);
    let mut upserts = Vec::new();
    for number in 0..2_000 {
        let value = vec![0xff];
        let version = rollcall_xds::resource::Version::of(&value).to_string();
        let name = format!("{}/{number}", "x".repeat(5_000));
        upserts.push(Upsert { name: name.into(), version: version.into(), value: value.into() });
    }
    let said = heard.on(Event::Update(Update { ty: ResourceType::ExportedBucket, upserts, removed: Vec::new() }));
    let said = said.expect_err("none of it is anything");
    assert!(said.starts_with("2000 resources refused") && said.len() < 8_000, "{} bytes", said.len());
    assert!(heard.refused.len() <= REFUSED_MAX && heard.refused.keys().all(|(_, name)| name.len() <= NAME_MAX));
}

#[test]
fn a_cluster_that_names_ever_more_is_remembered_up_to_a_bound_and_what_is_known_goes_on() {
    let mut heard = Heard::new(wanted(), None);
    heard.on(service("shop/a")).expect("taken");
    // Of another namespace, without an end; and buckets without endpoints.
    let Event::Update(one) = bucket("shop/a", "8/0", &[]) else { panic!("an update") };
    let names = (0..100_100).map(|at| Upsert { name: format!("shop/a/131072/{at}").into(), ..one.upserts[0].clone() });
    let said = heard.on(Event::Update(Update { upserts: names.collect(), ..one }));
    assert!(said.expect_err("too many").starts_with("89 resources refused"));
    let words = heard.refused().expect("it is told");
    assert!(words.contains("one more than the 100012 resources that are remembered of a cluster"), "{words}");
    assert!(heard.services[&ServiceKey::new("shop", "a")].buckets.len() <= 100_012);
    let version = heard.version();
    heard.on(service("shop/a")).expect("what is known goes on");
    assert_eq!(heard.version(), version);
    heard.on(removed(ResourceType::ExportedBucket, "shop/a/131072/0")).expect("taken");
    heard.on(service("shop/b")).expect("what goes makes room");
    // Nor does it speak of itself by many names.
    let message = v1::Exporter { cluster_id: "east".into(), ..Default::default() };
    let said = heard.on(upsert(ResourceType::Exporter, "cluster-2", &message)).expect_err("it has one");
    assert!(said.contains("cluster-2 is not what a cluster speaks of itself by"), "{said}");
}

/// What another cluster exports: by service, endpoints by id, and in how many buckets it tells them.
type Theirs = BTreeMap<u8, (BTreeSet<u8>, u32)>;

/// As resources: type, name, event.
fn resources(theirs: &Theirs) -> Vec<(ResourceType, String, Event)> {
    let mut all = Vec::new();
    for (number, (ids, count)) in theirs {
        let name = format!("shop/s{number}");
        all.push((ResourceType::ExportedService, name.clone(), service(&name)));
        for index in 0..*count {
            let its: Vec<_> = ids.iter().copied().filter(|id| u32::from(*id) % count == index).collect();
            let cut = format!("{count}/{index}");
            all.push((ResourceType::ExportedBucket, format!("{name}/{cut}"), bucket(&name, &cut, &its)));
        }
    }
    all
}

fn version(event: &Event) -> String {
    match event {
        Event::Update(update) => update.upserts[0].version.to_string(),
        _ => panic!("an update"),
    }
}

proptest! {
    /// A stream that breaks anywhere, comes back by another address, tells things twice and in any order: once it says which cluster
    /// it is of, what is heard is what that cluster has.
    #[test]
    fn what_is_heard_is_what_they_have(
        rounds in proptest::collection::vec(
            (proptest::collection::btree_map(0_u8..3, (proptest::collection::btree_set(0_u8..40, 0..12), 1_u32..5), 0..4), 0_usize..50, any::<bool>(), 0_u8..3),
            1..12,
        ),
    ) {
        let mut heard = Heard::new(Wanted { services_max: 100, endpoints_max: 1_000, ..wanted() }, None);
        // As the client remembers it: what was acknowledged.
        let mut held: HashMap<(ResourceType, String), String> = HashMap::new();
        let (mut beat, mut told) = (0, BTreeMap::<ServiceKey, usize>::new());
        for (theirs, turn, breaks, address) in rounds {
            heard.on(by(&format!("https://east-{address}:18000"))).expect("open");
            let now = resources(&theirs);
            let mut events = Vec::new();
            for (ty, name, event) in &now {
                if held.get(&(*ty, name.clone())) != Some(&version(event)) {
                    events.push((*ty, name.clone(), Some(event.clone())));
                }
            }
            for (ty, name) in held.keys().filter(|(ty, name)| !now.iter().any(|(its, same, _)| its == ty && same == name)) {
                events.push((*ty, name.clone(), None));
            }
            let turn = turn.checked_rem(events.len()).unwrap_or(0);
            events.rotate_left(turn);
            if breaks {
                events.truncate(events.len() / 2);
            }
            for (at, (ty, name, event)) in events.iter().enumerate() {
                let event = event.clone().unwrap_or_else(|| removed(*ty, name));
                heard.on(event.clone()).expect("taken");
                if at % 3 == 0 {
                    heard.on(event.clone()).expect("taken again");
                }
                match event {
                    Event::Update(update) if update.removed.is_empty() => {
                        held.insert((*ty, name.clone()), update.upserts[0].version.to_string());
                    }
                    _ => _ = held.remove(&(*ty, name.clone())),
                }
            }
            if breaks {
                heard.on(Event::Disconnected { reason: "cut".into(), retry_in: std::time::Duration::ZERO }).expect("closed");
                continue;
            }
            beat += 1;
            heard.on(exporter_of("uid-1", beat)).expect("taken");
            for key in heard.take_changed() {
                match heard.service(&key) {
                    Some((_, endpoints)) => _ = told.insert(key, endpoints.len()),
                    None => _ = told.remove(&key),
                }
            }
            let expected: BTreeMap<_, _> = theirs
                .iter()
                .map(|(number, (ids, _))| (ServiceKey::new("shop", format!("s{number}")), ids.len()))
                .collect();
            prop_assert_eq!(&told, &expected);
            prop_assert_eq!(heard.endpoints, expected.values().sum::<usize>());
        }
    }
}
