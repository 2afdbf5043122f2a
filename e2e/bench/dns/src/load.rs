//! What there is to ask for: Services on the control plane, the same as a zone file, and the questions.

use std::fmt::Write as _;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result, bail};
use rollcall_e2e::dns::Kdig;
use rollcall_e2e::kubectl::Kubectl;
use rollcall_e2e::process::Process;
use serde_json::{Value, json};

/// Services with a virtual address.
const SERVICES: usize = 1_000;
/// Headless Services, each of [`EACH`] endpoints.
const HEADLESS: usize = 100;
const EACH: usize = 25;
/// Questions in a file; they are asked over and over.
const QUESTIONS: usize = 20_000;
const NAMESPACE: &str = "bench";
const BELOW: &str = "bench.svc.cluster.local.";
/// The zone of names that other servers are asked for, of which there are as many as Services.
pub(crate) const OUTSIDE: &str = "outside.example";

/// What has been made.
pub(crate) struct Load {
    folder: PathBuf,
    /// A zone file of `cluster.local` with the same names.
    pub(crate) zone: PathBuf,
    /// One of [`OUTSIDE`].
    pub(crate) outside: PathBuf,
}

/// Kinds of questions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Questions {
    Hits,
    NoData,
    NxDomain,
    Srv,
    Headless,
    Mix,
    Outside,
}

// === impl Load ===

impl Load {
    /// Creates everything.
    pub(crate) fn create(kubectl: &Kubectl, folder: &Path) -> Result<Self> {
        kubectl.run(&["create", "namespace", NAMESPACE])?;
        let objects: Vec<Value> = (0..SERVICES).map(service).chain((0..HEADLESS).flat_map(headless)).collect();
        kubectl.run_with_input(&["create", "-f", "-"], &list(&objects))?;
        let zone = folder.join("cluster.local.zone");
        std::fs::write(&zone, zone_file(&addresses(kubectl)?)).context("writing the zone file")?;
        let outside = folder.join("outside.zone");
        std::fs::write(&outside, outside_file()).context("writing the zone file")?;
        let load = Self { folder: folder.to_owned(), zone, outside };
        for questions in Questions::OWN.into_iter().chain([Questions::Outside]) {
            let lines: Vec<String> = (0..QUESTIONS).map(|n| questions.line(n)).collect();
            std::fs::write(load.file(questions), lines.join("\n") + "\n").context("writing questions")?;
        }
        Ok(load)
    }

    /// The questions of a kind, as dnsperf reads them.
    pub(crate) fn file(&self, questions: Questions) -> PathBuf {
        self.folder.join(format!("{questions:?}.questions"))
    }

    /// Waits until a server knows the last names that were made.
    pub(crate) fn wait_answered(&self, server: SocketAddr, process: &mut Process) -> Result<()> {
        let kdig = Kdig::new(server)?;
        process.wait_until("answers about all names", Duration::from_secs(120), || {
            let last = kdig.data(&format!("svc-{}.{BELOW}", SERVICES - 1), "A")?.len();
            let headless = kdig.data(&format!("web-{}.{BELOW}", HEADLESS - 1), "A")?.len();
            if (last, headless) != (1, EACH) {
                bail!("{last} and {headless} addresses, not 1 and {EACH}");
            }
            Ok(Some(()))
        })
    }
}

// === impl Questions ===

impl Questions {
    /// Those of names of the catalog.
    pub(crate) const OWN: [Self; 6] = [Self::Hits, Self::NoData, Self::NxDomain, Self::Srv, Self::Headless, Self::Mix];

    fn line(self, n: usize) -> String {
        // Steps over all of them, not one after the other.
        let service = n * 37 % SERVICES;
        match self {
            Self::Hits => format!("svc-{service}.{BELOW} A"),
            Self::NoData => format!("svc-{service}.{BELOW} AAAA"),
            Self::NxDomain => format!("nobody-{service}.{BELOW} A"),
            Self::Srv => format!("_http._tcp.svc-{service}.{BELOW} SRV"),
            Self::Headless => format!("web-{}.{BELOW} A", n * 37 % HEADLESS),
            Self::Mix => match n % 20 {
                0..10 => Self::Hits,
                10..14 => Self::NoData,
                14..18 => Self::NxDomain,
                18 => Self::Srv,
                _ => Self::Headless,
            }
            .line(n),
            Self::Outside => format!("host-{service}.{OUTSIDE}. A"),
        }
    }
}

fn list(objects: &[Value]) -> String {
    json!({"apiVersion": "v1", "kind": "List", "items": objects}).to_string()
}

fn service(n: usize) -> Value {
    json!({
        "apiVersion": "v1", "kind": "Service",
        "metadata": {"name": format!("svc-{n}"), "namespace": NAMESPACE},
        "spec": {"ipFamilies": ["IPv4"], "ipFamilyPolicy": "SingleStack",
                 "ports": [{"name": "http", "port": 80, "protocol": "TCP"}]},
    })
}

fn headless(n: usize) -> [Value; 2] {
    let name = format!("web-{n}");
    let endpoints: Vec<Value> = (0..EACH).map(|place| json!({"addresses": [address(n, place)]})).collect();
    [
        json!({
            "apiVersion": "v1", "kind": "Service", "metadata": {"name": name, "namespace": NAMESPACE},
            "spec": {"clusterIP": "None", "ipFamilies": ["IPv4"], "ipFamilyPolicy": "SingleStack",
                     "ports": [{"name": "http", "port": 80, "protocol": "TCP"}]},
        }),
        json!({
            "apiVersion": "discovery.k8s.io/v1", "kind": "EndpointSlice", "addressType": "IPv4",
            "metadata": {"name": name, "namespace": NAMESPACE, "labels": {"kubernetes.io/service-name": name}},
            "endpoints": endpoints, "ports": [{"name": "http", "port": 80, "protocol": "TCP"}],
        }),
    ]
}

fn address(service: usize, place: usize) -> String {
    format!("10.200.{service}.{}", place + 1)
}

/// The virtual address of each Service.
fn addresses(kubectl: &Kubectl) -> Result<Vec<String>> {
    let services = kubectl.list(&["services", "--namespace", NAMESPACE])?;
    let of = |n: usize| {
        let name = format!("svc-{n}");
        let service = services.iter().find(|service| service["metadata"]["name"] == name.as_str());
        service.and_then(|service| service["spec"]["clusterIP"].as_str()).map(str::to_owned)
    };
    (0..SERVICES).map(|n| of(n).with_context(|| format!("svc-{n} has no address"))).collect()
}

/// What a zone file begins with, for Knot.
fn top(origin: &str, ttl: u32) -> String {
    format!(
        "$ORIGIN {origin}.\n$TTL {ttl}\n@ SOA ns.dns hostmaster 1 7200 1800 86400 5\n@ NS ns.dns\nns.dns A 127.0.0.1\n"
    )
}

/// Names whose answers stay right for longer than a measurement takes.
fn outside_file() -> String {
    let names = (0..SERVICES).map(|n| format!("host-{n} A 198.18.{}.{}\n", n / 250, n % 250 + 1));
    top(OUTSIDE, 3600) + &names.collect::<String>()
}

fn zone_file(addresses: &[String]) -> String {
    let mut zone = top("cluster.local", 5);
    // Writing to a String cannot fail.
    for (n, address) in addresses.iter().enumerate() {
        let _ =
            writeln!(zone, "svc-{n}.bench.svc A {address}\n_http._tcp.svc-{n}.bench.svc SRV 0 0 80 svc-{n}.bench.svc");
    }
    for (n, place) in (0..HEADLESS).flat_map(|n| (0..EACH).map(move |place| (n, place))) {
        let _ = writeln!(zone, "web-{n}.bench.svc A {}", address(n, place));
    }
    zone
}
