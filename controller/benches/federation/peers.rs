//! Simulated clusters, in a process of their own: each a server of the real protocol, over TLS, with endpoints of its own.

use std::io::{BufRead, BufReader, Write};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use futures::FutureExt;
use futures::future::BoxFuture;
use prost::bytes::Bytes;
use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair};
use rollcall_catalog::bucket;
use rollcall_xds::cache::{Cache, Snapshot};
use rollcall_xds::proto::rollcall::v1;
use rollcall_xds::resource::{Resource, ResourceType};
use rollcall_xds::server::{Admits, BetweenClusters, Limits, Server, Showing, Snapshots};
use rollcall_xds::tls::{self, Acceptor, Certificates, Identity, Incoming};
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tonic::Status;

/// Set in the environment of the process that serves.
pub(crate) const ROLE: &str = "ROLLCALL_BENCH_PEERS";
const SERVICE_ENDPOINTS: usize = 100;

/// The process, as the one that measures has it.
pub(crate) struct Peers {
    pub(crate) ca: String,
    pub(crate) addresses: Vec<String>,
    child: Child,
    say: ChildStdin,
    hear: BufReader<ChildStdout>,
}

// === impl Peers ===

impl Peers {
    pub(crate) fn start(count: usize, endpoints: usize) -> Self {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .env(ROLE, format!("{count} {endpoints}"))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let (say, hear) = (child.stdin.take().unwrap(), BufReader::new(child.stdout.take().unwrap()));
        let mut peers = Self { ca: String::new(), addresses: Vec::new(), child, say, hear };
        let first: serde_json::Value = serde_json::from_str(&peers.line()).unwrap();
        peers.ca = first["ca"].as_str().unwrap().to_owned();
        peers.addresses = serde_json::from_value(first["addresses"].clone()).unwrap();
        peers
    }

    /// All of them end every stream and come back at once. How long until each is read again.
    pub(crate) fn restart(&mut self) -> Duration {
        writeln!(self.say, "restart").unwrap();
        Duration::from_secs_f64(self.line().trim().parse().unwrap())
    }

    fn line(&mut self) -> String {
        let mut line = String::new();
        self.hear.read_line(&mut line).unwrap();
        line
    }
}

impl Drop for Peers {
    fn drop(&mut self) {
        _ = self.child.kill();
        _ = self.child.wait();
    }
}

/// Gives everybody all.
struct Everything {
    snapshot: watch::Receiver<Option<Arc<Snapshot>>>,
    admitted: Arc<AtomicUsize>,
}

impl Admits for Everything {
    fn admit(&self, _: Showing) -> BoxFuture<'_, Result<Snapshots, Status>> {
        self.admitted.fetch_add(1, Ordering::Relaxed);
        std::future::ready(Ok(self.snapshot.clone())).boxed()
    }
}

/// One peer.
struct Peer {
    number: usize,
    cache: Cache,
    shown: watch::Sender<Option<Arc<Snapshot>>>,
    address: std::net::SocketAddr,
}

/// Serves until the input ends.
pub(crate) async fn serve() {
    let role = std::env::var(ROLE).unwrap();
    let (count, endpoints) = role.split_once(' ').unwrap();
    let (count, endpoints): (usize, usize) = (count.parse().unwrap(), endpoints.parse().unwrap());
    let (ca, certificates) = certificates();
    let admitted = Arc::new(AtomicUsize::new(0));
    let mut peers = Vec::new();
    for number in 0..count {
        let listener = TcpListener::bind("127.0.0.74:0").await.unwrap();
        let mut cache = Cache::new();
        fill(&mut cache, number, endpoints);
        let mut peer = Peer { number, cache, shown: watch::Sender::new(None), address: listener.local_addr().unwrap() };
        peer.beat(1);
        peers.push((peer, Some(listener)));
    }
    let addresses: Vec<_> = peers.iter().map(|(peer, _)| peer.address.to_string()).collect();
    println!("{}", serde_json::json!({ "ca": ca, "addresses": addresses }));
    let (lines, mut said) = tokio::sync::mpsc::channel::<String>(1);
    std::thread::spawn(move || {
        for line in std::io::stdin().lock().lines().map_while(Result::ok) {
            if lines.blocking_send(line).is_err() {
                return;
            }
        }
    });
    for mut beat in (1..).step_by(1_000_000) {
        admitted.store(0, Ordering::Relaxed);
        let (start, stop) = (Instant::now(), watch::Sender::new(false));
        let mut tasks = Vec::new();
        for (peer, listener) in &mut peers {
            let listener = match listener.take() {
                Some(listener) => listener,
                None => TcpListener::bind(peer.address).await.unwrap(),
            };
            tasks.push(peer.serve(listener, &certificates, &admitted, &stop));
        }
        if beat > 1 {
            all(&admitted, count).await;
            println!("{}", start.elapsed().as_secs_f64());
        }
        loop {
            tokio::select! {
                line = said.recv() => match line {
                    Some(_) => break,
                    None => return,
                },
                () = tokio::time::sleep(Duration::from_secs(3)) => {
                    beat += 1;
                    peers.iter_mut().for_each(|(peer, _)| peer.beat(beat));
                }
            }
        }
        tasks.iter().for_each(|(server, _)| server.drain());
        stop.send_replace(true);
        for (_, task) in tasks {
            task.await.unwrap();
        }
    }
}

/// Until so many streams have been admitted.
async fn all(admitted: &AtomicUsize, count: usize) {
    while admitted.load(Ordering::Relaxed) < count {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
}

// === impl Peer ===

impl Peer {
    fn serve(
        &self,
        listener: TcpListener,
        certificates: &Arc<Certificates>,
        admitted: &Arc<AtomicUsize>,
        stop: &watch::Sender<bool>,
    ) -> (Server, JoinHandle<()>) {
        let acceptor = Acceptor::new(Arc::clone(certificates), Arc::default(), tls::Limits::default()).unwrap();
        let everything = Everything { snapshot: self.shown.subscribe(), admitted: Arc::clone(admitted) };
        let server = Server::new(self.shown.subscribe(), Limits::default(), Arc::default())
            .exporting(BetweenClusters(Arc::new(everything)));
        let (router, mut stopped) = (server.clone().into_router(), stop.subscribe());
        let task = tokio::spawn(async move {
            let stopped = async move { _ = stopped.wait_for(|stopped| *stopped).await };
            let incoming = Incoming::tls(listener, acceptor).into_stream();
            router.serve_with_incoming_shutdown(incoming, stopped).await;
        });
        (server, task)
    }

    fn beat(&mut self, beat: u64) {
        let message = v1::Exporter { cluster_id: format!("peer-{}", self.number), beat, cluster_uid: String::new() };
        self.cache.upsert(ResourceType::Exporter, Resource::new(ResourceType::Exporter, "cluster", &message));
        self.shown.send_replace(Some(self.cache.publish()));
    }
}

/// Services of a hundred endpoints, as the hall of a cluster tells them.
fn fill(cache: &mut Cache, peer: usize, endpoints: usize) {
    let ports = || v1::PortSet {
        ports: vec![v1::Port {
            name: "http".into(),
            protocol: v1::Protocol::Tcp.into(),
            port: 8_080,
            app_protocol: String::new(),
        }],
    };
    for (index, first) in (0..endpoints).step_by(SERVICE_ENDPOINTS).enumerate() {
        let (name, of) = (format!("s{peer}-{index}"), SERVICE_ENDPOINTS.min(endpoints - first));
        let endpoint = |number: usize| {
            let id = u32::try_from(peer * endpoints + number).unwrap();
            v1::ExportedEndpoint {
                id: u64::from(id).wrapping_mul(0x9e37_79b9_7f4a_7c15),
                addresses: vec![Bytes::copy_from_slice(&(0x0a00_0000 + id + 1).to_be_bytes())],
                ready: true,
                serving: true,
                health: v1::ExportedHealth::ExportedPassing.into(),
                zone: ["zone-a", "zone-b", "zone-c"][number % 3].to_owned(),
                ..Default::default()
            }
        };
        let mut all: Vec<_> = (first..first + of).map(endpoint).collect();
        all.sort_by_key(|endpoint| endpoint.id);
        let count = bucket::count(of);
        for (at, part) in all.chunks(of.div_ceil(count)).enumerate() {
            let message = v1::ExportedBucket {
                namespace: "shop".into(),
                service: name.clone(),
                endpoints: part.to_vec(),
                port_sets: vec![ports()],
            };
            let resource = Resource::new(ResourceType::ExportedBucket, format!("shop/{name}/{count}/{at}"), &message);
            cache.upsert(ResourceType::ExportedBucket, resource);
        }
        let message = v1::ExportedService {
            namespace: "shop".into(),
            name: name.clone(),
            created: 1,
            ports: ports().ports,
            buckets: u32::try_from(count).unwrap(),
            families: vec![4],
            ..Default::default()
        };
        let resource = Resource::new(ResourceType::ExportedService, format!("shop/{name}"), &message);
        cache.upsert(ResourceType::ExportedService, resource);
    }
}

fn certificates() -> (String, Arc<Certificates>) {
    let key = KeyPair::generate().unwrap();
    let mut params = CertificateParams::new(Vec::new()).unwrap();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.distinguished_name.push(DnType::CommonName, "peers");
    let pem = params.self_signed(&key).unwrap().pem();
    let issuer = Issuer::new(params, key);
    let key = KeyPair::generate().unwrap();
    let leaf = CertificateParams::new(vec!["peer.test".to_owned()]).unwrap().signed_by(&key, &issuer).unwrap();
    let now_s = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_secs();
    let identity = Identity::from_pem(leaf.pem().as_bytes(), key.serialize_pem().as_bytes(), now_s as i64).unwrap();
    let certificates = Arc::new(Certificates::default());
    certificates.set(identity);
    (pem, certificates)
}
