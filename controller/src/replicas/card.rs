//! What the Lease of a replica says of it.

use std::collections::BTreeMap;
use std::net::SocketAddr;

use jiff::Timestamp;
use k8s_openapi::api::coordination::v1::{Lease, LeaseSpec};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{MicroTime, ObjectMeta};
use rollcall_catalog::model::Name;
use rollcall_xds::tls::Fingerprint;

/// What a replica tells its peers of itself, so that they find it and know it again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Card {
    /// Its identity.
    pub identity: Name,
    /// Where its stream is; `None` when nobody can reach it.
    pub address: Option<SocketAddr>,
    /// The certificates that it shows there; empty without TLS.
    pub certificates: Vec<Fingerprint>,
    /// The hash of its token.
    pub token: Fingerprint,
}

/// The label of the Leases of replicas, and its value.
pub const LABEL: (&str, &str) = ("rollcall.dev/lease", "replica");
/// What their names begin with.
const PREFIX: &str = "rollcall-replica-";
const ADDRESS: &str = "rollcall.dev/stream-address";
const CERTIFICATES: &str = "rollcall.dev/stream-certificates-sha256";
const TOKEN: &str = "rollcall.dev/token-sha256";
/// For people, and for who reads Leases by their own words: judged is when it was seen to change.
const LEASE_SECONDS: i32 = 3;

// === impl Card ===

impl Card {
    /// The name of its Lease: its identity as far as that may be the name of an object, and else with a hash of it.
    pub fn lease_name(&self) -> String {
        lease_name(&self.identity)
    }

    /// Its Lease, renewed at `now`. `before` is what stands there.
    pub fn lease(&self, before: Option<&Lease>, now: Timestamp) -> Lease {
        let annotations = [
            (ADDRESS, self.address.map(|address| address.to_string()).unwrap_or_default()),
            (CERTIFICATES, self.certificates.iter().map(ToString::to_string).collect::<Vec<_>>().join(",")),
            (TOKEN, self.token.to_string()),
        ];
        let own = ObjectMeta {
            name: Some(self.lease_name()),
            labels: Some(BTreeMap::from([(LABEL.0.to_owned(), LABEL.1.to_owned())])),
            annotations: Some(annotations.map(|(key, value)| (key.to_owned(), value)).into()),
            resource_version: before.and_then(|before| before.metadata.resource_version.clone()),
            ..ObjectMeta::default()
        };
        let acquired = before.and_then(|before| before.spec.as_ref()?.acquire_time.clone());
        let spec = LeaseSpec {
            holder_identity: Some(self.identity.to_string()),
            lease_duration_seconds: Some(LEASE_SECONDS),
            acquire_time: acquired.or(Some(MicroTime(now))),
            renew_time: Some(MicroTime(now)),
            ..LeaseSpec::default()
        };
        Lease { metadata: own, spec: Some(spec) }
    }

    /// Reads a Lease. `None` of one that no replica wrote.
    pub fn read(lease: &Lease) -> Option<Self> {
        let identity = Name::from(lease.spec.as_ref()?.holder_identity.as_deref()?);
        let annotations = lease.metadata.annotations.as_ref()?;
        let said = |key: &str| annotations.get(key).map_or("", String::as_str);
        let named = lease.metadata.name.as_deref() == Some(&*lease_name(&identity));
        named.then_some(Self {
            address: said(ADDRESS).parse().ok(),
            certificates: said(CERTIFICATES).split(',').filter_map(Fingerprint::parse).collect(),
            token: Fingerprint::parse(said(TOKEN))?,
            identity,
        })
    }

    /// The URI of its stream.
    pub fn uri(&self) -> Option<String> {
        let scheme = if self.certificates.is_empty() { "http" } else { "https" };
        self.address.map(|address| format!("{scheme}://{address}"))
    }
}

fn lease_name(identity: &str) -> String {
    let allowed = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    let plain = identity.bytes().all(allowed) && (1..=200).contains(&identity.len()) && !identity.ends_with('-');
    if plain {
        return format!("{PREFIX}{identity}");
    }
    let hash = Fingerprint::of(identity.as_bytes()).to_string();
    let letters: String = identity
        .to_ascii_lowercase()
        .chars()
        .filter(|letter| allowed(u8::try_from(*letter).unwrap_or(0)))
        .take(150)
        .collect();
    format!("{PREFIX}{letters}-{}", &hash[..16])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn card(identity: &str, certificates: &[&[u8]]) -> Card {
        Card {
            identity: identity.into(),
            address: "[2001:db8::1]:18000".parse().ok(),
            certificates: certificates.iter().map(|bytes| Fingerprint::of(bytes)).collect(),
            token: Fingerprint::of(b"token"),
        }
    }

    #[test]
    fn a_card_is_read_as_it_was_written_and_keeps_since_when() {
        let card = card("rollcall-7d9f-x2", &[b"one", b"two"]);
        let first = card.lease(None, Timestamp::UNIX_EPOCH);
        assert_eq!(first.metadata.name.as_deref(), Some("rollcall-replica-rollcall-7d9f-x2"));
        assert_eq!(Card::read(&first), Some(card.clone()));
        let second = card.lease(Some(&first), Timestamp::MAX);
        let times = second.spec.map(|spec| (spec.acquire_time, spec.renew_time)).expect("a spec");
        assert_eq!(times, (Some(MicroTime(Timestamp::UNIX_EPOCH)), Some(MicroTime(Timestamp::MAX))));
        assert_eq!(card.uri().as_deref(), Some("https://[2001:db8::1]:18000"));
    }

    #[test]
    fn any_identity_has_a_name_of_its_own_that_objects_may_bear() {
        let names =
            ["Host_A-17", "host_a-17", "", "a-", &"x".repeat(300)].map(|identity| card(identity, &[]).lease_name());
        for name in &names {
            assert!(
                name.len() <= 253
                    && name.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-')
            );
            assert!(!name.ends_with('-'), "{name}");
        }
        assert_eq!(names.iter().collect::<std::collections::BTreeSet<_>>().len(), names.len());
    }

    #[test]
    fn what_no_replica_wrote_is_none() {
        let mut other = card("a", &[]).lease(None, Timestamp::UNIX_EPOCH);
        other.metadata.name = Some("rollcall-replica-b".into());
        assert_eq!((Card::read(&other), Card::read(&Lease::default())), (None, None));
    }
}
