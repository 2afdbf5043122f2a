//! What instances share: everything that a ServiceRegistration says once for all of its endpoints.

use rollcall_catalog::ServiceKey;
use rollcall_crds::{ApiDuration, CheckSpec, HeartbeatSpec, PortSpec, ServiceRegistrationSpec};
use rollcall_xds::proto::rollcall::v1 as wire;
use xxhash_rust::xxh3::xxh3_64;

/// What instances share. Those of one set may stand in one object; others never do, so that a definition which the API server
/// refuses keeps out only those that gave it.
#[derive(Clone, Debug, PartialEq)]
pub struct Set {
    /// The service.
    pub service: ServiceKey,
    /// The object's spec, without endpoints.
    pub spec: ServiceRegistrationSpec,
    /// 16 hexadecimal digits of the spec's content. Numbers of ports are left out: an endpoint may have its own.
    pub hash: String,
}

/// Which set.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SetKey {
    /// The service.
    pub service: ServiceKey,
    /// See [`Set::hash`].
    pub hash: String,
}

/// Checks that the controller runs, of one set.
const CHECKS_MAX: usize = 8;
/// One definition, in bytes of JSON. The largest that the API server takes is about 3 KiB.
const DEFINITION_BYTES_MAX: usize = 8192;

// === impl Set ===

impl Set {
    /// The set of what an agent says of an instance with these ports.
    ///
    /// # Errors
    /// What is wrong with its checks, and what to write instead.
    pub fn new(service: &ServiceKey, ports: &[PortSpec], said: &wire::Instance) -> Result<Self, String> {
        if said.checks.len() > CHECKS_MAX {
            return Err(format!(
                "checks: there are {}; give {CHECKS_MAX} at most to the controller",
                said.checks.len()
            ));
        }
        let check = |(at, text): (usize, &String)| check(at + 1, text);
        let spec = ServiceRegistrationSpec {
            service: service.name.to_string(),
            ports: ports.to_vec(),
            checks: said.checks.iter().enumerate().map(check).collect::<Result<_, _>>()?,
            heartbeat: heartbeat(said)?,
            deregister_after: deregister_after(&said.deregister_after)?,
            ..ServiceRegistrationSpec::default()
        };
        let hash = hash(&spec);
        Ok(Self { service: service.clone(), spec, hash })
    }

    /// Which it is.
    pub fn key(&self) -> SetKey {
        SetKey { service: self.service.clone(), hash: self.hash.clone() }
    }
}

fn hash(spec: &ServiceRegistrationSpec) -> String {
    let ports = spec.ports.iter().map(|port| PortSpec { port: 0, ..port.clone() }).collect();
    let alike = ServiceRegistrationSpec { ports, ..spec.clone() };
    // A struct of texts and numbers: its JSON is always there, and always the same.
    let json = serde_json::to_vec(&alike).unwrap_or_default();
    format!("{:016x}", xxh3_64(&json))
}

/// The `at`th check. Whether its values are good is for the API server to say: it has the rules.
fn check(at: usize, text: &str) -> Result<CheckSpec, String> {
    let check: CheckSpec = definition(text).map_err(|words| format!("check {at}: {words}"))?;
    match check.kind() {
        Some(_) => Ok(check),
        None => Err(format!(
            "check {}: it says nothing that this controller can run; give http or tcp, or run it on the machine",
            check.name
        )),
    }
}

/// Checks on a machine are told with its beats: without these nobody would know when the machine is gone.
fn heartbeat(said: &wire::Instance) -> Result<Option<HeartbeatSpec>, String> {
    match (&*said.heartbeat, said.local_checks.is_empty()) {
        ("", true) => Ok(None),
        ("", false) => {
            Err("local checks need a heartbeat, which says that the machine still lives; give one".to_owned())
        }
        (text, _) => definition(text).map(Some).map_err(|words| format!("heartbeat: {words}")),
    }
}

/// Whether it is within bounds is for the API server to say.
fn deregister_after(text: &str) -> Result<Option<ApiDuration>, String> {
    match text {
        "" => Ok(None),
        text => match text.parse() {
            Ok(after) => Ok(Some(after)),
            Err(_) => Err(format!("deregister_after {text:?}: give a whole number with its unit, such as 1h")),
        },
    }
}

fn definition<T: serde::de::DeserializeOwned>(text: &str) -> Result<T, String> {
    if text.len() > DEFINITION_BYTES_MAX {
        return Err(format!("it has {} bytes; give {DEFINITION_BYTES_MAX} at most", text.len()));
    }
    serde_json::from_str(text).map_err(|error| error.to_string())
}
