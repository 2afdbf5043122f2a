//! Which questions other servers are asked, when there are any.
//!
//! Never those for names of the cluster, whatever the catalog says about them: another server could only deny them.

use hickory_proto::op::Query as Question;
use hickory_proto::rr::{Name, Record, RecordType};

use crate::zone::Lookup;
use crate::zone::reading::cluster;

/// Types that are about the two servers that talk, not about a name (RFC 6895 §3.1): OPT, TKEY, TSIG, IXFR, AXFR.
const META_TYPES: [u16; 5] = [41, 249, 250, 251, 252];

/// The name to ask elsewhere, and the chain of CNAMEs that led there; `None` when the question stays here.
pub(super) fn of(question: &Question, found: &Lookup) -> Option<(Name, Vec<Record>)> {
    let (name, chain) = match found {
        Lookup::NotReady | Lookup::OutOfZone => (question.name(), &[][..]),
        Lookup::Found(found) => {
            let elsewhere = found.elsewhere.as_ref()?;
            (&elsewhere.name, found.answers.get(..elsewhere.chain)?)
        }
    };
    let ours = *found == Lookup::NotReady && may_be_ours(name);
    let rtype = question.query_type();
    let stays = ours || is_short_host(name, rtype) || META_TYPES.contains(&rtype.into());
    (!stays).then(|| (name.clone(), chain.to_vec()))
}

/// Whether addresses are asked of a single label: a host's name without its domain, or a top-level domain, and neither is
/// anybody's outside. Other types are asked there, since validators behind this server need those of DNSSEC.
pub(super) fn is_short_host(name: &Name, rtype: RecordType) -> bool {
    // `Name::num_labels` leaves out a first label `*`.
    name.iter().len() == 1 && matches!(rtype, RecordType::A | RecordType::AAAA)
}

/// Whether a name may turn out to be the cluster's. Its domain comes with the catalog, so until then the names that a
/// cluster of any domain has count as its own: with a label `svc`, below the usual domain, and all reverse ones.
fn may_be_ours(name: &Name) -> bool {
    let labels: Vec<_> = name.iter().map(<[u8]>::to_ascii_lowercase).collect();
    let ends = |end: &[&str]| {
        labels.iter().rev().zip(end.iter().rev()).filter(|(a, b)| *a == b.as_bytes()).count() == end.len()
    };
    labels.iter().any(|label| label == cluster::SERVICES)
        || ends(&["cluster", "local"])
        || ends(&["in-addr", "arpa"])
        || ends(&["ip6", "arpa"])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::zone::{Elsewhere, Found};

    fn asked(name: &str, rtype: RecordType, found: &Lookup) -> Option<String> {
        let question = Question::query(Name::from_ascii(name).unwrap(), rtype);
        of(&question, found).map(|(name, _)| name.to_ascii())
    }

    #[test]
    fn until_the_catalog_was_seen_what_may_be_the_clusters_stays_here() {
        for ours in [
            "web.shop.svc.cluster.local.",
            "dns-version.cluster.LOCAL.",
            "db.shop.SVC.k8s.example.",
            "1.0.0.10.in-addr.arpa.",
            "1.ip6.arpa.",
        ] {
            assert_eq!(asked(ours, RecordType::A, &Lookup::NotReady), None, "{ours}");
            assert_eq!(asked(ours, RecordType::A, &Lookup::OutOfZone).as_deref(), Some(ours));
        }
        for others in ["www.example.com.", "*.com."] {
            assert_eq!(asked(others, RecordType::A, &Lookup::NotReady).as_deref(), Some(others));
        }
    }

    #[test]
    fn addresses_of_single_labels_and_types_between_servers_are_asked_nowhere() {
        for (name, rtype) in [("com.", RecordType::A), ("web.", RecordType::AAAA), ("*.", RecordType::A)] {
            assert_eq!(asked(name, rtype, &Lookup::OutOfZone), None, "{name}");
            assert_eq!(asked(name, rtype, &Lookup::NotReady), None, "{name}");
        }
        for rtype in [RecordType::OPT, RecordType::TSIG, RecordType::AXFR, RecordType::Unknown(249)] {
            assert_eq!(asked("www.example.com.", rtype, &Lookup::OutOfZone), None, "{rtype}");
        }
    }

    #[test]
    fn what_validators_ask_of_the_root_and_of_top_level_domains_leaves() {
        for (name, rtype) in [
            (".", RecordType::DNSKEY),
            (".", RecordType::NS),
            (".", RecordType::A),
            ("com.", RecordType::DS),
            ("com.", RecordType::DNSKEY),
            ("com.", RecordType::SOA),
        ] {
            for found in [Lookup::OutOfZone, Lookup::NotReady] {
                assert_eq!(asked(name, rtype, &found).as_deref(), Some(name), "{rtype}");
            }
        }
    }

    #[test]
    fn what_the_catalog_answers_is_asked_nowhere_and_the_end_of_a_chain_is() {
        assert_eq!(asked("web.shop.svc.cluster.local.", RecordType::A, &Lookup::Found(Found::default())), None);
        let name = Name::from_ascii("api.example.com.").unwrap();
        let found = Found { elsewhere: Some(Elsewhere { name, chain: 0 }), ..Found::default() };
        let asked = asked("away.shop.svc.cluster.local.", RecordType::A, &Lookup::Found(found));
        assert_eq!(asked.as_deref(), Some("api.example.com."));
    }
}
