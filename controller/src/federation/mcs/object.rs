//! A service across clusters as objects of the API: its ServiceImport and its derived Service.

use std::collections::BTreeMap;

use jiff::Timestamp;
use k8s_openapi::api::core::v1::{ClientIPConfig, SessionAffinityConfig};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};
use rollcall_catalog::clusterset::{self, SERVICE_NAME_LABEL};
use rollcall_catalog::digest::Digest;
use rollcall_catalog::input::{ServiceFacts, ServiceKind};
use rollcall_catalog::model::{Name, Port, Protocol, ServiceKey};
use rollcall_crds::conditions::status::{FALSE, TRUE};
use rollcall_crds::service_import::{
    ClusterStatus, ImportPort, ImportType, ServiceImportSpec, ServiceImportStatus, import_conditions as words,
};
use serde_json::{Value, json};

use super::plans::Plan;
use super::said::IpFamily;
use super::seen::Import;
use super::union::Union;

/// Who made an object, and our value.
pub const MANAGED_BY_LABEL: &str = "app.kubernetes.io/managed-by";
/// See [`MANAGED_BY_LABEL`].
pub const MANAGED_BY: &str = "rollcall";
/// What exported labels and annotations were written, as a hash.
pub const CONTENT_ANNOTATION: &str = "rollcall.dev/exported";
/// The derived Service, on the import (reference implementation of mcs-api).
const DERIVED_ANNOTATION: &str = "multicluster.kubernetes.io/derived-service";

/// What has to be done to a derived Service that stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Change {
    /// Nothing.
    None,
    /// It is written anew, and keeps its address.
    Write,
    /// It is of the other type, and the API server changes no address: it is made anew.
    Replace,
}

/// What should stand in the spec of the import.
pub fn spec(union: &Union, derived: Option<&ServiceFacts>) -> ServiceImportSpec {
    let said = &union.said;
    let all = match derived.map(|facts| &facts.kind) {
        Some(ServiceKind::ClusterIp(ips)) if !said.headless => ips.as_slice(),
        _ => &[],
    };
    let address = |family: &IpFamily| all.iter().find(|ip| ip.is_ipv4() == (*family == IpFamily::V4));
    let order = match derived.and_then(|facts| facts.manner.as_deref()).is_some_and(|manner| manner.v6_first) {
        true => [IpFamily::V6, IpFamily::V4],
        false => [IpFamily::V4, IpFamily::V6],
    };
    let ips: Vec<_> = order.iter().filter_map(|family| Some((*family, *address(family)?))).collect();
    let families = match said.headless {
        true => said.families.clone(),
        false => ips.iter().map(|(family, _)| *family).collect(),
    };
    ServiceImportSpec {
        ports: union.ports.iter().map(port).collect(),
        ips: ips.iter().map(|(_, ip)| ip.to_string()).collect(),
        type_: if said.headless { ImportType::Headless } else { ImportType::ClusterSetIP },
        session_affinity: said.manner.affinity_s.map(|_| "ClientIP".to_owned()),
        session_affinity_config: affinity(union),
        ip_families: families.iter().map(|family| family.as_str().to_owned()).collect(),
        // As the API server writes it into every Service that says nothing.
        internal_traffic_policy: Some(if said.manner.internal_local { "Local" } else { "Cluster" }.to_owned()),
        traffic_distribution: said.manner.traffic.as_deref().map(str::to_owned),
    }
}

/// What the labels and annotations of the import follow from.
pub fn content(union: &Union) -> String {
    let mut digest = Digest::default();
    for pairs in [&union.said.tags.labels, &union.said.tags.annotations] {
        digest.number(pairs.len() as u64);
        pairs.iter().for_each(|(key, value)| _ = digest.text(key).text(value));
    }
    format!("{:016x}", digest.finish().0)
}

/// The import, without its status.
pub fn import(key: &ServiceKey, union: &Union, spec: &ServiceImportSpec) -> Value {
    let pairs = |pairs: &BTreeMap<Name, Name>| -> serde_json::Map<String, Value> {
        pairs.iter().map(|(key, value)| (key.to_string(), Value::from(&**value))).collect()
    };
    let (mut labels, mut annotations) = (pairs(&union.said.tags.labels), pairs(&union.said.tags.annotations));
    labels.insert(MANAGED_BY_LABEL.to_owned(), MANAGED_BY.into());
    annotations.insert(CONTENT_ANNOTATION.to_owned(), content(union).into());
    annotations.insert(DERIVED_ANNOTATION.to_owned(), Value::from(&*clusterset::derived(key).name));
    json!({
        "apiVersion": "multicluster.x-k8s.io/v1beta1", "kind": "ServiceImport",
        "metadata": {
            "name": &*key.name, "namespace": &*key.namespace, "labels": labels, "annotations": annotations,
        },
        "spec": spec,
    })
}

/// The status that the import should have; `refused`: why its Service cannot be made.
pub fn status(
    union: &Union,
    plan: &Plan,
    import: &Import,
    refused: Option<&str>,
    now: Timestamp,
) -> ServiceImportStatus {
    let (status, reason, message) = match (refused, union.said.headless || !import.spec.ips.is_empty()) {
        (Some(why), _) if why.contains("ipFamil") || why.contains("not configured on this cluster") => {
            (FALSE, words::IP_FAMILY_NOT_SUPPORTED, why)
        }
        (Some(why), false) => (FALSE, words::PENDING, why),
        (_, true) => (TRUE, words::READY, "it can be called"),
        (None, false) => (FALSE, words::PENDING, "it has no address yet"),
    };
    let stands = import.status.conditions.iter().find(|stands| stands.type_ == words::READY && stands.status == status);
    let ready = Condition {
        type_: words::READY.to_owned(),
        status: status.to_owned(),
        reason: reason.to_owned(),
        message: message.to_owned(),
        observed_generation: None,
        last_transition_time: stands.map_or(Time(now), |stands| stands.last_transition_time.clone()),
    };
    let clusters = union.clusters.iter().map(|cluster| ClusterStatus { cluster: cluster.to_string() });
    ServiceImportStatus {
        clusters: clusters.collect(),
        conditions: vec![ready],
        endpoint_slice_objects: Some(if plan.has_endpoints { "Present" } else { "Absent" }.to_owned()),
    }
}

/// The derived Service, owned by the import of this uid. Of one that stands the families are kept, and so its addresses.
pub fn derived(key: &ServiceKey, union: &Union, stands: Option<&ServiceFacts>, uid: &str) -> Value {
    let said = &union.said;
    let families = match stands {
        Some(facts) => standing_families(facts),
        None => said.families.clone(),
    };
    let families: Vec<_> = families.iter().map(|family| family.as_str()).collect();
    let ports: Vec<_> = union
        .ports
        .iter()
        .map(|one| {
            let mut port = json!(port(one));
            port["name"] = Value::from(&*union.called(one));
            port["targetPort"] = one.number.into();
            port
        })
        .collect();
    let mut spec = json!({
        "type": "ClusterIP",
        "ports": ports,
        "ipFamilies": families,
        "ipFamilyPolicy": if families.len() > 1 { "PreferDualStack" } else { "SingleStack" },
        "sessionAffinity": if said.manner.affinity_s.is_some() { "ClientIP" } else { "None" },
        "internalTrafficPolicy": if said.manner.internal_local { "Local" } else { "Cluster" },
    });
    let more = [
        ("clusterIP", said.headless.then(|| "None".into())),
        ("sessionAffinityConfig", affinity(union).map(|config| json!(config))),
        ("trafficDistribution", said.manner.traffic.as_deref().map(Value::from)),
    ];
    for (name, value) in more {
        if let Some(value) = value {
            spec[name] = value;
        }
    }
    let derived = clusterset::derived(key);
    json!({
        "apiVersion": "v1", "kind": "Service",
        "metadata": {
            "name": &*derived.name, "namespace": &*derived.namespace,
            "labels": { SERVICE_NAME_LABEL: &*key.name, MANAGED_BY_LABEL: MANAGED_BY },
            "ownerReferences": [{
                "apiVersion": "multicluster.x-k8s.io/v1beta1", "kind": "ServiceImport", "name": &*key.name, "uid": uid,
            }],
        },
        "spec": spec,
    })
}

/// What has to be done to the derived Service that stands.
pub fn change(union: &Union, facts: &ServiceFacts) -> Change {
    let said = &union.said;
    if (facts.kind == ServiceKind::Headless) != said.headless {
        return Change::Replace;
    }
    let mut wanted: Vec<_> = union.ports.iter().map(|port| Port { name: union.called(port), ..port.clone() }).collect();
    wanted.sort_unstable();
    let manner = facts.manner.as_deref().cloned().unwrap_or_default();
    let same = (manner.affinity_s, manner.internal_local, &manner.traffic)
        == (said.manner.affinity_s, said.manner.internal_local, &said.manner.traffic);
    if same && *facts.ports == *wanted { Change::None } else { Change::Write }
}

/// Whether something of an object that was written is not in what stands: the API server knows no such field.
pub fn lacks(stands: &Value, wanted: &Value) -> bool {
    match wanted {
        Value::Object(wanted) => wanted.iter().any(|(name, wanted)| lacks(&stands[name.as_str()], wanted)),
        Value::Array(all) => all.iter().enumerate().any(|(at, wanted)| lacks(&stands[at], wanted)),
        Value::Null => false,
        Value::Bool(_) | Value::Number(_) | Value::String(_) => stands != wanted,
    }
}

fn standing_families(facts: &ServiceFacts) -> Vec<IpFamily> {
    let mut all = Vec::new();
    all.extend(facts.families.v4.then_some(IpFamily::V4));
    all.extend(facts.families.v6.then_some(IpFamily::V6));
    if facts.manner.as_deref().is_some_and(|manner| manner.v6_first) {
        all.reverse();
    }
    all
}

fn affinity(union: &Union) -> Option<SessionAffinityConfig> {
    let seconds = i32::try_from(union.said.manner.affinity_s?).ok();
    Some(SessionAffinityConfig { client_ip: Some(ClientIPConfig { timeout_seconds: seconds }) })
}

fn port(port: &Port) -> ImportPort {
    let protocol = match port.protocol {
        Protocol::Tcp => "TCP",
        Protocol::Udp => "UDP",
        Protocol::Sctp => "SCTP",
    };
    ImportPort {
        name: (!port.name.is_empty()).then(|| port.name.to_string()),
        protocol: protocol.to_owned(),
        app_protocol: port.app_protocol.as_deref().map(str::to_owned),
        port: port.number.into(),
    }
}
