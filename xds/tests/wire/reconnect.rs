//! A client whose connection ends, and comes again.

use std::{
    collections::BTreeMap,
    sync::{Arc, atomic::Ordering::Relaxed},
    time::Duration,
};

use rollcall_xds::{
    client::{self, Config, Event, Names},
    resource::ResourceType::{EndpointBucket, Service, Zone},
    server::{Limits, Nack},
};
use tokio::sync::{mpsc, oneshot, watch};

use crate::{Replica, catalog, resource, soon};

/// A client and what it has been told.
pub(crate) struct Reader {
    events: mpsc::UnboundedReceiver<Event>,
    pub(crate) holds: BTreeMap<String, String>,
    stop: oneshot::Sender<()>,
    task: tokio::task::JoinHandle<Result<(), client::ConfigError>>,
}

impl Reader {
    pub(crate) fn start(servers: Vec<String>) -> Self {
        Self::start_with(servers, crate::PATIENCE)
    }

    pub(crate) fn start_with(servers: Vec<String>, keepalive: Duration) -> Self {
        Self::start_config(Config { keepalive, ..Config::new(servers, "test-0") })
    }

    pub(crate) fn start_config(mut config: Config) -> Self {
        config.backoff_min = Duration::from_millis(1);
        config.backoff_max = Duration::from_millis(50);
        let (sender, events) = mpsc::unbounded_channel();
        let (stop, stopped) = oneshot::channel::<()>();
        let sink = move |event: Event| {
            let bad = matches!(&event, Event::Update(update) if update.upserts.iter().any(|new| &*new.value == b"bad"));
            sender.send(event).map_err(|_| "the test is over".to_owned())?;
            if bad { Err("a bad body".to_owned()) } else { Ok(()) }
        };
        let task = tokio::spawn(client::run(config, sink, async move { _ = stopped.await }));
        Self { events, holds: BTreeMap::new(), stop, task }
    }

    async fn event(&mut self) -> Event {
        let event = soon(self.events.recv()).await.expect("the client runs");
        if let Event::Update(update) = &event {
            let text = |value: &[u8]| String::from_utf8_lossy(value).into_owned();
            self.holds.extend(update.upserts.iter().map(|new| (new.name.to_string(), text(&new.value))));
            update.removed.iter().for_each(|name| _ = self.holds.remove(&**name));
        }
        event
    }

    /// Names in the next update.
    /// The next that says something: of types of which there is nothing, that is said once, too.
    pub(crate) async fn update(&mut self) -> Vec<String> {
        loop {
            match self.event().await {
                Event::Update(update) if update.upserts.is_empty() && update.removed.is_empty() => {}
                Event::Update(update) => return update.upserts.iter().map(|new| new.name.to_string()).collect(),
                other => panic!("expected an update, not {other:?}"),
            }
        }
    }

    pub(crate) async fn connected(&mut self) -> String {
        loop {
            if let Event::Connected { server } = self.event().await {
                return server.to_string();
            }
        }
    }

    pub(crate) async fn disconnected(&mut self) -> String {
        loop {
            if let Event::Disconnected { reason, .. } = self.event().await {
                return reason;
            }
        }
    }

    pub(crate) async fn holding(&mut self, name: &str, body: &str) {
        while self.holds.get(name).is_none_or(|held| held != body) {
            self.event().await;
        }
    }

    pub(crate) async fn stop(self) {
        self.stop.send(()).expect("the client runs");
        soon(self.task).await.expect("no panic").expect("a fine configuration");
    }
}

#[tokio::test]
async fn a_restarted_server_sends_only_what_changed_meanwhile() {
    let (mut cache, sender) = catalog();
    (0..100).for_each(|n| assert!(cache.upsert(Service, resource(Service, &format!("shop/{n}"), "1"))));
    cache.upsert(EndpointBucket, resource(EndpointBucket, "shop/1/1/0", "1"));
    cache.upsert(Zone, resource(Zone, "zone", "1"));
    sender.send_replace(Some(cache.publish()));
    let first = Replica::start(sender.subscribe()).await;
    let (address, uri) = (first.address, first.uri());
    let mut reader = Reader::start(vec![uri.clone()]);
    assert_eq!(reader.connected().await, uri);
    assert_eq!(reader.update().await, ["shop/1/1/0"]);
    assert_eq!(reader.update().await.len(), 100);
    assert_eq!(reader.update().await, ["zone"], "the zone says that the rest is complete");
    cache.upsert(Service, resource(Service, "shop/7", "2"));
    sender.send_replace(Some(cache.publish()));
    assert_eq!(reader.update().await, ["shop/7"]);

    first.stop().await;
    reader.disconnected().await;
    assert_eq!(reader.holds.len(), 102, "nothing is dropped");
    // A new process: the same content, counted from the start.
    let (mut cache, sender) = catalog();
    (0..100)
        .filter(|n| *n != 3)
        .for_each(|n| assert!(cache.upsert(Service, resource(Service, &format!("shop/{n}"), "1"))));
    cache.upsert(Service, resource(Service, "shop/7", "2"));
    cache.upsert(Service, resource(Service, "shop/8", "2"));
    cache.upsert(EndpointBucket, resource(EndpointBucket, "shop/1/1/0", "1"));
    cache.upsert(Zone, resource(Zone, "zone", "1"));
    sender.send_replace(Some(cache.publish()));
    let second = Replica::start_at(address, sender.subscribe(), Limits::default()).await;
    reader.connected().await;
    assert_eq!(reader.update().await, ["shop/8"]);
    cache.upsert(Zone, resource(Zone, "zone", "2"));
    sender.send_replace(Some(cache.publish()));
    assert_eq!(reader.update().await, ["zone"], "the buckets and the old zone were not sent again");
    assert_eq!((reader.holds.len(), reader.holds.contains_key("shop/3")), (101, false));
    let sent = |ty| second.metrics.types()[ty].resources.load(Relaxed);
    assert_eq!((sent(Service), sent(EndpointBucket), sent(Zone)), (1, 0, 1));
    assert_eq!((second.metrics.streams_open(), second.metrics.streams_accepted()), (1, 1));
    reader.stop().await;
    second.stop().await;
}

#[tokio::test]
async fn what_the_sink_refuses_is_counted_with_its_reason_and_does_not_end_the_stream() {
    let (mut cache, sender) = catalog();
    cache.upsert(Service, resource(Service, "a", "bad"));
    sender.send_replace(Some(cache.publish()));
    let replica = Replica::start(sender.subscribe()).await;
    let mut reader = Reader::start(vec![replica.uri()]);
    reader.holding("a", "bad").await;
    cache.upsert(Service, resource(Service, "a", "good"));
    sender.send_replace(Some(cache.publish()));
    reader.holding("a", "good").await;
    let nack = Nack { node_id: "test-0".to_owned(), message: "a bad body".to_owned() };
    assert_eq!(replica.metrics.last_nack(Service), Some(nack));
    assert_eq!(replica.metrics.types()[Service].nacks.load(Relaxed), 1);
    reader.stop().await;
    replica.stop().await;
}

#[tokio::test]
async fn names_are_subscribed_to_one_by_one_while_the_stream_is_open_and_after_a_reconnect() {
    let (mut cache, sender) = catalog();
    for name in ["a", "b", "c"] {
        cache.upsert(Service, resource(Service, name, "1"));
    }
    sender.send_replace(Some(cache.publish()));
    let replica = Replica::start(sender.subscribe()).await;
    let address = replica.address;
    let names = |of: &[&str]| Names::from([(Service, of.iter().map(|name| Arc::from(*name)).collect())]);
    let (wanted, receiver) = watch::channel(names(&["a"]));
    let config = Config { types: Vec::new(), names: receiver, ..Config::new(vec![replica.uri()], "test-0") };
    let mut reader = Reader::start_config(config);
    reader.holding("a", "1").await;
    wanted.send_replace(names(&["b", "later"]));
    reader.holding("b", "1").await;
    assert!(!reader.holds.contains_key("c"), "nobody asked for it");

    replica.stop().await;
    cache.upsert(Service, resource(Service, "a", "2"));
    cache.upsert(Service, resource(Service, "b", "2"));
    sender.send_replace(Some(cache.publish()));
    let replica = Replica::start_at(address, sender.subscribe(), Limits::default()).await;
    reader.holding("b", "2").await;
    cache.upsert(Service, resource(Service, "later", "1"));
    sender.send_replace(Some(cache.publish()));
    reader.holding("later", "1").await;
    assert_eq!(reader.holds.get("a").map(String::as_str), Some("1"), "it was given up");
    reader.stop().await;
    replica.stop().await;
}
