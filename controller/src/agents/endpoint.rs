//! An endpoint as agents say it, packed: a replica knows ten thousand, and looks into one only when its object is written.

use std::sync::Arc;

use rollcall_crds::EndpointSpec;

/// An [`EndpointSpec`] as its JSON, of which equal ones have the same. Clones share it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Endpoint(Arc<str>);

// === impl Endpoint ===

impl Endpoint {
    /// Packs it.
    pub fn pack(spec: &EndpointSpec) -> Self {
        // Texts, numbers, lists and maps whose keys are texts: its JSON is always there.
        Self(serde_json::to_string(spec).unwrap_or_default().into())
    }

    /// What was packed.
    pub fn unpack(&self) -> EndpointSpec {
        serde_json::from_str(&self.0).expect("JSON that was made of an endpoint is read as one")
    }

    /// Whether both are one in memory.
    #[cfg(test)]
    pub(super) fn is_shared_with(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use rollcall_crds::{Maintenance, PortOverride};

    use super::*;

    #[test]
    fn what_was_packed_comes_out_again() {
        let texts = |words: &[&str]| words.iter().map(|word| (*word).to_owned()).collect::<Vec<_>>();
        let full = EndpointSpec {
            name: "vm-17".into(),
            addresses: texts(&["192.0.2.17", "2001:db8::17"]),
            host: Some("db.example.net".into()),
            ports: vec![PortOverride { name: "http".into(), port: 8080 }],
            hostname: Some("db-1".into()),
            zone: Some("eu-1a".into()),
            machine: Some("vm-17".into()),
            weight: 7,
            tags: texts(&["canary"]),
            metadata: BTreeMap::from([("version".into(), "1 \"two\"\n\u{1F600}".into())]),
            maintenance: Some(Maintenance { reason: "a new disk".into() }),
        };
        let bare = EndpointSpec { name: "a".into(), ..EndpointSpec::default() };
        for spec in [full, bare] {
            let packed = Endpoint::pack(&spec);
            assert_eq!((packed.unpack(), Endpoint::pack(&packed.unpack())), (spec, packed));
        }
    }
}
