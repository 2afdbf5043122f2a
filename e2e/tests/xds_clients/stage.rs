//! Where it happens: a control plane, two replicas behind a relay, servers, registrations, and all clients.

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};
use std::sync::{Mutex, PoisonError};

use anyhow::{Context as _, Result, ensure};
use rollcall_e2e::backend::{Backend, Mode};
use rollcall_e2e::install::{self, Installation};
use rollcall_e2e::layout::Scratch;
use rollcall_e2e::relay::Relay;
use rollcall_e2e::rollcall::{Binaries, Profile, Rollcall};
use rollcall_e2e::xds_client::Server;
use rollcall_e2e::{ControlPlane, Kubectl, net};
use serde_json::{Value, json};

use super::crowd::Crowd;
use crate::support::shop::outside_address;

/// The namespace of all services here.
pub(crate) const NAMESPACE: &str = "xds";

/// Every service that clients call, from the first moment on; and its servers. `unborn` is registered later, and
/// `ending` is of EndpointSlices, as pods are.
pub(crate) const SERVICES: [(&str, &[&str]); 12] = [
    ("first", &["a", "b"]),
    ("change", &["a", "b", "c"]),
    ("zero", &["a", "b"]),
    ("drain", &["a", "b"]),
    ("ending", &["a", "b"]),
    ("weights", &["a", "b"]),
    ("zones", &["near", "far"]),
    ("spills", &["near", "lost", "far"]),
    ("warned", &["a", "b"]),
    ("deleted", &["a"]),
    ("unborn", &["a"]),
    ("steady", &["a", "b", "c"]),
];

/// What an endpoint of `warned` that is in Warning gets of what the other gets.
pub(crate) const WARNED_PERCENT: u8 = 25;

/// The zone of all clients, and one of other endpoints.
pub(crate) const HERE: &str = "here-a";
pub(crate) const THERE: &str = "there-b";

/// Everything. Fields are dropped from the top down: clients first, the control plane last.
pub(crate) struct Stage {
    pub(crate) crowd: Crowd,
    pub(crate) relay: Relay,
    pub(crate) rollcall: Rollcall,
    servers: Mutex<BTreeMap<String, Server>>,
    pub(crate) kubectl: Kubectl,
    pub(crate) installation: Installation,
    pub(crate) binaries: Binaries,
    /// What a check of `warned-b` asks: it is well, and complains.
    complains: Backend,
    plane: ControlPlane,
    pub(crate) scratch: Scratch,
}

/// An endpoint of a registration: its server by name, and what differs from the usual.
#[derive(Clone, Copy, Debug)]
pub(crate) struct At {
    pub(crate) server: &'static str,
    pub(crate) zone: Option<&'static str>,
    pub(crate) weight: u16,
    pub(crate) out: bool,
}

// === impl Stage ===

impl Stage {
    pub(crate) fn open() -> Result<Self> {
        let binaries = Binaries::build(Profile::Dev)?;
        let scratch = Scratch::new("xds_clients")?;
        let folder = scratch.path().to_path_buf();
        let plane = ControlPlane::start(&folder)?;
        let kubectl = plane.kubectl().clone();
        let installation = install::install(&kubectl, &folder)?;
        let mut servers = BTreeMap::new();
        let ip = outside_address(0, IpAddr::is_ipv4)?;
        for (service, names) in SERVICES {
            for name in names {
                let name = format!("{service}-{name}");
                let server = Server::start(&name, SocketAddr::new(ip, net::free_port()?), &folder)?;
                servers.insert(name, server);
            }
        }
        let mut complains = Backend::start("complains", SocketAddr::new(ip, net::free_port()?))?;
        complains.set(Mode::Complain)?;
        let rollcall = Rollcall::start(&binaries, &installation, 2, &folder)?;
        let relay = Relay::start(rollcall.controllers[0].grpc)?;
        let (crowd, servers) = (Crowd::default(), Mutex::new(servers));
        let mut stage =
            Self { crowd, relay, rollcall, servers, kubectl, installation, binaries, complains, plane, scratch };
        stage.stock()?;
        stage.crowd = Crowd::start(stage.relay.address(), &folder)?;
        Ok(stage)
    }

    /// The registrations as they are at first.
    fn stock(&self) -> Result<()> {
        let mut objects =
            vec![json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": NAMESPACE}}).to_string()];
        let first = |service: &str| match service {
            "change" | "steady" => vec![At::usual("a"), At::usual("b")],
            "weights" => vec![
                At { zone: Some("there-1"), ..At::usual("a") },
                At { zone: Some("there-2"), weight: 3, ..At::usual("b") },
            ],
            "zones" => {
                vec![At { zone: Some(HERE), ..At::usual("near") }, At { zone: Some(THERE), ..At::usual("far") }]
            }
            "spills" => ["near", "lost", "far"]
                .map(|server| At { zone: Some(if server == "far" { THERE } else { HERE }), ..At::usual(server) })
                .to_vec(),
            "deleted" | "warned" => vec![At::usual("a")],
            _ => vec![At::usual("a"), At::usual("b")],
        };
        for (service, _) in SERVICES.iter().filter(|(service, _)| !["unborn", "ending"].contains(service)) {
            objects.push(self.registration(service, &first(service))?.to_string());
        }
        objects.extend(self.warned()?.map(|object| object.to_string()));
        let port = json!({"name": "grpc", "port": 8080});
        let metadata = json!({"name": "ending", "namespace": NAMESPACE});
        let service = json!({"apiVersion": "v1", "kind": "Service", "metadata": metadata, "spec": {"ports": [port]}});
        objects.push(service.to_string());
        for server in ["a", "b"] {
            objects.push(self.slice("ending", server, &json!({}))?.to_string());
        }
        self.kubectl.apply(&objects.join("\n---\n")).map(drop)
    }

    /// The endpoint of `warned` that a check finds in Warning, and the policy that says what it gets.
    fn warned(&self) -> Result<[Value; 2]> {
        let mut object = self.registration("warned", &[At::usual("b")])?;
        object["metadata"]["name"] = json!("warned-b");
        let spec = &mut object["spec"];
        spec["ports"] = json!([{"name": "grpc", "port": 8080}, {"name": "health", "port": 8081}]);
        if let Some(ports) = spec["endpoints"][0]["ports"].as_array_mut() {
            ports.push(json!({"name": "health", "port": self.complains.address().port()}));
        }
        let http = json!({"path": "/healthz", "port": "health"});
        spec["checks"] = json!([{"name": "healthz", "http": http, "interval": "1s", "timeout": "1s"}]);
        let policy = json!({
            "apiVersion": "rollcall.dev/v1alpha1",
            "kind": "DiscoveryPolicy",
            "metadata": {"name": "warned", "namespace": NAMESPACE},
            "spec": {"target": {"service": "warned"}, "warning": {"percent": WARNED_PERCENT}},
        });
        Ok([object, policy])
    }

    /// Does something with the server of that name.
    pub(crate) fn server<T>(&self, name: &str, with: impl FnOnce(&mut Server) -> Result<T>) -> Result<T> {
        let mut servers = self.servers.lock().unwrap_or_else(PoisonError::into_inner);
        with(servers.get_mut(name).with_context(|| format!("no server {name}"))?)
    }

    /// Registers a service with these endpoints alone.
    pub(crate) fn register(&self, service: &str, endpoints: &[At]) -> Result<()> {
        self.kubectl.apply(&self.registration(service, endpoints)?.to_string()).map(drop)
    }

    /// Says in a slice of the service's own how a server of it is: it is there, with these conditions.
    pub(crate) fn say(&self, service: &str, server: &str, conditions: &Value) -> Result<()> {
        self.kubectl.apply(&self.slice(service, server, conditions)?.to_string()).map(drop)
    }

    /// Removes that slice.
    pub(crate) fn unsay(&self, service: &str, server: &str) -> Result<()> {
        self.kubectl.delete(&["endpointslice", &format!("{service}-{server}"), "--namespace", NAMESPACE])
    }

    fn slice(&self, service: &str, server: &str, conditions: &Value) -> Result<Value> {
        let name = format!("{service}-{server}");
        let address = self.server(&name, |server| Ok(server.address))?;
        let labels = json!({"kubernetes.io/service-name": service});
        Ok(json!({
            "apiVersion": "discovery.k8s.io/v1",
            "kind": "EndpointSlice",
            "metadata": {"name": name, "namespace": NAMESPACE, "labels": labels},
            "addressType": "IPv4",
            "ports": [{"name": "grpc", "port": address.port()}],
            "endpoints": [{"addresses": [address.ip()], "conditions": conditions}],
        }))
    }

    /// Removes a service.
    pub(crate) fn deregister(&self, service: &str) -> Result<()> {
        self.kubectl.delete(&["serviceregistration", service, "--namespace", NAMESPACE])
    }

    fn registration(&self, service: &str, endpoints: &[At]) -> Result<Value> {
        let endpoint = |at: &At| -> Result<Value> {
            let name = format!("{service}-{}", at.server);
            let at_address = self.server(&name, |server| Ok(server.address))?;
            let mut endpoint = json!({
                "name": at.server,
                "addresses": [at_address.ip()],
                "ports": [{"name": "grpc", "port": at_address.port()}],
                "weight": at.weight,
            });
            if let Some(zone) = at.zone {
                endpoint["zone"] = json!(zone);
            }
            if at.out {
                endpoint["maintenance"] = json!({"reason": "a test"});
            }
            Ok(endpoint)
        };
        let endpoints = endpoints.iter().map(endpoint).collect::<Result<Vec<_>>>()?;
        // Of those who die one is to be found.
        let checks =
            (service == "spills").then(|| json!([{"name": "port", "tcp": {}, "interval": "1s", "timeout": "1s"}]));
        Ok(json!({
            "apiVersion": "rollcall.dev/v1alpha1",
            "kind": "ServiceRegistration",
            "metadata": {"name": service, "namespace": NAMESPACE},
            "spec": {"service": service, "ports": [{"name": "grpc", "port": 8080}], "endpoints": endpoints,
                     "checks": checks.unwrap_or_else(|| json!([]))},
        }))
    }

    /// Ends everything. Returns where the logs are, which stay only after a failure.
    pub(crate) fn close(self) -> Result<String> {
        let Self { crowd, relay, mut rollcall, servers, plane, scratch, .. } = self;
        let failed = crowd.failed();
        drop((crowd, relay));
        let killed = rollcall.stop()?;
        ensure!(killed.is_empty(), "did not end on SIGTERM and had to be killed: {killed:?}");
        drop((servers, plane));
        let logs = format!("--- all logs: {}", scratch.path().display());
        if !failed {
            scratch.remove()?;
        }
        Ok(logs)
    }
}

// === impl At ===

impl At {
    /// A server without anything special.
    pub(crate) fn usual(server: &'static str) -> Self {
        Self { server, zone: None, weight: 1, out: false }
    }

    /// The same, taken out.
    pub(crate) fn out(self) -> Self {
        Self { out: true, ..self }
    }
}
