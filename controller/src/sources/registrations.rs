//! ServiceRegistrations become contributions for the catalog, plans for the checks, and what the write-back compares
//! its status with.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use rollcall_catalog::Input;
use rollcall_catalog::check::Thresholds;
use rollcall_catalog::input::{Contribution, Origin, OriginKind, Verdict};
use rollcall_catalog::intern::Interner;
use rollcall_catalog::model::{
    Addresses, Attributes, Conditions, Endpoint, Health, HealthSource, Name, Port, Ports, Protocol, ServiceKey,
};
use rollcall_crds::{self as api, EndpointSpec, ServiceRegistration, ServiceRegistrationSpec};
use tokio::sync::mpsc;

use super::{Names, created};
use crate::checks::plan::{self, Check, Kind, Plan};
use crate::checks::runner::Order;
use crate::kubernetes::ObjectKey;
use crate::kubernetes::freshness::Source;
use crate::kubernetes::informer::Handler;
use crate::writeback::observed::{Observations, Seen};
use crate::writer::{Inbox, Message};

/// Hands ServiceRegistrations to the catalog, the checks and the write-back.
pub struct Registrations {
    inbox: Inbox,
    orders: mpsc::Sender<Order>,
    observations: Observations,
    names: Names,
    ports: Interner<[Port]>,
    attributes: Interner<Attributes>,
    /// The endpoints that this process has seen: what their status says is of its own making from then on.
    seen: HashMap<ObjectKey, HashSet<String>>,
}

/// Something in a spec that cannot be used. The rest is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// A reason of the condition `Accepted`.
    pub reason: &'static str,
    /// What is wrong and what to do, in plain words.
    pub message: String,
}

// === impl Registrations ===

impl Registrations {
    /// A handler that speaks to the writer, the checks and the write-back.
    pub fn new(inbox: Inbox, orders: mpsc::Sender<Order>, observations: Observations) -> Self {
        Self {
            inbox,
            orders,
            observations,
            names: Names::default(),
            ports: Interner::default(),
            attributes: Interner::default(),
            seen: HashMap::new(),
        }
    }

    fn origin(&mut self, key: &ObjectKey) -> Arc<Origin> {
        let namespace = self.names.get(&key.namespace);
        Arc::new(Origin { kind: OriginKind::ServiceRegistration, namespace, name: Name::clone(&key.name) })
    }

    fn contribution(&mut self, origin: &Arc<Origin>, registration: &ServiceRegistration) -> Contribution {
        let spec = &registration.spec;
        let service = ServiceKey { namespace: Name::clone(&origin.namespace), name: self.names.get(&spec.service) };
        let ports = self.ports(spec, &[]);
        let endpoints =
            spec.endpoints.iter().filter_map(|endpoint| self.endpoint(spec, endpoint)).map(Arc::new).collect();
        Contribution { origin: Arc::clone(origin), service, created: created(&registration.metadata), ports, endpoints }
    }

    fn endpoint(&mut self, spec: &ServiceRegistrationSpec, endpoint: &EndpointSpec) -> Option<Endpoint> {
        let mut tags: Vec<_> = endpoint.tags.iter().map(|tag| self.names.get(tag)).collect();
        tags.sort_unstable();
        tags.dedup();
        let metadata =
            endpoint.metadata.iter().map(|(key, value)| (self.names.get(key), self.names.get(value))).collect();
        let maintenance = endpoint.maintenance.as_ref().or(spec.maintenance.as_ref());
        Some(Endpoint {
            name: self.names.get(&endpoint.name),
            addresses: addresses(endpoint)?,
            ports: self.ports(spec, &endpoint.ports),
            hostname: self.names.maybe(endpoint.hostname.as_deref()),
            zone: self.names.maybe(endpoint.zone.as_deref()),
            node: None,
            weight: endpoint.weight.max(1),
            conditions: Conditions::READY,
            health_source: match maintenance {
                Some(maintenance) => HealthSource::Maintenance(self.names.get(&maintenance.reason)),
                None if spec.checks.is_empty() => HealthSource::Unchecked,
                None => HealthSource::Verdict,
            },
            attributes: self.attributes.share(Attributes { tags, metadata }),
        })
    }

    /// The ports of the registration, with the numbers that an endpoint has instead.
    fn ports(&mut self, spec: &ServiceRegistrationSpec, overrides: &[api::PortOverride]) -> Ports {
        let port = |port: &api::PortSpec| {
            let own = overrides.iter().find(|own| own.name == port.name);
            Some(Port {
                name: self.names.get(&port.name),
                number: own.map_or(port.port, |own| own.port),
                protocol: protocol(port.protocol)?,
                app_protocol: self.names.maybe(port.app_protocol.as_deref()),
            })
        };
        let mut ports: Vec<_> = spec.ports.iter().filter_map(port).collect();
        ports.sort_unstable();
        self.ports.share(ports)
    }

    /// Verdicts in the status for endpoints that this process sees for the first time, where they are.
    fn restored(&mut self, key: &ObjectKey, registration: &ServiceRegistration) -> Vec<(Name, Verdict)> {
        let spec = &registration.spec;
        let seen = self.seen.entry(key.clone()).or_default();
        let fresh: Vec<_> = spec.endpoints.iter().filter(|endpoint| !seen.contains(&endpoint.name)).collect();
        let said: BTreeMap<_, _> =
            registration.status.iter().flat_map(|status| &status.endpoints).map(|said| (&said.name, said)).collect();
        let restored = fresh.into_iter().filter_map(|endpoint| {
            let said = said.get(&endpoint.name).filter(|said| said.addresses == endpoint.addresses)?;
            let health = match said.health {
                api::Health::Passing => Health::Passing,
                api::Health::Warning => Health::Warning,
                api::Health::Critical => Health::Critical,
                api::Health::Maintenance | api::Health::Unknown => return None,
            };
            let verdict =
                Verdict { health, since_ms: said.since.0.as_millisecond(), reason: said.reason.as_str().into() };
            Some((self.names.get(&endpoint.name), verdict))
        });
        let restored = if spec.checks.is_empty() { Vec::new() } else { restored.collect() };
        *seen = spec.endpoints.iter().map(|endpoint| endpoint.name.clone()).collect();
        restored
    }
}

impl Handler<ServiceRegistration> for Registrations {
    async fn apply(&mut self, registration: ServiceRegistration) {
        let key = ObjectKey::of(&registration.metadata);
        let origin = self.origin(&key);
        let contribution = self.contribution(&origin, &registration);
        let restored = self.restored(&key, &registration);
        let probes = probes(&registration.spec, &contribution.endpoints);

        self.inbox.send(Message::Say(Input::Contribution(contribution))).await;
        // Before the checks start: a restarted replica must not show an endpoint as Unknown that it knew as Passing.
        for (endpoint, verdict) in &restored {
            let input = Input::Verdict(Arc::clone(&origin), Name::clone(endpoint), Some(verdict.clone()));
            self.inbox.send(Message::Say(input)).await;
        }
        let plan = Plan { origin, probes, restored };
        // Fails during shutdown only, when nobody checks any more.
        let _ = self.orders.send(Order::Plan(plan)).await;
        self.observations.send(Seen::registration(&registration)).await;
    }

    async fn delete(&mut self, gone: &ObjectKey) {
        self.seen.remove(gone);
        let origin = self.origin(gone);
        let _ = self.orders.send(Order::Forget(Arc::clone(&origin))).await;
        self.inbox.send(Message::Say(Input::Gone(origin))).await;
        self.observations.send(Seen::RegistrationGone(gone.clone())).await;
    }

    async fn unreadable(&mut self, key: &ObjectKey) {
        self.observations.send(Seen::Unreadable(key.clone())).await;
    }

    async fn synced(&mut self) {
        self.observations.send(Seen::Synced(Source::ServiceRegistrations)).await;
        self.inbox.send(Message::Synced(Source::ServiceRegistrations)).await;
    }
}

/// Every check of every address. Endpoints in maintenance are checked too, so that their end has a verdict ready.
fn probes(spec: &ServiceRegistrationSpec, endpoints: &[Arc<Endpoint>]) -> Vec<plan::Probe> {
    let checks: Vec<_> = spec.checks.iter().filter_map(|check| usable(spec, check)).map(Arc::new).collect();
    let mut probes = Vec::with_capacity(checks.len() * endpoints.len());
    for endpoint in endpoints {
        for check in &checks {
            let Some(port) = check.port_of(&endpoint.ports) else { continue };
            probes.extend(endpoint.addresses.iter().map(|ip| plan::Probe {
                endpoint: Name::clone(&endpoint.name),
                check: Arc::clone(check),
                target: SocketAddr::new(ip, port),
            }));
        }
    }
    probes
}

fn usable(spec: &ServiceRegistrationSpec, check: &api::CheckSpec) -> Option<Check> {
    let probe = check.probe()?;
    let port = match probe.port() {
        Some(name) => spec.ports.iter().find(|port| port.name == name)?,
        None => spec.ports.first()?,
    };
    Some(Check {
        name: check.name.as_str().into(),
        kind: match probe {
            api::Probe::Http(http) => {
                Kind::Http { path: http.path.as_str().into(), host: http.host.as_deref().map(Name::from) }
            }
            api::Probe::Tcp(_) => Kind::Tcp,
        },
        port: port.name.as_str().into(),
        interval: check.interval.get(),
        timeout: check.timeout.get(),
        thresholds: Thresholds { failures: check.failure_threshold, successes: check.success_threshold },
    })
}

/// What in a spec cannot be used. The API server refuses most of it; the rest it cannot know, or let pass when it was
/// older.
pub fn problems(spec: &ServiceRegistrationSpec) -> Vec<Problem> {
    use rollcall_crds::conditions::accepted::{UNKNOWN_PORT, UNSUPPORTED_VALUE};
    let known = |name: &str| spec.ports.iter().any(|port| port.name == name);
    let mut problems = Vec::new();
    let mut say = |reason, message| problems.push(Problem { reason, message });
    for port in spec.ports.iter().filter(|port| protocol(port.protocol).is_none()) {
        say(
            UNSUPPORTED_VALUE,
            format!("port {:?}: its protocol is not known to this version; use TCP, UDP or SCTP", port.name),
        );
    }
    for check in &spec.checks {
        match check.probe() {
            None => say(
                UNSUPPORTED_VALUE,
                format!("check {}: its kind is not known to this version; use http or tcp", check.name),
            ),
            Some(probe) => {
                if let Some(port) = probe.port().filter(|port| !known(port)) {
                    say(
                        UNKNOWN_PORT,
                        format!("check {}: there is no port {port:?} in spec.ports; name one of those", check.name),
                    );
                }
            }
        }
    }
    for endpoint in &spec.endpoints {
        for port in endpoint.ports.iter().filter(|port| !known(&port.name)) {
            say(
                UNKNOWN_PORT,
                format!(
                    "endpoint {}: there is no port {:?} in spec.ports; name one of those",
                    endpoint.name, port.name
                ),
            );
        }
        if addresses(endpoint).is_none() {
            say(UNSUPPORTED_VALUE, format!("endpoint {}: give at most one IPv4 and one IPv6 address", endpoint.name));
        }
    }
    problems
}

fn addresses(endpoint: &EndpointSpec) -> Option<Addresses> {
    let ips: Result<Vec<IpAddr>, _> = endpoint.addresses.iter().map(|ip| ip.parse()).collect();
    Addresses::from_ips(ips.ok()?)
}

fn protocol(protocol: api::Protocol) -> Option<Protocol> {
    match protocol {
        api::Protocol::Tcp => Some(Protocol::Tcp),
        api::Protocol::Udp => Some(Protocol::Udp),
        api::Protocol::Sctp => Some(Protocol::Sctp),
        api::Protocol::Unsupported => None,
    }
}

#[cfg(test)]
mod tests;
