//! The checks of a spec: what is to be probed where, or why a check cannot be run.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use rollcall_catalog::check::{Thresholds, time_to_decide};
use rollcall_catalog::input::{Fault, Problem};
use rollcall_catalog::model::{Endpoint, Name, Protocol};
use rollcall_crds::{self as api, ServiceRegistrationSpec};

use super::endpoints::protocol;
use super::problem;
use crate::checks::plan::{self, Check, Kind};

/// The checks that can be run, and what is wrong with the others.
pub(super) fn read(spec: &ServiceRegistrationSpec) -> (Vec<Arc<Check>>, Vec<Problem>) {
    let (mut checks, mut problems) = (Vec::new(), Vec::new());
    for said in &spec.checks {
        match check(spec, said) {
            Ok(check) => checks.push(Arc::new(check)),
            Err(problem) => problems.push(problem),
        }
    }
    (checks, problems)
}

/// From the death of an endpoint to the verdict, at the longest: the check that decides first counts.
pub(super) fn time_to_evict(checks: &[Arc<Check>]) -> Option<Duration> {
    checks.iter().map(|check| time_to_decide(check.interval, check.timeout, check.thresholds)).min()
}

/// Every check of every address. Endpoints in maintenance are checked too, so that their end has a verdict ready.
pub(super) fn probes(checks: &[Arc<Check>], endpoints: &[Arc<Endpoint>]) -> Vec<plan::Probe> {
    let mut probes = Vec::with_capacity(checks.len() * endpoints.len());
    for endpoint in endpoints {
        for check in checks {
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

fn check(spec: &ServiceRegistrationSpec, said: &api::CheckSpec) -> Result<Check, Problem> {
    let name = &said.name;
    let unsupported = |what: &str| Err(problem(Fault::UnsupportedValue, format!("check {name}: {what}")));
    let Some(probe) = said.probe() else {
        return unsupported("its kind is not known to this version; use http or tcp");
    };
    let port = match probe.port() {
        Some(port) => spec.ports.iter().find(|own| own.name == port).ok_or_else(|| {
            let words = format!("check {name}: there is no port {port:?} in spec.ports; name one of those");
            problem(Fault::UnknownPort, words)
        })?,
        None => match spec.ports.first() {
            Some(first) => first,
            None => return unsupported("there is no port in spec.ports; give one"),
        },
    };
    if protocol(port.protocol) != Some(Protocol::Tcp) {
        let (port, protocol) = (&port.name, port.protocol);
        return unsupported(&format!("it needs a TCP port, and port {port:?} is {protocol}; name a TCP port"));
    }
    Ok(Check {
        name: said.name.as_str().into(),
        kind: match probe {
            api::Probe::Http(http) => {
                Kind::Http { path: http.path.as_str().into(), host: http.host.as_deref().map(Name::from) }
            }
            api::Probe::Tcp(_) => Kind::Tcp,
        },
        port: port.name.as_str().into(),
        interval: said.interval.get(),
        timeout: said.timeout.get(),
        thresholds: Thresholds { failures: said.failure_threshold, successes: said.success_threshold },
    })
}
