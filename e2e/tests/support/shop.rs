//! A control plane with Rollcall on it, the example shop, its machines, and callers.

use std::collections::BTreeSet;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result, anyhow, bail, ensure};
use rollcall_e2e::backend::Backend;
use rollcall_e2e::dns::Kdig;
use rollcall_e2e::envoy::{Envoy, Route};
use rollcall_e2e::install::Installation;
use rollcall_e2e::layout::Scratch;
use rollcall_e2e::rollcall::{Binaries, Flags, Profile, Rollcall};
use rollcall_e2e::{ControlPlane, Kubectl, clock, http, install, layout, net};
use serde_json::{Value, json};

use super::api::NAMESPACE;
use super::{Api, BOUND, page};

/// The Service of `manifests/examples/shop.yaml`: two pods and two machines.
pub(crate) const PAYMENTS: &str = "payments";
/// The same without a cluster address, so that DNS answers the endpoints themselves.
pub(crate) const DIRECT: &str = "payments-direct";
/// The two machines without any Service: the endpoints that requests through Envoy can reach.
pub(crate) const OUTSIDE: &str = "outside";
/// The path on Envoy's listener that leads to [`OUTSIDE`].
pub(crate) const OUTSIDE_PATH: &str = "/outside";
/// A service that nothing happens to.
pub(crate) const STEADY: &str = "steady";
/// The last service in the order of the write-back: when a change of it is written, so is everything before it.
pub(crate) const MARKER: &str = "zz-marker";

const HEADLESS: &str = "
apiVersion: v1
kind: Service
metadata: {name: payments-direct, namespace: shop}
spec:
  clusterIP: None
  selector: {app: payments}
  ports: [{name: http, port: 80, targetPort: 8080}]
---
apiVersion: v1
kind: Service
metadata: {name: steady, namespace: shop}
spec:
  ports: [{name: http, port: 80}]
";

/// Everything. Fields are dropped from the top down: callers first, the control plane last.
pub(crate) struct Shop {
    pub(crate) callers: Callers,
    pub(crate) rollcall: Rollcall,
    pub(crate) binaries: Binaries,
    pub(crate) installation: Installation,
    /// `vm-1` and `vm-2`.
    pub(crate) machines: [Backend; 2],
    pub(crate) api: Api,
    pub(crate) kubectl: Kubectl,
    pub(crate) plane: ControlPlane,
    scratch: Scratch,
}

/// Those who ask: DNS clients and an Envoy. Clones share them.
#[derive(Clone)]
pub(crate) struct Callers {
    pub(crate) kdig: Kdig,
    envoy: Option<Arc<Envoy>>,
}

/// What a shop has. Tests that do not ask an Envoy start faster without.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum With {
    Envoy,
    /// An Envoy, and machines that are evicted as soon as those of users. Also when this machine stalls for a second:
    /// what is expected of a machine that is well must be waited for.
    EnvoyAndQuickChecks,
    NoEnvoy,
    /// A recorder of what Rollcall asks of the API server.
    Audit,
    /// Programs that are asked to end serve on until they are asked again.
    LongLameDuck,
}

// === impl Shop ===

impl Shop {
    /// Whether no registration of an agent is there any more for a service.
    pub(crate) fn agents_left(&self, service: &str) -> Result<bool> {
        let label = "app.kubernetes.io/managed-by=rollcall-agents";
        let all = self.kubectl.list(&["serviceregistrations", "-n", "shop", "-l", label])?;
        Ok(all.iter().all(|object| object["spec"]["service"] != service))
    }

    /// Opens a shop, runs `body` in it and closes it. A failure comes with the logs.
    pub(crate) fn run(name: &str, with: With, body: impl FnOnce(&mut Self) -> Result<()>) -> Result<()> {
        let start = clock::now();
        let mut shop = Self::open(name, with)?;
        println!("\n  {name}: open after {:.1} s", start.elapsed().as_secs_f32());
        if let Err(error) = body(&mut shop) {
            bail!("{error:#}\n{}", shop.logs());
        }
        shop.close()?;
        println!("  {name}: closed after {:.1} s", start.elapsed().as_secs_f32());
        Ok(())
    }

    fn open(name: &str, with: With) -> Result<Self> {
        let binaries = Binaries::build(Profile::Dev)?;
        let scratch = Scratch::new(name)?;
        let folder = scratch.path().to_path_buf();
        let plane =
            if with == With::Audit { ControlPlane::start_audited(&folder)? } else { ControlPlane::start(&folder)? };
        let kubectl = plane.kubectl().clone();
        let installation = install::install(&kubectl, &folder)?;
        let api = Api::start(&kubectl, &folder)?;
        let machines = [machine("vm-1", 0)?, machine("vm-2", 1)?];
        stock(&kubectl, &machines, &with.check())?;
        let rollcall = Rollcall::start_with(&binaries, &installation, 2, &folder, with.flags())?;
        let envoy = match with {
            With::NoEnvoy | With::Audit | With::LongLameDuck => None,
            With::Envoy | With::EnvoyAndQuickChecks => {
                let route = |prefix: &str, service: &str| Route { prefix: prefix.into(), cluster: cluster(service) };
                let routes = [route(OUTSIDE_PATH, OUTSIDE), route("/payments", PAYMENTS)];
                Some(Arc::new(Envoy::start("envoy", &rollcall.catalogs(), &routes, &folder)?))
            }
        };
        let callers = Callers { kdig: Kdig::new(rollcall.dns[0].listen)?, envoy };
        Ok(Self { callers, rollcall, binaries, installation, machines, api, kubectl, plane, scratch })
    }

    /// Ends everything, and removes its folder when nothing of it is left.
    fn close(self) -> Result<()> {
        let Self { callers, mut rollcall, machines, api, plane, scratch, .. } = self;
        drop(callers);
        let killed = rollcall.stop()?;
        ensure!(killed.is_empty(), "did not end on SIGTERM and had to be killed: {killed:?}");
        drop((machines, api, plane));
        scratch.remove()
    }

    /// The folder of logs.
    pub(crate) fn folder(&self) -> &std::path::Path {
        self.scratch.path()
    }

    /// The addresses of the pods of `payments`, once both run.
    pub(crate) fn pods(&self) -> Result<BTreeSet<String>> {
        clock::wait_until("two pods with addresses", BOUND, || {
            let pods = self.api.list(&format!("/api/v1/namespaces/{NAMESPACE}/pods?labelSelector=app%3Dpayments"))?;
            let ready = |pod: &&Value| {
                let conditions = pod["status"]["conditions"].as_array();
                conditions.into_iter().flatten().any(|said| said["type"] == "Ready" && said["status"] == "True")
            };
            let ips: BTreeSet<_> = pods
                .iter()
                .filter(ready)
                .filter_map(|pod| pod["status"]["podIP"].as_str().map(str::to_owned))
                .collect();
            Ok((ips.len() == 2).then_some(ips))
        })
    }

    /// The address of a machine.
    pub(crate) fn ip(&self, machine: usize) -> String {
        self.machines[machine].address().ip().to_string()
    }

    /// All addresses of `payments`: its pods' and its machines'.
    pub(crate) fn all(&self) -> Result<BTreeSet<String>> {
        let mut all = self.pods()?;
        all.extend([self.ip(0), self.ip(1)]);
        Ok(all)
    }

    /// All addresses of `payments` but that of one machine.
    pub(crate) fn all_but(&self, machine: usize) -> Result<BTreeSet<String>> {
        let mut rest = self.all()?;
        rest.remove(&self.ip(machine));
        Ok(rest)
    }

    /// The index of the controller that leads.
    pub(crate) fn leader(&self) -> Result<usize> {
        clock::wait_until("a leader", BOUND, || {
            let holder = self.api.leader()?;
            let index = self.rollcall.controllers.iter().position(|controller| controller.process.name() == holder);
            index.map(Some).with_context(|| format!("the Lease is held by {holder:?}"))
        })
    }

    /// Registers another address for the marker service and waits until its CatalogEntry has it: by then the leader has
    /// looked at everything else.
    pub(crate) fn await_written(&self, address: &str) -> Result<()> {
        self.kubectl.apply(&marker(address).to_string())?;
        let expected = BTreeSet::from([address.to_owned()]);
        clock::wait_until(&format!("the CatalogEntry of {MARKER} to have {address}"), BOUND, || {
            let seen = self.entry(MARKER)?;
            if seen != expected {
                bail!("{seen:?}");
            }
            self.api.await_condition(MARKER, "Ready", &["True AllPassing"])?;
            Ok(Some(()))
        })?;
        clock::wait_until("the leader to have nothing left to write", BOUND, || {
            let admin = self.rollcall.controllers[self.leader()?].http;
            let left = page::metric(admin, "rollcall_writeback_queue_depth", "")?
                + page::metric(admin, "rollcall_writeback_busy", "")?;
            Ok((left == 0.0).then_some(()))
        })
    }

    /// The ends of the logs of Rollcall's programs.
    fn logs(&mut self) -> String {
        let folder = self.folder().display().to_string();
        let tails = self.rollcall.processes().map(|process| {
            let log = std::fs::read_to_string(process.log()).unwrap_or_default();
            let lines: Vec<_> = log.lines().collect();
            format!("--- {}\n{}", process.log().display(), lines[lines.len().saturating_sub(25)..].join("\n"))
        });
        format!("{}\n--- all logs: {folder}", tails.collect::<Vec<_>>().join("\n"))
    }
}

// === impl With ===

impl With {
    /// How machines are checked, each second.
    fn check(self) -> Value {
        let http = json!({"path": "/healthz"});
        match self {
            Self::EnvoyAndQuickChecks => json!({"name": "healthz", "http": http, "interval": "1s", "timeout": "500ms"}),
            // No stall of this machine evicts one that is well. One that fails or refuses is found as quickly as ever, since
            // failures are repeated at once.
            Self::Envoy | Self::NoEnvoy | Self::Audit | Self::LongLameDuck => json!({
                "name": "healthz", "http": http, "interval": "1s", "timeout": "1s", "failureThreshold": 10,
            }),
        }
    }

    fn flags(self) -> Flags<'static> {
        match self {
            Self::LongLameDuck => Flags { controller: &["--lame-duck-seconds=120"], dns: &["--lame-duck=2m"] },
            Self::Envoy | Self::EnvoyAndQuickChecks | Self::NoEnvoy | Self::Audit => Flags::default(),
        }
    }
}

// === impl Callers ===

impl Callers {
    /// The A records of a headless Service of the shop, or of one that is registered only.
    pub(crate) fn dns(&self, service: &str) -> Result<BTreeSet<String>> {
        Ok(self.kdig.data(&name(service), "A")?.into_iter().collect())
    }

    /// The same, where no question may be lost.
    pub(crate) fn dns_at_once(&self, service: &str) -> Result<BTreeSet<String>> {
        Ok(self.kdig.data_at_once(&name(service), "A")?.into_iter().collect())
    }

    /// The addresses to which Envoy would send requests for a service.
    pub(crate) fn envoy(&self, service: &str) -> Result<BTreeSet<String>> {
        let hosts = self.of_envoy()?.healthy(&cluster(service))?;
        Ok(hosts.iter().map(|host| host.rsplit_once(':').map_or(host.as_str(), |(ip, _)| ip).to_owned()).collect())
    }

    /// Sends a request through Envoy.
    pub(crate) fn request(&self, path: &str) -> Result<http::Response> {
        self.of_envoy()?.request(path)
    }

    /// The Envoy itself.
    pub(crate) fn of_envoy(&self) -> Result<&Envoy> {
        self.envoy.as_deref().context("this shop was opened without an Envoy")
    }
}

/// The DNS name of a service of the shop.
pub(crate) fn name(service: &str) -> String {
    format!("{service}.{NAMESPACE}.svc.cluster.local.")
}

/// The name of a service's cluster in Envoy.
pub(crate) fn cluster(service: &str) -> String {
    format!("{service}.{NAMESPACE}:http")
}

/// The `index`th address for registrations; IPv4 and IPv6 are counted apart.
pub(crate) fn outside_address(index: usize, family: fn(&IpAddr) -> bool) -> Result<IpAddr> {
    let addresses = net::outside_addresses()?;
    let found = addresses.iter().copied().filter(family).nth(index);
    found.with_context(|| {
        format!(
            "this test registers more addresses than there are: {addresses:?}. Run `cargo xtask test` as root, or allow \
             user namespaces (sysctl kernel.unprivileged_userns_clone=1 or, on Ubuntu, \
             kernel.apparmor_restrict_unprivileged_userns=0): it makes a network that has enough. Or give this machine \
             some (as root: for n in 1 2 3 4 5 6; do ip address add 198.51.100.1$n dev lo; done; ip address add \
             2001:db8::11 dev lo) and name them all, separated by spaces, in {}",
            net::ADDRESSES
        )
    })
}

fn machine(name: &str, index: usize) -> Result<Backend> {
    Backend::start(name, SocketAddr::new(outside_address(index, IpAddr::is_ipv4)?, net::free_port()?))
}

/// A registration of both machines for `service`.
fn registration(name: &str, service: &str, machines: &[Backend], check: &Value) -> Value {
    let endpoint = |machine: &Backend| {
        json!({
            "name": machine.name(),
            "addresses": [machine.address().ip()],
            "ports": [{"name": "http", "port": machine.address().port()}],
        })
    };
    let endpoints: Vec<_> = machines.iter().map(endpoint).collect();
    let mut registration = unchecked(name, service, &json!(endpoints));
    registration["spec"]["checks"] = json!([check]);
    registration
}

/// A registration without checks.
pub(crate) fn unchecked(name: &str, service: &str, endpoints: &Value) -> Value {
    json!({
        "apiVersion": "rollcall.dev/v1alpha1",
        "kind": "ServiceRegistration",
        "metadata": {"name": name, "namespace": NAMESPACE},
        "spec": {"service": service, "ports": [{"name": "http", "port": 8080}], "endpoints": endpoints},
    })
}

fn marker(address: &str) -> Value {
    unchecked(MARKER, MARKER, &json!([{"name": "only", "addresses": [address]}]))
}

/// Applies the example, with the addresses of these machines, and what the tests want beside it.
fn stock(kubectl: &Kubectl, machines: &[Backend], check: &Value) -> Result<()> {
    kubectl.apply_path(&layout::root().join("manifests/examples/shop.yaml"))?;
    kubectl.apply(HEADLESS)?;
    let registrations = [
        registration("payments-vm", PAYMENTS, machines, check),
        registration("payments-direct-vm", DIRECT, machines, check),
        registration("outside", OUTSIDE, machines, check),
        unchecked(STEADY, STEADY, &json!([{"name": "only", "addresses": ["203.0.113.1"]}])),
        marker("203.0.113.2"),
    ];
    for object in registrations {
        kubectl.apply(&object.to_string()).with_context(|| anyhow!("applying {object}"))?;
    }
    Ok(())
}
