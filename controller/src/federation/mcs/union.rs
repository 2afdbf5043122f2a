//! What several clusters export under one name becomes one service (KEP-1645, "Constraints and Conflict Resolution").
//!
//! A pure function of the set of exports: neither the order in which they came nor the clock of this cluster matters. The oldest
//! export wins, by the time of its own API server in seconds; between two of one second the cluster whose name comes first. Ports
//! are united, all else is the winner's.

use std::collections::{BTreeMap, BTreeSet};

use rollcall_catalog::model::{Endpoint, Name, Port, Ports, Protocol};

use super::said::{IpFamily, Said};

/// What one cluster exports.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Export {
    /// The cluster's id.
    pub cluster: Name,
    /// Since when, in seconds since the epoch, by that cluster's clock.
    pub created: i64,
    /// The ports of its Service.
    pub ports: Ports,
    /// How it wants to be called.
    pub said: Said,
}

/// The service that they are together.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Union {
    /// How it is called.
    pub said: Said,
    /// The winner's ports first, then what others have beside them.
    pub ports: Vec<Port>,
    /// Who exports it, by name.
    pub clusters: BTreeSet<Name>,
    /// What they do not agree about, and who does not with whom.
    pub conflicts: BTreeMap<Conflict, String>,
}

/// What clusters may not agree about, with the words of mcs-api v1beta1.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[allow(missing_docs)]
pub enum Conflict {
    Port,
    Type,
    SessionAffinity,
    SessionAffinityConfig,
    Labels,
    Annotations,
    InternalTrafficPolicy,
    TrafficDistribution,
    IpFamily,
}

/// Clusters named in one sentence at most.
const NAMED_MAX: usize = 4;

// === impl Conflict ===

impl Conflict {
    /// The reason in the condition.
    pub fn reason(self) -> &'static str {
        match self {
            Self::Port => "PortConflict",
            Self::Type => "TypeConflict",
            Self::SessionAffinity => "SessionAffinityConflict",
            Self::SessionAffinityConfig => "SessionAffinityConfigConflict",
            Self::Labels => "LabelsConflict",
            Self::Annotations => "AnnotationsConflict",
            Self::InternalTrafficPolicy => "InternalTrafficPolicyConflict",
            Self::TrafficDistribution => "TrafficDistributionConflict",
            Self::IpFamily => "IPFamilyConflict",
        }
    }
}

/// The service that these exports are together, one of each cluster; `None` when there is none.
pub fn union(exports: &[Export]) -> Option<Union> {
    let mut exports: Vec<&Export> = exports.iter().collect();
    exports.sort_by(|a, b| (a.created, &a.cluster).cmp(&(b.created, &b.cluster)));
    exports.dedup();
    let winner = *exports.first()?;
    let mut conflicts = BTreeMap::new();
    let ports = ports(&exports, &mut conflicts);
    let mut said = winner.said.clone();
    said.families = families(&exports, &mut conflicts);
    for (conflict, what, differs) in MANNERS {
        let others: Vec<_> = exports.iter().filter(|other| differs(&winner.said, &other.said)).collect();
        if !others.is_empty() {
            conflicts.insert(conflict, format!("{what} of {} differs", named(others.iter().map(|one| &one.cluster))));
        }
    }
    let oldest = format!("; the oldest export, of cluster {}, decides", winner.cluster);
    conflicts.values_mut().for_each(|words| words.push_str(&oldest));
    if let Some(words) = missing(&exports, &ports) {
        conflicts.entry(Conflict::Port).or_insert(words);
    }
    Some(Union { said, ports, clusters: exports.iter().map(|one| Name::clone(&one.cluster)).collect(), conflicts })
}

/// What the winner decides alone, how it is called, and whether two differ in it.
type Differs = fn(&Said, &Said) -> bool;
const MANNERS: [(Conflict, &str, Differs); 7] = [
    (Conflict::Type, "the type (headless or not)", |a, b| a.headless != b.headless),
    (Conflict::SessionAffinity, "sessionAffinity", |a, b| {
        a.manner.affinity_s.is_some() != b.manner.affinity_s.is_some()
    }),
    (
        Conflict::SessionAffinityConfig,
        "sessionAffinityConfig",
        |a, b| matches!((a.manner.affinity_s, b.manner.affinity_s), (Some(a), Some(b)) if a != b),
    ),
    (Conflict::Labels, "the set of exportedLabels", |a, b| a.tags.labels != b.tags.labels),
    (Conflict::Annotations, "the set of exportedAnnotations", |a, b| a.tags.annotations != b.tags.annotations),
    (Conflict::InternalTrafficPolicy, "internalTrafficPolicy", |a, b| {
        a.manner.internal_local != b.manner.internal_local
    }),
    (Conflict::TrafficDistribution, "trafficDistribution", |a, b| a.manner.traffic != b.manner.traffic),
];

// === impl Union ===

impl Union {
    /// An endpoint of a cluster that exports these ports, with those of its ports that the service has; `None` when it has none
    /// of them. A port about which that cluster does not agree with an older export leads nowhere in it.
    pub fn fit(&self, ports: &[Port], endpoint: &Endpoint) -> Option<Ports> {
        let (its, all) = (&endpoint.ports, ports.is_empty() && self.ports.is_empty());
        let kept = |port: &&Port| all || self.takes(ports, port);
        let count = its.iter().filter(kept).count();
        let renamed = self.ports.len() > 1 && its.iter().any(|port| port.name.is_empty());
        if count == its.len() && !renamed {
            return Some(Ports::clone(its));
        }
        let unnamed = self.ports.iter().find(|port| port.name.is_empty()).filter(|_| renamed);
        let name = |port: &Port| match unnamed.filter(|_| port.name.is_empty()) {
            Some(unnamed) => Port { name: self.called(unnamed), ..port.clone() },
            None => port.clone(),
        };
        (count > 0).then(|| its.iter().filter(kept).map(name).collect())
    }

    /// What one of its ports is called in the derived Service: beside others none may be without a name.
    pub fn called(&self, port: &Port) -> Name {
        if !port.name.is_empty() || self.ports.len() < 2 {
            return Name::clone(&port.name);
        }
        let mut name = format!("port-{}", port.number);
        while self.ports.iter().any(|other| *other.name == *name) {
            name.push_str("-x");
        }
        name.into()
    }

    /// Whether a port of an endpoint is one of the service's: by its name that of a port that both have alike.
    fn takes(&self, ports: &[Port], of_endpoint: &Port) -> bool {
        let same = |a: &Port, b: &Port| (&a.name, a.protocol, a.number) == (&b.name, b.protocol, b.number);
        let by_name = |port: &&Port| port.name == of_endpoint.name && port.protocol == of_endpoint.protocol;
        ports.iter().filter(by_name).any(|port| self.ports.iter().any(|own| same(own, port)))
    }
}

/// All ports, the older export's first; what would make two of one name, or two of one number and protocol, is left out.
fn ports(exports: &[&Export], conflicts: &mut BTreeMap<Conflict, String>) -> Vec<Port> {
    let mut all: Vec<(&Name, Port)> = Vec::new();
    let mut disputed: Vec<String> = Vec::new();
    for export in exports {
        for port in export.ports.iter() {
            let rival = all
                .iter()
                .find(|(_, own)| own.name == port.name || (own.protocol, own.number) == (port.protocol, port.number));
            match rival {
                None => all.push((&export.cluster, port.clone())),
                Some((_, own)) if own == port => {}
                Some((cluster, own)) => {
                    if disputed.len() < NAMED_MAX {
                        disputed.push(format!(
                            "port {} of {} and {} of {cluster}",
                            words(port),
                            export.cluster,
                            words(own)
                        ));
                    }
                }
            }
        }
    }
    if !disputed.is_empty() {
        conflicts.insert(Conflict::Port, format!("{} exclude each other", disputed.join(", and ")));
    }
    all.into_iter().map(|(_, port)| port).collect()
}

/// Ports that some have and others have not: nobody loses one, but whoever calls such a port reaches some of the clusters only.
fn missing(exports: &[&Export], ports: &[Port]) -> Option<String> {
    let lack = |port: &Port| {
        let lacking = exports.iter().filter(|export| !export.ports.contains(port)).map(|export| &export.cluster);
        let lacking = named(lacking);
        (!lacking.is_empty()).then(|| format!("{lacking} has no port {}", words(port)))
    };
    let lacks: Vec<_> = ports.iter().filter_map(lack).take(NAMED_MAX).collect();
    (!lacks.is_empty()).then(|| format!("{}; the service has the ports of all", lacks.join(", and ")))
}

fn words(port: &Port) -> String {
    let protocol = match port.protocol {
        Protocol::Tcp => "TCP",
        Protocol::Udp => "UDP",
        Protocol::Sctp => "SCTP",
    };
    match port.app_protocol.as_deref() {
        Some(app) => format!("{:?} ({}/{protocol}, {app})", &*port.name, port.number),
        None => format!("{:?} ({}/{protocol})", &*port.name, port.number),
    }
}

/// Those that all clusters have, as the winner orders them; where they have none in common, the winner's, and some cannot be reached.
fn families(exports: &[&Export], conflicts: &mut BTreeMap<Conflict, String>) -> Vec<IpFamily> {
    let Some((winner, others)) = exports.split_first() else { return Vec::new() };
    let own = &winner.said.families;
    let common = |family: &&IpFamily| others.iter().all(|other| other.said.families.contains(family));
    let kept: Vec<_> = own.iter().filter(common).copied().collect();
    if !kept.is_empty() || own.is_empty() {
        return kept;
    }
    let apart = others.iter().filter(|other| !other.said.families.iter().any(|family| own.contains(family)));
    let apart = named(apart.map(|other| &other.cluster));
    conflicts.insert(Conflict::IpFamily, format!("{apart} and {} have no address family in common", winner.cluster));
    own.clone()
}

fn named<'a>(clusters: impl Iterator<Item = &'a Name>) -> String {
    let all: Vec<&str> = clusters.map(|name| &**name).collect();
    match all.len().checked_sub(NAMED_MAX) {
        Some(more @ 1..) => format!("{} and {more} others", all[..NAMED_MAX].join(", ")),
        _ => all.join(", "),
    }
}

#[cfg(test)]
mod tests;
