//! Agents that are connected: what they cost the replica that hears them, in memory and, while they beat, in CPU. The agents and the
//! API server are in a process of their own. `cargo bench --workspace --bench agents -- [AGENTS]`

use std::net::{IpAddr, SocketAddr};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use futures::future::BoxFuture;
use http_body_util::BodyExt;
use hyper::body::Incoming as Arriving;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use kube::{Client, Config};
use prometheus_client::registry::Registry;
use rollcall_admin::Descriptors;
use rollcall_catalog::ServiceKey;
use rollcall_catalog::input::Origin;
use rollcall_controller::agents::admission::{Admission, Caller, Denial, Ears, Interval};
use rollcall_controller::agents::{self, Settings};
use rollcall_controller::checks::lookouts::Lookouts;
use rollcall_controller::time::clock::Clock;
use rollcall_fake_api::FakeApi;
use rollcall_health::beat::OnMachine;
use rollcall_vantage::lookout::Lookout;
use rollcall_xds::proto::rollcall::v1::agent_report::Report;
use rollcall_xds::proto::rollcall::v1::agents_client::AgentsClient;
use rollcall_xds::proto::rollcall::v1::{AgentReport, Beats, Hello, Instance, InstancePort};
use rollcall_xds::server::{Limits, Server};
use rollcall_xds::tls::{self, Bounds, Incoming, Shown};
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::net::TcpListener;
use tokio::sync::{mpsc, watch};
use tokio_stream::wrappers::ReceiverStream;
use tokio_util::sync::CancellationToken;
use tonic::Request;
use tonic::transport::Endpoint;

/// As the program has it.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Agents, unless another number is given.
const AGENTS: usize = 10_000;
/// The aim, for 10,000 of them.
const AIM_MB: f64 = 100.0;
/// How long they beat, each once a second.
const BEATING: Duration = Duration::from_secs(10);

#[derive(Clone)]
struct Everybody;

impl Admission for Everybody {
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

impl Caller for Everybody {
    fn name(&self) -> String {
        "everybody".to_owned()
    }

    fn may_be_asked<'a>(&'a self, _: Lookout, _: &'a str) -> BoxFuture<'a, Result<(), Denial>> {
        Box::pin(std::future::ready(Ok(())))
    }

    fn may<'a>(&'a self, _: &'a ServiceKey) -> BoxFuture<'a, Result<(), Denial>> {
        Box::pin(std::future::ready(Ok(())))
    }
}

impl Ears for Everybody {
    fn beat(&self, _: &Origin, _: &str, _: &Arc<[OnMachine]>) -> Result<Interval, String> {
        Ok(Duration::from_secs(1))
    }

    fn stopped(&self, _: &Origin, _: &str) -> Result<(), String> {
        Ok(())
    }
}

fn main() {
    Descriptors::raise();
    let mut arguments = std::env::args().skip(1).filter(|argument| !argument.starts_with("--"));
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build();
    let runtime = runtime.expect("a runtime");
    match (arguments.next().as_deref(), arguments.next(), arguments.next()) {
        (Some("clients"), Some(address), Some(number)) => {
            let (address, number) = (address.parse().expect("an address"), number.parse().expect("a number"));
            runtime.block_on(clients(address, number));
        }
        (number, ..) => runtime.block_on(replica(number.and_then(|number| number.parse().ok()).unwrap_or(AGENTS))),
    }
}

/// Hears so many agents, which another process plays.
async fn replica(agents: usize) {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = listener.local_addr().expect("its address");
    let mut clients = Clients::start(address, agents);
    let api = Config::new(format!("http://{}", clients.said("api").await).parse().expect("its address"));
    let (_published, snapshots) = watch::channel(Some(Arc::default()));
    let settings = Settings { agents_max: agents, writes_per_second: 50 };
    let known = (Client::try_from(api).expect("a client"), snapshots, Clock::default());
    let judges: (Arc<dyn Admission>, Arc<dyn Ears>) = (Arc::new(Everybody), Arc::new(Everybody));
    let (service, _watched) =
        agents::start(settings, known, judges, (Lookouts::new().0, CancellationToken::new()), &mut Registry::default());
    let bounds = Bounds { connections_max: agents + 16, ..Bounds::default() };
    let incoming = Incoming::plain(listener).bounded(bounds, Arc::<tls::Metrics>::default()).into_stream();
    let server = Server::new(watch::channel(None).1, Limits::default(), Arc::default());
    let router = server.into_router().add_service(service);

    let before = resident_mb();
    tokio::spawn(router.serve_with_incoming(incoming));
    let objects = clients.said("registered").await;
    // What was in use for a moment is given back within a second.
    tokio::time::sleep(Duration::from_secs(2)).await;
    let connected = resident_mb() - before;
    let kib = connected * 1e6 / 1024.0 / agents as f64;
    println!(
        "{agents} agents connected, in {objects} objects: {connected:.0} MB, {kib:.1} KiB each (aim: {AIM_MB:.0} MB for {AGENTS})"
    );
    let busy = cpu_s();
    clients.said("beaten").await;
    let cores = (cpu_s() - busy) / BEATING.as_secs_f64();
    println!("{agents} beats a second over their streams: {cores:.3} core (without what listens to them)");
}

struct Clients {
    child: Child,
    lines: tokio::io::Lines<BufReader<tokio::net::unix::pipe::Receiver>>,
}

impl Clients {
    fn start(address: SocketAddr, agents: usize) -> Self {
        let us = std::env::current_exe().expect("this program");
        let mut command = Command::new(us);
        command.args(["clients", &address.to_string(), &agents.to_string()]).stdout(Stdio::piped());
        let mut child = command.spawn().expect("the clients");
        let stdout = std::os::fd::OwnedFd::from(child.stdout.take().expect("their output"));
        let stdout = tokio::net::unix::pipe::Receiver::from_owned_fd(stdout).expect("a pipe");
        Self { child, lines: BufReader::new(stdout).lines() }
    }

    /// What they say of that, once they do.
    async fn said(&mut self, wanted: &str) -> String {
        loop {
            let line = self.lines.next_line().await.expect("their output").expect("they go on");
            if let Some(said) = line.strip_prefix(wanted) {
                return said.trim().to_owned();
            }
        }
    }
}

impl Drop for Clients {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Connects so many agents, each by a connection of its own, has them registered, and then beat.
async fn clients(address: SocketAddr, agents: usize) {
    let api = FakeApi::default();
    println!("api {}", serve(api.clone()).await);
    let mut reports = Vec::with_capacity(agents);
    for batch in (0..agents).collect::<Vec<_>>().chunks(200) {
        let connecting = batch.iter().map(|number| connect(address, *number));
        reports.extend(futures::future::join_all(connecting).await);
    }
    println!("registered {}", api.all("serviceregistrations").len());
    for second in 0..BEATING.as_secs() {
        let until = tokio::time::Instant::now() + Duration::from_secs(1);
        for report in &reports {
            let beats = AgentReport { report: Some(Report::Beats(Beats::default())) };
            report.send(beats).await.expect("it listens");
        }
        tokio::time::sleep_until(until).await;
        assert!(second < BEATING.as_secs(), "it ends");
    }
    println!("beaten");
    std::future::pending::<()>().await;
}

/// Serves it on a port, as a real one would be: in the replica's process it would take part of what is measured.
async fn serve(api: FakeApi) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = listener.local_addr().expect("its address");
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let client = api.client();
            let service = service_fn(move |request: http::Request<Arriving>| {
                let client = client.clone();
                async move {
                    let (head, body) = request.into_parts();
                    let body = body.collect().await.expect("a whole request").to_bytes();
                    client.send(http::Request::from_parts(head, body.into())).await
                }
            });
            tokio::spawn(http1::Builder::new().serve_connection(TokioIo::new(stream), service));
        }
    });
    address
}

async fn connect(address: SocketAddr, number: usize) -> mpsc::Sender<AgentReport> {
    let endpoint = Endpoint::from_shared(format!("http://{address}")).expect("an address");
    // As an agent has it.
    let channel = endpoint.http2_header_table_size(0).connect().await.expect("a connection");
    let (sender, outgoing) = mpsc::channel(2);
    let mut request = Request::new(ReceiverStream::new(outgoing));
    request.metadata_mut().insert("authorization", "Bearer x".parse().expect("a header"));
    let hello = Hello {
        machine: format!("vm-{number}"),
        agent_id: format!("id-{number}"),
        revision: 1,
        instances: vec![Instance {
            namespace: "shop".into(),
            service: "payments".into(),
            addresses: vec![format!("10.{}.{}.{}", number >> 16, number >> 8 & 255, number & 255)],
            ports: vec![InstancePort { port: 8080, ..InstancePort::default() }],
            heartbeat: r#"{"ttl":"10s"}"#.into(),
            ..Instance::default()
        }],
        ..Hello::default()
    };
    sender.send(AgentReport { report: Some(Report::Hello(hello)) }).await.expect("room");
    let mut replies = AgentsClient::new(channel).attend(request).await.expect("admitted").into_inner();
    let _registered = replies.message().await.expect("a reply").expect("an answer");
    tokio::spawn(async move { while let Ok(Some(_)) = replies.message().await {} });
    sender
}

/// `VmRSS`, proc(5).
fn resident_mb() -> f64 {
    let status = std::fs::read_to_string("/proc/self/status").expect("proc");
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).expect("VmRSS");
    line.trim().trim_end_matches(" kB").parse::<f64>().expect("a number") * 1024.0 / 1e6
}

/// Seconds that this process was on a CPU: `utime` and `stime`, in ticks of 10 ms, proc(5).
fn cpu_s() -> f64 {
    let stat = std::fs::read_to_string("/proc/self/stat").expect("proc");
    let fields: Vec<_> = stat.rsplit(')').next().unwrap_or_default().split_whitespace().collect();
    (fields[11].parse::<f64>().expect("utime") + fields[12].parse::<f64>().expect("stime")) / 100.0
}
