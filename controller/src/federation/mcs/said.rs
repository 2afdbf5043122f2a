//! How an export wants to be called, beside its ports.

use std::collections::BTreeMap;

use rollcall_catalog::input::Manner;
use rollcall_catalog::input::ServiceKind;
use rollcall_catalog::model::Name;
use rollcall_catalog::service::Service;
use rollcall_xds::proto::rollcall::v1;

use crate::federation::exports::Tags;
use crate::kubernetes::syntax::{is_label_value, is_qualified_name};

/// What an export says of its Service.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Said {
    /// Its name stands for its endpoints.
    pub headless: bool,
    /// Of its addresses, in its order.
    pub families: Vec<IpFamily>,
    /// What is not as most have it.
    pub manner: Manner,
    /// What goes with it.
    pub tags: Tags,
}

/// `spec.ipFamilies`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[allow(missing_docs)]
pub enum IpFamily {
    V4,
    V6,
}

/// Labels, and annotations, of an export at most.
const TAGS_MAX: usize = 64;
/// Bytes of all annotations of an export at most: an object of the API may have 256 KiB.
const ANNOTATION_BYTES_MAX: usize = 64 * 1024;
/// Bytes of a word at most.
const WORD_MAX: usize = 63;
/// A day: the API server takes no more (core/v1 `ClientIPConfig`).
const AFFINITY_MAX_S: u32 = 86_400;

// === impl IpFamily ===

impl IpFamily {
    /// As the API spells it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::V4 => "IPv4",
            Self::V6 => "IPv6",
        }
    }

    /// By that word.
    pub fn of(word: &str) -> Option<Self> {
        [Self::V4, Self::V6].into_iter().find(|family| family.as_str() == word)
    }
}

// === impl Said ===

impl Said {
    /// What a service of this cluster says, exported with these.
    pub fn of(service: &Service, tags: &Tags) -> Self {
        let facts = service.facts.as_deref();
        let manner = facts.and_then(|facts| facts.manner.as_deref()).cloned().unwrap_or_default();
        let mut families = match facts.map(|facts| facts.families) {
            Some(families) => [(families.v4, IpFamily::V4), (families.v6, IpFamily::V6)].to_vec(),
            // Of machines alone: those that they have.
            None => {
                let has = |v4: bool| {
                    let mut ips = service.endpoints.iter().flat_map(|member| member.endpoint.addresses.iter());
                    ips.any(|ip| ip.is_ipv4() == v4)
                };
                [(has(true), IpFamily::V4), (has(false), IpFamily::V6)].to_vec()
            }
        };
        families.retain(|(has, _)| *has);
        let mut families: Vec<_> = families.into_iter().map(|(_, family)| family).collect();
        if manner.v6_first {
            families.reverse();
        }
        let headless = !matches!(facts.map(|facts| &facts.kind), Some(ServiceKind::ClusterIp(_)));
        Self { headless, families, manner, tags: tags.clone() }
    }

    /// Writes it into what other clusters are told.
    pub fn write(&self, message: &mut v1::ExportedService) {
        let pairs = |pairs: &BTreeMap<Name, Name>| {
            pairs.iter().map(|(key, value)| v1::KeyValue { key: key.to_string(), value: value.to_string() }).collect()
        };
        let number = |family: &IpFamily| match family {
            IpFamily::V4 => 4,
            IpFamily::V6 => 6,
        };
        message.families = self.families.iter().map(number).collect();
        message.affinity_s = self.manner.affinity_s.unwrap_or(0);
        message.internal_local = self.manner.internal_local;
        message.traffic_distribution = self.manner.traffic.as_deref().unwrap_or_default().to_owned();
        (message.labels, message.annotations) = (pairs(&self.tags.labels), pairs(&self.tags.annotations));
    }
}

/// What another cluster tells.
///
/// # Errors
/// What in it cannot be.
pub fn read(message: &v1::ExportedService) -> Result<Said, String> {
    if message.labels.len() > TAGS_MAX || message.annotations.len() > TAGS_MAX {
        return Err(format!("more than {TAGS_MAX} labels or annotations; export fewer"));
    }
    let bytes: usize = message.annotations.iter().map(|pair| pair.key.len() + pair.value.len()).sum();
    if bytes > ANNOTATION_BYTES_MAX {
        return Err(format!("annotations of {bytes} bytes; export {ANNOTATION_BYTES_MAX} at most"));
    }
    let mut families: Vec<_> = message.families.iter().filter_map(|number| family(*number)).collect();
    families.dedup();
    families.truncate(2);
    if families.is_empty() {
        // An earlier version, which did not say.
        families.push(IpFamily::V4);
    }
    let traffic = &message.traffic_distribution;
    if traffic.len() > WORD_MAX || !traffic.bytes().all(|byte| byte.is_ascii_alphanumeric()) {
        return Err("a trafficDistribution that is no word of the API".to_owned());
    }
    let manner = Manner {
        affinity_s: Some(message.affinity_s).filter(|seconds| *seconds > 0).map(|seconds| seconds.min(AFFINITY_MAX_S)),
        internal_local: message.internal_local,
        traffic: (!traffic.is_empty()).then(|| Name::from(&**traffic)),
        v6_first: families.first() == Some(&IpFamily::V6),
    };
    let tags = Tags { labels: labels(&message.labels)?, annotations: annotations(&message.annotations)? };
    Ok(Said { headless: message.headless, families, manner, tags })
}

fn family(number: u32) -> Option<IpFamily> {
    match number {
        4 => Some(IpFamily::V4),
        6 => Some(IpFamily::V6),
        _ => None,
    }
}

fn labels(pairs: &[v1::KeyValue]) -> Result<BTreeMap<Name, Name>, String> {
    let good = |pair: &v1::KeyValue| is_qualified_name(&pair.key) && is_label_value(&pair.value);
    match pairs.iter().find(|pair| !good(pair)) {
        Some(pair) => Err(format!("an exported label {:.80}: {:.80} that is none", pair.key, pair.value)),
        None => Ok(collect(pairs)),
    }
}

fn annotations(pairs: &[v1::KeyValue]) -> Result<BTreeMap<Name, Name>, String> {
    match pairs.iter().find(|pair| !is_qualified_name(&pair.key)) {
        Some(pair) => Err(format!("an exported annotation {:.80} that is none", pair.key)),
        None => Ok(collect(pairs)),
    }
}

fn collect(pairs: &[v1::KeyValue]) -> BTreeMap<Name, Name> {
    pairs.iter().map(|pair| (Name::from(&*pair.key), Name::from(&*pair.value))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pair(key: &str, value: &str) -> v1::KeyValue {
        v1::KeyValue { key: key.into(), value: value.into() }
    }

    #[test]
    fn what_is_said_comes_over_whole() {
        let tags = Tags {
            labels: BTreeMap::from([("team".into(), "pay".into())]),
            annotations: BTreeMap::from([("example.com/why".into(), "because of\nthat".into())]),
        };
        let manner =
            Manner { affinity_s: Some(60), internal_local: true, traffic: Some("PreferClose".into()), v6_first: true };
        let said = Said { headless: true, families: vec![IpFamily::V6, IpFamily::V4], manner, tags };
        let mut message = v1::ExportedService { headless: true, ..v1::ExportedService::default() };
        said.write(&mut message);
        assert_eq!(read(&message), Ok(said));
    }

    #[test]
    fn labels_and_annotations_that_the_api_would_refuse_are_refused_in_words() {
        for (labels, annotations, words) in [
            (vec![pair("a b", "c")], vec![], "label a b"),
            (vec![pair("a", "c d")], vec![], "label a: c d"),
            (vec![], vec![pair("Example.COM/x", "")], "annotation Example.COM/x"),
            (vec![], vec![pair("x", &"y".repeat(70_000))], "70001 bytes"),
        ] {
            let message = v1::ExportedService { labels, annotations, ..v1::ExportedService::default() };
            let said = read(&message).unwrap_err();
            assert!(said.contains(words), "{said}");
        }
        let many = vec![pair("a", "b"); 65];
        assert!(read(&v1::ExportedService { labels: many, ..v1::ExportedService::default() }).is_err());
    }
}
