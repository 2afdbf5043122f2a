//! The checks of a spec: what is to be probed where, or why a check cannot be run.

mod kind;

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use rollcall_catalog::evict::TimeToEvict;
use rollcall_catalog::input::{Fault, Problem};
use rollcall_catalog::model::{Endpoint, Health, Name, Protocol};
use rollcall_crds::{self as api, InitialStatus, ServiceRegistrationSpec};
use rollcall_health::beat::Heartbeat;
use rollcall_health::definition::{RETRY_INTERVAL, TIMEOUT_MAX};
use rollcall_health::{Check, CheckKind, Target, Thresholds, schedule};

use super::endpoints::protocol;
use super::problem;

/// The checks that can be run, and what is wrong with the others.
pub(super) fn read(namespace: &Name, spec: &ServiceRegistrationSpec) -> (Vec<Arc<Check>>, Vec<Problem>) {
    let (mut checks, mut problems) = (Vec::new(), Vec::new());
    for said in &spec.checks {
        match check(namespace, spec, said) {
            Ok(check) => checks.push(Arc::new(check)),
            Err(problem) => problems.push(problem),
        }
    }
    (checks, problems)
}

/// From the death of an endpoint to the verdict, at the longest: the check, or the heartbeat, that decides first counts.
pub(super) fn time_to_evict(checks: &[Arc<Check>], heartbeat: Option<&Heartbeat>) -> Option<TimeToEvict> {
    let of_checks = checks.iter().map(|check| schedule::time_to_evict(check));
    of_checks.chain(heartbeat.map(Heartbeat::time_to_evict)).min_by_key(TimeToEvict::total)
}

/// Every check of every address. Endpoints in maintenance are checked too, so that their end has a verdict ready.
pub(super) fn targets(
    checks: &[Arc<Check>],
    endpoints: &[Arc<Endpoint>],
    spec: &ServiceRegistrationSpec,
) -> Vec<Target> {
    let hosts: HashMap<&str, Name> =
        spec.endpoints.iter().filter_map(|said| Some((&*said.name, said.host.as_deref()?.into()))).collect();
    let mut targets = Vec::with_capacity(checks.len() * endpoints.len());
    for endpoint in endpoints {
        for check in checks {
            let Some(port) = check.port_of(&endpoint.ports) else { continue };
            // By its name it is called, so by its name it answers and shows its certificate.
            let check = &match hosts.get(&*endpoint.name()) {
                Some(host) => Arc::new(Check { kind: check.kind.clone().at_host(host), ..Check::clone(check) }),
                None => Arc::clone(check),
            };
            targets.extend(endpoint.addresses.iter().map(|ip| Target {
                endpoint: endpoint.name().to_name(),
                check: Arc::clone(check),
                address: SocketAddr::new(ip, port),
            }));
        }
    }
    targets
}

fn check(namespace: &Name, spec: &ServiceRegistrationSpec, said: &api::CheckSpec) -> Result<Check, Problem> {
    let name = &said.name;
    let unsupported = |what: &str| problem(Fault::UnsupportedValue, format!("check {name}: {what}"));
    let Some(kind) = said.kind() else {
        let known = "http, tcp, tls, grpc, http2, udp or alias";
        return Err(unsupported(&format!("its kind is not known to this version; use {known}")));
    };
    let port = match kind.port() {
        Some(port) => spec.ports.iter().find(|own| own.name == port).ok_or_else(|| {
            let words = format!("check {name}: there is no port {port:?} in spec.ports; name one of those");
            problem(Fault::UnknownPort, words)
        })?,
        None => spec.ports.first().ok_or_else(|| unsupported("there is no port in spec.ports; give one"))?,
    };
    if let Some(needed) = kind::protocol(kind).filter(|needed| protocol(port.protocol) != Some(*needed)) {
        let (a, port, protocol) = (if needed == Protocol::Tcp { "a TCP" } else { "a UDP" }, &port.name, port.protocol);
        return Err(unsupported(&format!("it needs {a} port, and port {port:?} is {protocol}; name {a} port")));
    }
    let what = kind::read(namespace, &spec.service, kind).map_err(|what| unsupported(&what))?;
    Ok(defined(said, what, port.name.as_str().into()))
}

/// A check of pods of services in a namespace, and what its port speaks. It names a port of the Service, or none.
pub fn of_pods(namespace: &Name, said: &api::CheckSpec) -> Result<(Check, Protocol), Problem> {
    let unsupported = |what: &str| problem(Fault::UnsupportedValue, format!("podChecks: check {}: {what}", said.name));
    let Some((kind, speaks)) = said.kind().and_then(|kind| Some((kind, kind::protocol(kind)?))) else {
        return Err(unsupported("its kind is not known to this version; use http, tcp, tls, grpc, http2 or udp"));
    };
    let what = kind::read(namespace, "", kind).map_err(|what| unsupported(&what))?;
    Ok((defined(said, what, kind.port().unwrap_or_default().into()), speaks))
}

fn defined(said: &api::CheckSpec, kind: CheckKind, port: Name) -> Check {
    let interval = said.interval.get();
    Check {
        name: said.name.as_str().into(),
        kind,
        port,
        interval,
        retry_interval: said.retry_interval.map_or(RETRY_INTERVAL, Duration::from).min(interval),
        // Objects from before the bound have longer ones, and stay in use with this.
        timeout: said.timeout.get().min(TIMEOUT_MAX),
        thresholds: Thresholds { failures: said.failure_threshold, successes: said.success_threshold },
        initial: initial(said.initial_status.unwrap_or_default()),
    }
}

fn initial(said: InitialStatus) -> Health {
    match said {
        InitialStatus::Passing => Health::Passing,
        InitialStatus::Warning => Health::Warning,
        InitialStatus::Critical => Health::Critical,
        InitialStatus::Unknown | InitialStatus::Unsupported => Health::Unknown,
    }
}
