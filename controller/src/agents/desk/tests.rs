//! What is written for agents, in which objects, and what they are told.

use std::collections::BTreeSet;

use rollcall_crds::{EndpointSpec, PortOverride};
use rollcall_xds::proto::rollcall::v1 as wire;

use super::*;

fn seat(index: u32) -> Seat {
    Seat { session: 1, revision: 1, index }
}

fn instance(machine: &str, change: impl FnOnce(&mut wire::Instance)) -> Arc<Instance> {
    let mut said = wire::Instance {
        namespace: "shop".into(),
        service: "payments".into(),
        addresses: vec!["192.0.2.17".into()],
        ports: vec![wire::InstancePort { name: "http".into(), port: 8080, ..wire::InstancePort::default() }],
        ..wire::Instance::default()
    };
    change(&mut said);
    Arc::new(Instance::read(machine, &said).expect("a good instance"))
}

/// The API server: carries out each write, with versions of its own.
#[derive(Default)]
struct Server {
    version: u64,
    writes: Vec<Write>,
}

impl Server {
    fn carry_out(&mut self, desk: &mut Desk) {
        while let Some(write) = desk.next(0) {
            self.version += 1;
            let version = self.version.to_string();
            let shard = Some(Shard { version, ..write.shard.clone() }).filter(|shard| !shard.endpoints.is_empty());
            desk.done(&write, Outcome::Written(shard), 0);
            self.writes.push(write);
        }
    }
}

fn standing(desk: &Desk) -> usize {
    desk.shards.values().map(|shard| shard.endpoints.len()).sum()
}

#[test]
fn ten_thousand_machines_share_a_hundred_objects_and_as_many_writes() {
    let (mut desk, mut server) = (Desk::new(7), Server::default());
    for n in 0..10_000 {
        desk.want(seat(n), instance(&format!("vm-{n}"), |_| {}));
    }
    server.carry_out(&mut desk);
    assert_eq!((standing(&desk), desk.shards.len(), server.writes.len()), (10_000, 100, 100));
    let registered = desk.take_news().into_iter().filter(|news| matches!(news.state, State::Registered(_))).count();
    assert_eq!((registered, desk.waiting()), (10_000, 0));
    let sets: BTreeSet<_> = desk.wanted.values().map(|wanted| Arc::as_ptr(&wanted.instance.set)).collect();
    assert_eq!(sets.len(), 1, "what all of them say is kept once");
    assert_eq!(kept_once(&desk), 10_000, "as is what each of them says");
}

/// How many of what is wanted are the same in memory as what stands.
fn kept_once(desk: &Desk) -> usize {
    let kept = |key: &InstanceKey, own: &Endpoint| desk.standing(key).is_some_and(|stands| stands.is_shared_with(own));
    let instances = desk.wanted.values().map(|wanted| &wanted.instance);
    instances.filter(|instance| kept(&instance.key, &instance.endpoint)).count()
}

#[test]
fn what_the_api_server_says_like_an_agent_is_kept_once() {
    // As read from the API: nothing of it is the writer's.
    let anew = |shard: &Shard, uid: &str| {
        let endpoints =
            shard.endpoints.iter().map(|(name, endpoint)| (name.clone(), Endpoint::pack(&endpoint.unpack())));
        Shard { uid: uid.into(), endpoints: endpoints.collect(), ..shard.clone() }
    };
    let mut desk = Desk::new(7);
    desk.want(seat(0), instance("vm-1", |_| {}));
    let write = desk.next(0).expect("a write");
    desk.done(&write, Outcome::Written(Some(anew(&write.shard, "1"))), 0);
    assert_eq!(kept_once(&desk), 1);
    desk.seen(&write.key, Some(anew(&write.shard, "2")));
    assert_eq!(kept_once(&desk), 1, "and told by the watch");
    let mut restarted = Desk::new(7);
    restarted.seen(&write.key, Some(anew(&write.shard, "2")));
    restarted.want(seat(0), instance("vm-1", |_| {}));
    assert_eq!((restarted.next(0), kept_once(&restarted)), (None, 1), "and before its agent was there");
}

#[test]
fn an_endpoint_says_those_numbers_of_ports_that_its_object_does_not() {
    let (mut desk, mut server) = (Desk::new(7), Server::default());
    desk.want(seat(0), instance("vm-1", |_| {}));
    desk.want(seat(1), instance("vm-2", |said| said.ports[0].port = 9090));
    server.carry_out(&mut desk);
    let shard = desk.shards.values().next().expect("an object");
    let own: Vec<_> = shard.endpoints.values().map(|endpoint| endpoint.unpack().ports).collect();
    assert_eq!(own, [vec![], vec![PortOverride { name: "http".into(), port: 9090 }]]);
    assert_eq!(desk.shards.len(), 1);
}

#[test]
fn who_comes_back_stands_already_and_nothing_is_written() {
    let (mut desk, mut server) = (Desk::new(7), Server::default());
    desk.want(seat(0), instance("vm-1", |_| {}));
    server.carry_out(&mut desk);
    desk.take_news();
    desk.forget(seat(0), &instance("vm-1", |_| {}).key);
    desk.want(Seat { session: 2, ..seat(0) }, instance("vm-1", |_| {}));
    server.carry_out(&mut desk);
    assert_eq!(server.writes.len(), 1);
    assert!(matches!(&*desk.take_news(), [News { seat: Seat { session: 2, .. }, state: State::Registered(_) }]));
}

#[test]
fn what_others_registered_stays_and_goodbye_takes_only_ones_own() {
    let (mut desk, mut server) = (Desk::new(7), Server::default());
    let (one, two) = (instance("vm-1", |_| {}), instance("vm-2", |_| {}));
    desk.want(seat(0), Arc::clone(&one));
    server.carry_out(&mut desk);
    // Another replica writes into the same object.
    let (key, mut shard) = desk.shards.iter().next().map(|(key, shard)| (key.clone(), shard.clone())).expect("one");
    shard.endpoints.insert("vm-2".into(), shard.endpoint_of(&two));
    desk.seen(&key, Some(shard));
    desk.leave(seat(0), &one.key);
    server.carry_out(&mut desk);
    let left: Vec<_> = desk.shards[&key].endpoints.keys().map(ToString::to_string).collect();
    assert_eq!(left, ["vm-2"]);
    assert_eq!(desk.take_news().last().map(|news| news.state.clone()), Some(State::Left));
    desk.leave(seat(1), &two.key);
    server.carry_out(&mut desk);
    assert!(desk.shards.is_empty(), "the last one takes the object along");
}

#[test]
fn another_definition_stands_in_another_object_before_the_old_one_goes() {
    let (mut desk, mut server) = (Desk::new(7), Server::default());
    desk.want(seat(0), instance("vm-1", |_| {}));
    server.carry_out(&mut desk);
    desk.want(seat(0), instance("vm-1", |said| said.checks = vec![r#"{"name": "web", "tcp": {}}"#.into()]));
    server.carry_out(&mut desk);
    let writes: Vec<_> = server.writes.iter().map(|write| write.shard.endpoints.len()).collect();
    assert_eq!(writes, [1, 1, 0], "made, made anew, and then the old one deleted");
    assert_eq!((standing(&desk), desk.shards.len()), (1, 1));
}

#[test]
fn one_that_is_refused_keeps_none_of_its_set_from_being_registered() {
    let mut desk = Desk::new(7);
    for n in 0..5 {
        desk.want(seat(n), instance(&format!("vm-{n}"), |_| {}));
    }
    let mut refused = BTreeSet::new();
    while let Some(write) = desk.next(0) {
        let is_bad = write.shard.endpoints.contains_key("vm-3");
        let outcome = match is_bad {
            true => Outcome::Refused("spec.endpoints: no".into()),
            false => Outcome::Written(Some(Shard { version: "1".into(), ..write.shard.clone() })),
        };
        desk.done(&write, outcome, 0);
        for News { seat, state } in desk.take_news() {
            if let State::Refused(words) = state {
                assert!(words.contains("spec.endpoints: no"), "{words}");
                refused.insert(seat.index);
            }
        }
    }
    assert_eq!((standing(&desk), refused), (4, BTreeSet::from([3])));
    assert_eq!(desk.next_ms(), Some(REFUSED_MS), "it is tried again");
}

#[test]
fn a_conflict_waits_for_the_watch_and_an_outage_is_told() {
    let mut desk = Desk::new(7);
    desk.want(seat(0), instance("vm-1", |_| {}));
    let write = desk.next(0).expect("a write");
    assert!(desk.next(0).is_none(), "one at a time for each set");
    desk.done(&write, Outcome::Conflict, 0);
    assert_eq!((desk.next(0).is_some(), desk.next_ms()), (false, Some(CONFLICT_MS)));
    let write = desk.next(CONFLICT_MS).expect("again");
    desk.done(&write, Outcome::Unreachable("connection refused".into()), CONFLICT_MS);
    let news = desk.take_news();
    let [News { state: State::Waiting(words), .. }] = &*news else { panic!("{news:?}") };
    assert!(words.contains("waits for the API server: connection refused"), "{words}");
    assert!(desk.next(CONFLICT_MS + RETRY_MIN_MS).is_some(), "and again");
}

#[test]
fn what_the_api_server_makes_of_it_is_not_fought() {
    let (mut desk, mut writes) = (Desk::new(7), 0);
    desk.want(seat(0), instance("vm-1", |_| {}));
    while let Some(write) = desk.next(0) {
        writes += 1;
        assert!(writes < 10, "it is written again and again");
        let mut shard = Shard { version: writes.to_string(), ..write.shard.clone() };
        let weighed = |endpoint: &Endpoint| Endpoint::pack(&EndpointSpec { weight: 7, ..endpoint.unpack() });
        shard.endpoints.values_mut().for_each(|endpoint| *endpoint = weighed(endpoint));
        desk.done(&write, Outcome::Written(Some(shard)), 0);
    }
    assert_eq!(writes, 1);
    assert!(matches!(&*desk.take_news(), [News { state: State::Registered(_), .. }]));
}

#[test]
fn what_is_wanted_while_something_else_is_written_is_written_next() {
    let (mut desk, mut server) = (Desk::new(7), Server::default());
    desk.want(seat(0), instance("vm-17", |said| said.maintenance = "a new disk".into()));
    let write = desk.next(0).expect("a write");
    desk.want(seat(0), instance("vm-17", |_| {}));
    desk.done(&write, Outcome::Written(Some(Shard { version: "1".into(), ..write.shard.clone() })), 0);
    server.carry_out(&mut desk);
    let stands = desk.shards.values().next().expect("an object").endpoints.values().next().expect("an endpoint");
    assert_eq!((server.writes.len(), stands.unpack().maintenance), (1, None));
}
