//! Tests: registrations with hosts, before a name server on loopback.

use std::io::Write;
use std::net::SocketAddr;

use hickory_proto::op::{Message, MessageType, ResponseCode};
use hickory_proto::rr::rdata::{A, AAAA};
use hickory_proto::rr::{RData, Record, RecordType};
use serde_json::json;
use tokio::net::UdpSocket;
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};

use super::*;
use crate::replicas::Roster;
use crate::testing::registration;
use rollcall_health::membership::Standing;
use rollcall_health::owner;
use tokio::sync::watch;
use turns::Resolution;

/// A name server that knows `db.example.net`, and no other name.
async fn name_server() -> SocketAddr {
    let socket = UdpSocket::bind("127.0.0.1:0").await.expect("a port");
    let address = socket.local_addr().expect("an address");
    tokio::spawn(async move {
        let mut datagram = [0; 1500];
        while let Ok((length, from)) = socket.recv_from(&mut datagram).await {
            let mut message = Message::from_vec(&datagram[..length]).expect("a question");
            let query = message.queries[0].clone();
            message.metadata.message_type = MessageType::Response;
            match (query.name().to_ascii().as_str(), query.query_type()) {
                ("db.example.net.", RecordType::A) => {
                    let record =
                        |last| Record::from_rdata(query.name().clone(), 60, RData::A(A::new(198, 51, 100, last)));
                    message.add_answers([record(7), record(8)]);
                }
                ("db.example.net.", _) => {
                    let ip = "2001:db8::7".parse().expect("an address");
                    message.add_answer(Record::from_rdata(query.name().clone(), 60, RData::AAAA(AAAA(ip))));
                }
                _ => message.metadata.response_code = ResponseCode::NXDomain,
            }
            let _ = socket.send_to(&message.to_vec().expect("bytes"), from).await;
        }
    });
    address
}

/// What comes out behind it: endpoints with their addresses, and words about those without.
struct Behind(UnboundedSender<(Vec<String>, Unresolved)>);

impl Resolved for Behind {
    async fn take_in(&mut self, registration: ServiceRegistration, unresolved: Unresolved) {
        let endpoint = |said: &rollcall_crds::EndpointSpec| format!("{}={}", said.name, said.addresses.join(","));
        let _ = self.0.send((registration.spec.endpoints.iter().map(endpoint).collect(), unresolved));
    }
}

impl Handler<ServiceRegistration> for Behind {
    async fn apply(&mut self, registration: ServiceRegistration) {
        self.take_in(registration, Unresolved::default()).await;
    }

    async fn delete(&mut self, _: &ObjectKey) {}

    async fn synced(&mut self) {}
}

async fn rig() -> (Front, UnboundedReceiver<(Vec<String>, Unresolved)>, tempfile::NamedTempFile) {
    rig_among(&Replicas::alone("a")).await
}

async fn rig_among(
    replicas: &Replicas,
) -> (Front, UnboundedReceiver<(Vec<String>, Unresolved)>, tempfile::NamedTempFile) {
    let mut file = tempfile::NamedTempFile::new().expect("a file");
    writeln!(file, "nameserver {}", name_server().await).expect("written");
    let (sender, behind) = unbounded_channel();
    let front = before(Behind(sender), file.path().to_path_buf(), Clock::default(), replicas);
    (front, behind, file)
}

fn spec(endpoints: serde_json::Value) -> ServiceRegistration {
    registration(json!({ "service": "payments", "ports": [{ "port": 5432 }], "endpoints": endpoints }))
}

async fn next(behind: &mut UnboundedReceiver<(Vec<String>, Unresolved)>) -> (Vec<String>, Unresolved) {
    tokio::time::timeout(Duration::from_secs(60), behind.recv()).await.expect("in time").expect("it runs")
}

#[tokio::test]
async fn a_host_becomes_an_endpoint_for_each_address_of_both_families() {
    let (mut front, mut behind, _file) = rig().await;
    front
        .apply(spec(
            json!([{ "name": "db", "host": "db.example.net" }, { "name": "vm", "addresses": ["198.51.100.1"] }]),
        ))
        .await;
    let (endpoints, unresolved) = next(&mut behind).await;
    assert_eq!(endpoints, ["db=", "vm=198.51.100.1"]);
    assert_eq!(unresolved["db"], "host db.example.net: is being looked up");
    let (endpoints, unresolved) = next(&mut behind).await;
    assert_eq!(
        endpoints,
        [
            "db-198-51-100-7=198.51.100.7",
            "db-198-51-100-8=198.51.100.8",
            "db-2001-db8-0-0-0-0-0-7=2001:db8::7",
            "vm=198.51.100.1"
        ]
    );
    assert!(unresolved.is_empty());
}

#[tokio::test]
async fn a_name_that_is_not_there_is_said_and_the_others_go_on() {
    let (mut front, mut behind, _file) = rig().await;
    front
        .apply(spec(json!([{ "name": "a", "host": "none.example.net" }, { "name": "b", "host": "db.example.net" }])))
        .await;
    let told = async {
        loop {
            let (endpoints, unresolved) = next(&mut behind).await;
            if endpoints.len() == 4 && unresolved.get("a").is_some_and(|words| words.contains("NXDOMAIN")) {
                return;
            }
        }
    };
    tokio::time::timeout(Duration::from_secs(60), told).await.expect("both are told");
    front.apply(spec(json!([{ "name": "b", "addresses": ["198.51.100.2"] }]))).await;
    assert_eq!(next(&mut behind).await.0, ["b=198.51.100.2"], "the host is not asked for any more");
}

#[tokio::test]
async fn one_replica_asks_the_others_take_its_word_and_go_on_from_it_without_it() {
    let ranked = owner::ranked("db.example.net", ["a", "b"]);
    let (first, me) = (Name::from(ranked[0]), Name::from(ranked[1]));
    let both = Standing::of(["a".into(), "b".into()], [first.clone()]);
    let (stand, standing) = watch::channel(both);
    let replicas = Replicas::of(Roster::new(me.clone(), standing));
    let (mut front, mut behind, _file) = rig_among(&replicas).await;
    front.apply(spec(json!([{ "name": "db", "host": "db.example.net" }]))).await;
    assert_eq!(next(&mut behind).await.0, ["db="]);
    // Not what this one's name server says.
    let says = Resolution { addresses: ["198.51.100.99".parse().expect("an address")].into(), words: String::new() };
    let say = |body| replicas.exchange.heard(&first, ResourceType::Resolved, &"db.example.net".into(), body);
    say(Some(wire::body(&says)));
    assert_eq!(next(&mut behind).await.0, ["db-198-51-100-99=198.51.100.99"]);
    let said = || replicas.exchange.snapshots().borrow().as_ref().map_or(0, |all| all.len(ResourceType::Resolved));
    assert_eq!(said(), 0, "who follows says nothing");
    say(None);
    replicas.exchange.gone(&first);
    stand.send_replace(Standing::alone(&me));
    let (endpoints, _) = next(&mut behind).await;
    assert_eq!(endpoints.len(), 3, "it asks by itself: {endpoints:?}");
    let mut snapshots = replicas.exchange.snapshots();
    let told = snapshots.wait_for(|all| all.as_ref().is_some_and(|all| all.len(ResourceType::Resolved) == 1));
    tokio::time::timeout(Duration::from_secs(60), told).await.expect("in time").expect("it runs");
    front.apply(spec(json!([{ "name": "vm", "addresses": ["198.51.100.1"] }]))).await;
    let unsaid = snapshots.wait_for(|all| all.as_ref().is_some_and(|all| all.len(ResourceType::Resolved) == 0));
    tokio::time::timeout(Duration::from_secs(60), unsaid).await.expect("in time").expect("it runs");
}
