//! Values that are refused, with the remedy.

use anyhow::{Result, ensure};

use super::rendered::{refusal, refusal_as};

/// Wrong values, and what the refusal must name.
const WRONG: &[(&str, &[&str])] = &[
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
    (
        "dns: {stubDomains: {corp.example: [dns.example]}}",
        &["stubDomains/corp.example/0", "'dns.example' does not match"],
    ),
    ("dns: {cache: {negativeTTL: -1}}", &["at '/dns/cache/negativeTTL'", "minimum"]),
    ("{dns: {vantage: true}, certificates: {source: 'off'}}", &["dns.vantage is for streams over TLS"]),
    ("dns: {snapshot: disk}", &["at '/dns/snapshot'", "'emptyDir', 'hostPath', 'none'"]),
    ("dns: {service: {clusterIP: None}}", &["at '/dns/service/clusterIP'", "'None' does not match"]),
    (
        "dns: {mode: nodeLocal, service: {clusterIP: 10.96.0.10}, autoscaling: {enabled: true}}",
        &["autoscaling.enabled does not fit"],
    ),
    ("dns: {service: {clusterIP: ten}}", &["at '/dns/service/clusterIP'", "'ten' does not match"]),
    ("dns: {forward: [dns.example.org]}", &["at '/dns/forward/0'", "does not match"]),
    ("dns: {forward: ['tls://dns.example.org']}", &["at '/dns/forward/0'", "does not match"]),
    ("dns: {topMetrics: 51}", &["at '/dns/topMetrics'", "maximum"]),
    ("dns: {allow: [everybody]}", &["at '/dns/allow/0'", "'everybody' does not match"]),
    ("dns: {answersPerSecond: 0}", &["at '/dns/answersPerSecond'", "minimum"]),
    ("dns: {registry: {domains: [a_b]}}", &["at '/dns/registry/domains/0'", "'a_b' does not match"]),
    ("dns: {registry: {namespace: ''}}", &["at '/dns/registry/namespace'"]),
    ("dns: {external: {domains: [a_b]}}", &["at '/dns/external/domains/0'", "'a_b' does not match"]),
    ("dns: {external: {service: dns}}", &["at '/dns/external/service'", "'dns' does not match"]),
    ("dns: {ttl: 86400}", &["at '/dns/ttl'", "maximum"]),
    (
        "certificates: {source: letsencrypt}",
        &["at '/certificates/source'", "'authority', 'certManager', 'secret', 'off'"],
    ),
    ("certificates: {source: secret}", &["certificates.secret.name is required with certificates.source secret"]),
    ("bootstrap: {namespaces: [Shop]}", &["at '/bootstrap/namespaces/0'", "'Shop' does not match"]),
    ("bootstrap: {namespaces: [shop], mountPath: etc}", &["at '/bootstrap/mountPath'", "'etc' does not match"]),
    ("bootstrap: {name: Boot}", &["at '/bootstrap/name'", "'Boot' does not match"]),
    ("watchNamespaces: [Shop]", &["at '/watchNamespaces/0'", "'Shop' does not match"]),
    ("{serviceMonitor: {enabled: true}, podMonitor: {enabled: true}}", &["exclude each other", "turn one off"]),
    ("logLevel: verbose", &["at '/logLevel'", "'verbose' does not match"]),
    ("logLevel: 'info,rollcall_dns=loud'", &["at '/logLevel'", "does not match"]),
    ("federation: {clusterProperty: both}", &["at '/federation/clusterProperty'", "'ignore', 'read', 'write'"]),
    ("federation: {clusterset: shops}", &["federation.clusterset needs federation.clusterProperty"]),
    ("clusterDomain: a..b", &["at '/clusterDomain'", "'a..b' does not match"]),
    ("fullnameOverride: 9x", &["at '/fullnameOverride'", "'9x' does not match"]),
    ("tracing: {otlpEndpoint: 'https://collector:4317'}", &["at '/tracing/otlpEndpoint'", "does not match"]),
    ("tracing: {otlpEndpoint: 'http://collector'}", &["at '/tracing/otlpEndpoint'", "does not match"]),
    (
        "certificates: {extraNames: ['https://foo']}",
        &["at '/certificates/extraNames/0'", "'https://foo' does not match"],
    ),
    (
        "certificates: {authority: {caLifetime: 1d}}",
        &["caLifetime 1d is too short for leafLifetime 7d", "at least five times as much"],
    ),
    ("certificates: {authority: {leafLifetime: 1s}}", &["leafLifetime 1s must be between 10s and 3650d"]),
    ("certificates: {authority: {caLifetime: 4000d}}", &["caLifetime 4000d", "must be between 10s and 3650d"]),
    (
        "{certificates: {source: off}, dns: {catalogs: ['https://other.example.org:18000']}}",
        &["nothing says whom the DNS servers trust", "in certificates.caBundle"],
    ),
    ("controller: {reservedCIDRs: [10.0.0.0/99]}", &["at '/controller/reservedCIDRs/0'", "does not match"]),
    ("controller: {reservedCIDRs: [10.0.300.0/24]}", &["at '/controller/reservedCIDRs/0'", "does not match"]),
    ("controller: {service: {clusterIP: None}}", &["at '/controller/service/clusterIP'", "'None' does not match"]),
    ("controller: {service: {grpcPort: 18080}}", &["grpcPort and httpPort are both 18080", "give one of them another"]),
    (
        "controller: {service: {clusterIPs: [10.96.0.9, 'fd00::9'], ipFamilyPolicy: RequireDualStack}}",
        &["the controller listens on IPv4 alone", "begin listenAddresses with"],
    ),
    (
        "controller: {terminationGracePeriodSeconds: 5}",
        &["terminationGracePeriodSeconds 5 is not above controller.lameDuckSeconds 5", "leave it out"],
    ),
    ("controller: {strategy: {type: Rolling}}", &["at '/controller/strategy/type'", "'RollingUpdate', 'Recreate'"]),
    (
        "controller: {strategy: {type: OnDelete}}",
        &["controller.strategy.type OnDelete", "use RollingUpdate or Recreate"],
    ),
    ("dns: {strategy: {type: OnDelete}}", &["dns.strategy.type OnDelete", "use RollingUpdate or Recreate"]),
    (
        "dns: {mode: nodeLocal, service: {clusterIP: 10.96.0.10}, strategy: {type: Recreate}}",
        &["dns.strategy.type Recreate", "use RollingUpdate or OnDelete"],
    ),
    (
        "dns: {terminationGracePeriodSeconds: 1}",
        &["terminationGracePeriodSeconds 1 is not above dns.lameDuckSeconds 10"],
    ),
    ("dns: {listenPort: 9153}", &["dns.listenPort 9153 is the pods' port of metrics", "such as 1053"]),
    ("dns: {service: {httpPort: 53}}", &["dns.service.port and httpPort are both 53", "give one of them another"]),
    (
        "dns: {service: {clusterIP: 10.96.0.11, clusterIPs: [10.96.0.10]}}",
        &["clusterIP 10.96.0.11 is not the first of dns.service.clusterIPs", "leave it out"],
    ),
    (
        "dns: {service: {clusterIPs: [10.96.0.10, 'fd00::a']}}",
        &["dns.service.clusterIPs has two addresses", "ipFamilyPolicy to PreferDualStack or RequireDualStack"],
    ),
    (
        "dns: {service: {clusterIPs: [10.96.0.10, 'fd00::a'], ipFamilyPolicy: RequireDualStack}}",
        &["listenAddresses one family", "set listenAddresses to [\"[::]\", \"0.0.0.0\"]"],
    ),
    (
        "{watchNamespaces: [shop], dns: {mode: clusterDNS, service: {clusterIP: 10.96.0.10}}}",
        &["watchNamespaces do not fit dns.mode clusterDNS", "use dns.mode stubDomain"],
    ),
    (
        "{watchNamespaces: [shop], dns: {mode: nodeLocal, service: {clusterIP: 10.96.0.10}}}",
        &["watchNamespaces do not fit dns.mode nodeLocal", "use dns.mode stubDomain"],
    ),
    (
        "dns: {mode: clusterDNS, service: {clusterIP: 10.96.0.10}, dnsPolicy: ClusterFirst}",
        &["dns.dnsPolicy ClusterFirst does not fit", "use Default"],
    ),
    ("dns: {forward: ['10.0.0.1:99999']}", &["at '/dns/forward/0'", "'10.0.0.1:99999' does not match"]),
    ("dns: {catalogs: ['https://other.example.org']}", &["at '/dns/catalogs/0'", "does not match"]),
    (
        "{resourceQuotas: {enabled: true}, controller: {priorityClassName: ''}, dns: {priorityClassName: ''}}",
        &["resourceQuotas.enabled has nothing to admit", "set it to false"],
    ),
    (
        "prometheusRule: {enabled: true, disabled: [RollcallDnsFails]}",
        &["RollcallDnsFails, which is no alert", "RollcallDnsFailing"],
    ),
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

#[test]
fn a_release_whose_services_could_not_be_named_is_told_what_to_set() -> Result<()> {
    for (release, prefix) in [("9x", "9x-rollcall"), ("my.release", "my.release-rollcall")] {
        let said = refusal_as(release, "")?;
        ensure!(said.contains(prefix) && said.contains("set fullnameOverride"), "{release}: {said}");
        let said = refusal_as(release, "fullnameOverride: catalog").err().map(|error| error.to_string());
        ensure!(said.is_some_and(|said| said.contains("are taken")), "{release} is refused whatever the name");
    }
    Ok(())
}
