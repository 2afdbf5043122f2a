use anyhow::{Result, ensure};

use super::rendered::refusal;

/// Wrong values, and what the refusal must name.
const WRONG: [(&str, &[&str]); 22] = [
    ("controler: {replicaCount: 2}", &["additional properties 'controler' not allowed"]),
    ("controller: {replicas: 2}", &["at '/controller'", "'replicas' not allowed"]),
    ("controller: {replicaCount: 0}", &["at '/controller/replicaCount'", "minimum"]),
    ("controller: {replicaCount: '2'}", &["at '/controller/replicaCount'", "got string, want integer"]),
    ("controller: {resources: {limit: {memory: 1Gi}}}", &["at '/controller/resources'", "'limit' not allowed"]),
    ("controller: {reservedCIDRs: [10.0.0.0]}", &["at '/controller/reservedCIDRs/0'", "'10.0.0.0' does not match"]),
    ("controller: {image: {digest: 'md5:0'}}", &["at '/controller/image/digest'", "does not match"]),
    ("controller: {image: {pullPolicy: Sometimes}}", &["at '/controller/image/pullPolicy'", "'IfNotPresent'"]),
    ("controller: {extraEnv: [{name: A, valeu: b}]}", &["at '/controller/extraEnv/0'", "'valeu' not allowed"]),
    (
        "controller: {podDisruptionBudget: {maxUnavailable: half}}",
        &["podDisruptionBudget/maxUnavailable", "does not match"],
    ),
    ("dns: {mode: clusterDns}", &["at '/dns/mode'", "'stubDomain', 'clusterDNS', 'nodeLocal'"]),
    ("dns: {mode: clusterDNS}", &["dns.service.clusterIP is required with dns.mode clusterDNS", "10.96.0.10"]),
    ("dns: {mode: nodeLocal}", &["dns.service.clusterIP is required with dns.mode nodeLocal"]),
    ("dns: {mode: clusterDNS, service: {clusterIP: None}}", &["dns.service.clusterIP None does not fit"]),
    (
        "dns: {mode: nodeLocal, service: {clusterIP: 10.96.0.10}, autoscaling: {enabled: true}}",
        &["autoscaling.enabled does not fit"],
    ),
    ("dns: {service: {clusterIP: ten}}", &["at '/dns/service/clusterIP'", "'ten' does not match"]),
    ("dns: {forward: [dns.example.org]}", &["at '/dns/forward/0'", "does not match"]),
    ("dns: {ttl: 86400}", &["at '/dns/ttl'", "maximum"]),
    (
        "certificates: {source: letsencrypt}",
        &["at '/certificates/source'", "'authority', 'certManager', 'secret', 'off'"],
    ),
    ("certificates: {source: secret}", &["certificates.secret.name is required with certificates.source secret"]),
    ("watchNamespaces: [Shop]", &["at '/watchNamespaces/0'", "'Shop' does not match"]),
    ("{serviceMonitor: {enabled: true}, podMonitor: {enabled: true}}", &["exclude each other", "turn one off"]),
];

#[test]
fn wrong_values_are_refused_by_name() -> Result<()> {
    for (values, expected) in WRONG {
        let said = refusal(values)?;
        let missing = expected.iter().find(|part| !said.contains(**part));
        ensure!(missing.is_none(), "{values}: {missing:?} is not in: {said}");
    }
    Ok(())
}
