//! Agents on a fake API server: what they say, what stands, and what they are told.

use std::collections::BTreeSet;
use std::net::IpAddr;
use std::sync::Mutex;

use futures::future::BoxFuture;
use prometheus_client::registry::Registry;
use rollcall_catalog::ServiceKey;
use rollcall_catalog::input::Origin;
use rollcall_fake_api::{FakeApi, Refusal as ApiRefusal};
use rollcall_health::beat::OnMachine;
use rollcall_xds::proto::rollcall::v1 as wire;
use rollcall_xds::tls::Shown;
use tokio::sync::{Semaphore, mpsc, watch};
use tokio_stream::wrappers::ReceiverStream;
use tokio_util::sync::CancellationToken;

use super::*;
use crate::agents::Watched;
use crate::agents::admission::{Admission, Ears, Interval};
use crate::agents::shard::MANAGED_BY;
use crate::agents::{Service, Settings};
use crate::checks::lookouts::Lookouts;
use crate::time::clock::Clock;
use rollcall_vantage::lookout::Lookout;

/// Lets everybody register in `shop`, as long as it knows.
#[derive(Clone, Default)]
struct Doorman {
    is_away: Arc<Mutex<bool>>,
}

impl Admission for Doorman {
    fn identify<'a>(
        &'a self,
        _: Option<&'a str>,
        _: &'a Shown,
        _: IpAddr,
    ) -> BoxFuture<'a, Result<Arc<dyn Caller>, Denial>> {
        let caller: Arc<dyn Caller> = Arc::new(self.clone());
        Box::pin(std::future::ready(Ok(caller)))
    }
}

impl Caller for Doorman {
    fn name(&self) -> String {
        "agent".to_owned()
    }

    fn may_be_asked<'a>(&'a self, _: Lookout, name: &'a str) -> BoxFuture<'a, Result<(), Denial>> {
        let answer = match (*self.is_away.lock().unwrap(), name) {
            (true, _) => Err(Denial::Unknown("the API server does not answer".into())),
            (false, "stranger") => Err(Denial::Refused("you may not be asked".into())),
            (false, _) => Ok(()),
        };
        Box::pin(std::future::ready(answer))
    }

    fn may<'a>(&'a self, service: &'a ServiceKey) -> BoxFuture<'a, Result<(), Denial>> {
        let answer = match (*self.is_away.lock().unwrap(), &*service.namespace) {
            (true, _) => Err(Denial::Unknown("the API server does not answer".into())),
            (false, "shop") => Ok(()),
            (false, namespace) => Err(Denial::Refused(format!("you may not register in {namespace}"))),
        };
        Box::pin(std::future::ready(answer))
    }
}

/// Remembers what it heard.
#[derive(Default)]
struct Notes(Mutex<Vec<String>>);

impl Ears for Notes {
    fn beat(&self, origin: &Origin, endpoint: &str, checks: &Arc<[OnMachine]>) -> Result<Interval, String> {
        let said = checks.iter().map(|check| format!("; {}: {}", check.health, check.saw));
        let words = format!("{endpoint} lives{}", said.collect::<String>());
        assert!(!origin.name.is_empty(), "it stands somewhere");
        self.0.lock().unwrap().push(words);
        Ok(Duration::from_secs(1))
    }

    fn stopped(&self, _: &Origin, endpoint: &str) -> Result<(), String> {
        self.0.lock().unwrap().push(format!("{endpoint} stops"));
        Ok(())
    }
}

/// A replica on a fake API server.
struct Replica {
    api: FakeApi,
    service: Service,
    watched: Watched,
    doorman: Arc<Doorman>,
    notes: Arc<Notes>,
    stop: CancellationToken,
}

impl Replica {
    fn start(api: &FakeApi) -> Self {
        let (_, snapshots) = watch::channel(Some(Arc::default()));
        let (doorman, notes, stop) = (Arc::<Doorman>::default(), Arc::<Notes>::default(), CancellationToken::new());
        let settings = Settings { agents_max: 10_000, writes_per_second: 50 };
        let (service, watched) = crate::agents::start(
            settings,
            (api.client(), snapshots, Clock::default()),
            (doorman.clone(), notes.clone()),
            (Lookouts::new().0, stop.clone()),
            &mut Registry::default(),
        );
        Self { api: api.clone(), service, watched, doorman, notes, stop }
    }

    /// An agent that has connected.
    async fn agent(&self) -> Agent {
        let (reports, outgoing) = mpsc::channel(16);
        let caller = Arc::clone(&self.doorman) as Arc<dyn Caller>;
        let permit = Arc::new(Semaphore::new(1)).try_acquire_owned().expect("room");
        let attendance = self.service.begin(caller, permit).await.expect("it goes on");
        Agent { reports, replies: Box::pin(attendance.into_replies(ReceiverStream::new(outgoing))) }
    }

    /// What stands, each as OBJECT'S LABELS and the names of its endpoints.
    fn endpoints(&self) -> BTreeSet<String> {
        let name = |endpoint: &serde_json::Value| endpoint["name"].as_str().unwrap_or_default().to_owned();
        let all = self.api.all("serviceregistrations");
        let endpoints =
            all.iter().flat_map(|object| object["spec"]["endpoints"].as_array().cloned().unwrap_or_default());
        endpoints.map(|endpoint| name(&endpoint)).collect()
    }

    fn heard(&self) -> Vec<String> {
        std::mem::take(&mut *self.notes.0.lock().unwrap())
    }
}

struct Agent {
    reports: mpsc::Sender<Result<AgentReport, Status>>,
    replies: std::pin::Pin<Box<dyn Stream<Item = Result<AgentReply, Status>> + Send>>,
}

impl Agent {
    async fn say(&self, report: Report) {
        self.reports.send(Ok(AgentReport { report: Some(report) })).await.expect("it listens");
    }

    async fn hello(&self, machine: &str, revision: u32, instances: Vec<wire::Instance>) {
        let (machine, agent_id, version) = (machine.to_owned(), format!("id of {machine}"), "0.1.0".to_owned());
        self.say(Report::Hello(wire::Hello { machine, agent_id, version, revision, instances, lookout: 0 })).await;
    }

    async fn reply(&mut self) -> Reply {
        let reply = tokio::time::timeout(Duration::from_secs(60), self.replies.next()).await;
        let reply = reply.expect("a reply in time").expect("the stream is open").expect("no error");
        reply.reply.expect("a reply")
    }

    /// The next answer about an instance.
    async fn answer(&mut self, index: u32) -> (WireState, String) {
        loop {
            if let Reply::Answers(answers) = self.reply().await
                && let Some(answer) = answers.answers.iter().find(|answer| answer.instance == index)
            {
                return (answer.state(), answer.words.clone());
            }
        }
    }
}

fn instance(namespace: &str, change: impl FnOnce(&mut wire::Instance)) -> wire::Instance {
    let mut said = wire::Instance {
        namespace: namespace.into(),
        service: "payments".into(),
        addresses: vec!["192.0.2.17".into()],
        ports: vec![wire::InstancePort { port: 8080, ..wire::InstancePort::default() }],
        ..wire::Instance::default()
    };
    change(&mut said);
    said
}

fn result(check: &str, verdict: wire::result::Verdict, output: &str) -> Report {
    let result =
        wire::Result { check: check.into(), verdict: verdict.into(), output: output.into(), ..wire::Result::default() };
    Report::Results(wire::Results { results: vec![result] })
}

#[tokio::test(start_paused = true)]
async fn a_machine_registers_beats_and_leaves() {
    let replica = Replica::start(&FakeApi::default());
    let mut agent = replica.agent().await;
    agent.hello("vm-17", 1, vec![instance("shop", |_| {}), instance("bank", |_| {})]).await;
    let (state, words) = agent.answer(1).await;
    assert_eq!((state, &*words), (WireState::Refused, "you may not register in bank"), "and the other one goes on");
    assert_eq!(agent.answer(0).await.0, WireState::Registered);
    let object = replica.api.all("serviceregistrations").remove(0);
    assert_eq!(object["metadata"]["labels"][MANAGED_BY.0], MANAGED_BY.1);
    assert_eq!(object["metadata"]["labels"]["machine.rollcall.dev/vm-17"], "");
    assert_eq!(object["spec"]["endpoints"][0]["addresses"][0], "192.0.2.17");
    agent.say(Report::Beats(wire::Beats::default())).await;
    assert_eq!(agent.reply().await, Reply::Due(Due { within_ms: 1_000 }));
    assert_eq!(replica.heard(), ["vm-17 lives"]);
    agent.say(Report::Goodbye(wire::Goodbye::default())).await;
    let (state, words) = agent.answer(0).await;
    assert_eq!((state, &*words), (WireState::Left, "callers are not given it any more"));
    assert_eq!(agent.answer(0).await, (WireState::Left, "it is deregistered".to_owned()));
    assert_eq!((replica.heard(), replica.endpoints()), (vec!["vm-17 stops".to_owned()], BTreeSet::new()));
}

#[tokio::test(start_paused = true)]
async fn a_check_on_the_machine_keeps_callers_away_until_it_passes() {
    let replica = Replica::start(&FakeApi::default());
    let mut agent = replica.agent().await;
    let with_disk = |said: &mut wire::Instance| {
        (said.heartbeat, said.local_checks) = (r#"{"interval": "1s"}"#.into(), vec!["disk".into()]);
    };
    agent.hello("vm-17", 1, vec![instance("shop", with_disk)]).await;
    agent.answer(0).await;
    agent.say(Report::Beats(wire::Beats::default())).await;
    agent.reply().await;
    assert_eq!(replica.heard(), ["vm-17 lives; Unknown: check disk: has not been run yet"]);
    agent.say(result("disk", wire::result::Verdict::Passing, "ok")).await;
    agent.say(result("disk", wire::result::Verdict::Critical, "97 % full")).await;
    agent.say(result("disk", wire::result::Verdict::Critical, "98 % full")).await;
    agent.say(Report::Beats(wire::Beats::default())).await;
    agent.say(result("cpu", wire::result::Verdict::Passing, "")).await;
    let error = agent.replies.next().await.expect("an end").expect_err("an error");
    assert!(error.message().contains("check \"cpu\" is none of its local_checks"), "{error}");
    let expected = [
        "vm-17 lives; Passing: check disk: ok",
        "vm-17 lives; Critical: check disk: 97 % full",
        "vm-17 lives; Critical: check disk: 98 % full",
    ];
    assert_eq!(replica.heard(), expected, "a change at once, the rest with the next beat");
}

#[tokio::test(start_paused = true)]
async fn a_lost_stream_takes_nothing_out_and_another_machine_of_the_name_is_refused() {
    let api = FakeApi::default();
    let replica = Replica::start(&api);
    let mut agent = replica.agent().await;
    agent.hello("vm-17", 1, vec![instance("shop", |_| {})]).await;
    agent.answer(0).await;
    let mut copy = replica.agent().await;
    let hello = wire::Hello {
        machine: "vm-17".into(),
        agent_id: "another".into(),
        revision: 1,
        instances: vec![instance("shop", |_| {})],
        ..wire::Hello::default()
    };
    copy.say(Report::Hello(hello)).await;
    let (state, words) = copy.answer(0).await;
    assert_eq!(state, WireState::Refused);
    assert!(words.contains("another agent's"), "{words}");
    drop((agent, copy));
    tokio::time::sleep(Duration::from_secs(60)).await;
    assert_eq!(replica.endpoints(), BTreeSet::from(["vm-17".to_owned()]));
    // It comes back, to another replica, which has seen what stands.
    let (other, writes) = (Replica::start(&api), api.writes().len());
    for object in api.all("serviceregistrations") {
        other.watched.apply(&serde_json::from_value(object).expect("a registration")).await;
    }
    let mut agent = other.agent().await;
    agent.hello("vm-17", 1, vec![instance("shop", |_| {})]).await;
    assert_eq!(agent.answer(0).await.0, WireState::Registered);
    assert_eq!(api.writes().len(), writes, "and nothing is written");
}

#[tokio::test(start_paused = true)]
async fn while_the_api_server_is_away_registrations_wait_and_say_so() {
    let api = FakeApi::default();
    let replica = Replica::start(&api);
    let rule = api.rule(|asked| asked.is_write().then_some(rollcall_fake_api::Fault::RequestLost));
    let mut agent = replica.agent().await;
    agent.hello("vm-17", 1, vec![instance("shop", |_| {})]).await;
    let (state, words) = agent.answer(0).await;
    assert_eq!(state, WireState::Waiting);
    assert!(words.contains("waits for the API server"), "{words}");
    api.allow(rule);
    assert_eq!(agent.answer(0).await.0, WireState::Registered);
    *replica.doorman.is_away.lock().unwrap() = true;
    let mut second = replica.agent().await;
    second.hello("vm-18", 1, vec![instance("shop", |_| {})]).await;
    assert_eq!(second.answer(0).await, (WireState::Waiting, "the API server does not answer".to_owned()));
    *replica.doorman.is_away.lock().unwrap() = false;
    assert_eq!(second.answer(0).await.0, WireState::Registered);
}

#[tokio::test(start_paused = true)]
async fn a_conflict_is_settled_by_what_the_watch_tells() {
    let api = FakeApi::default();
    let (one, other) = (Replica::start(&api), Replica::start(&api));
    let mut first = one.agent().await;
    first.hello("vm-1", 1, vec![instance("shop", |_| {})]).await;
    first.answer(0).await;
    let stands = api.all("serviceregistrations").remove(0);
    other.watched.apply(&serde_json::from_value(stands.clone()).expect("a registration")).await;
    // Somebody writes the status: the version that the other replica knows is old.
    let name = stands["metadata"]["name"].as_str().expect("a name");
    let version = stands["apiVersion"].as_str().expect("a version");
    let edited =
        api.edit(version, "serviceregistrations", "shop", name, |object| object["status"] = serde_json::json!({}));
    let mut second = other.agent().await;
    second.hello("vm-2", 1, vec![instance("shop", |_| {})]).await;
    other.watched.apply(&serde_json::from_value(edited.expect("it stands")).expect("a registration")).await;
    assert_eq!(second.answer(0).await.0, WireState::Registered);
    assert_eq!(one.endpoints(), BTreeSet::from(["vm-1", "vm-2"].map(str::to_owned)));
    assert_eq!(api.all("serviceregistrations").len(), 1);
}

#[tokio::test(start_paused = true)]
async fn one_that_the_api_server_refuses_is_told_its_words() {
    let api = FakeApi::default();
    api.rule(|asked| {
        let is_bad = asked.is_write() && asked.body.to_string().contains("vm-bad");
        is_bad.then(|| ApiRefusal::invalid(asked, "spec.endpoints[0]: no").into())
    });
    let replica = Replica::start(&api);
    let (mut good, mut bad) = (replica.agent().await, replica.agent().await);
    bad.hello("vm-bad", 1, vec![instance("shop", |_| {})]).await;
    good.hello("vm-good", 1, vec![instance("shop", |_| {})]).await;
    let (state, words) = bad.answer(0).await;
    assert!(state == WireState::Refused && words.contains("spec.endpoints[0]: no"), "{words}");
    assert_eq!(good.answer(0).await.0, WireState::Registered);
}

#[tokio::test(start_paused = true)]
async fn ten_thousand_machines_that_start_at_once_stand_within_two_minutes() {
    let api = FakeApi::default();
    let replica = Replica::start(&api);
    let began = Instant::now();
    let mut agents = Vec::new();
    for n in 0..10_000 {
        let agent = replica.agent().await;
        agent.hello(&format!("vm-{n}"), 1, vec![instance("shop", |_| {})]).await;
        agents.push(agent);
    }
    let all = agents.iter_mut().map(|agent| async { while agent.answer(0).await.0 != WireState::Registered {} });
    futures::future::join_all(all).await;
    let (took, writes) = (began.elapsed(), api.writes().len());
    println!("10,000 machines stood after {took:?} of paused time, by {writes} writes");
    assert!(took <= Duration::from_secs(120), "{took:?}");
    assert!(writes <= 200, "{writes} writes");
    assert_eq!(replica.endpoints().len(), 10_000);
}

#[tokio::test(start_paused = true)]
async fn a_replica_that_ends_sends_its_agents_to_another_one() {
    let replica = Replica::start(&FakeApi::default());
    let mut agent = replica.agent().await;
    agent.hello("vm-17", 1, Vec::new()).await;
    replica.stop.cancel();
    let Reply::Leaving(leaving) = agent.reply().await else { panic!("it is told") };
    assert!(leaving.retry_in_ms <= 2_000 && leaving.words.contains("another one"), "{leaving:?}");
    assert!(agent.replies.next().await.is_none());
    let mut silent = Replica::start(&FakeApi::default()).agent().await;
    let error = silent.replies.next().await.expect("an end").expect_err("an error");
    assert!(error.message().contains("no Hello came within 10s"), "{error}");
}
