//! Which questions a name stands for.

use std::fmt;
use std::net::IpAddr;

use hickory_proto::rr::{Name, RecordType};

/// What must resolve.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Wanted {
    /// As given.
    text: String,
    /// The whole names that it may stand for, in the order to be asked.
    pub candidates: Vec<Name>,
    /// One of them must have data.
    pub rtypes: &'static [RecordType],
    /// It is completed before it is asked as it is.
    pub is_short: bool,
}

/// With that many dots a name is whole, most likely: asked as it is first.
const DOTS_OF_WHOLE_NAMES: usize = 3;

// === impl Wanted ===

impl Wanted {
    /// By its form: `_PORT._PROTOCOL.…` is a port, an address is asked for its names, all else has addresses. `None`: it
    /// is no name.
    pub fn new(text: &str, search: &[String]) -> Option<Self> {
        let is_short = !text.ends_with('.') && text.matches('.').count() < DOTS_OF_WHOLE_NAMES;
        let wanted = |candidates, rtypes| Some(Self { text: text.to_owned(), candidates, rtypes, is_short });
        if let Ok(address) = text.parse::<IpAddr>() {
            return wanted(vec![Name::from(address)], &[RecordType::PTR]);
        }
        let rtypes: &[_] = if text.starts_with('_') { &[RecordType::SRV] } else { &[RecordType::A, RecordType::AAAA] };
        let whole = whole_name(text)?;
        if text.ends_with('.') {
            return wanted(vec![whole], rtypes);
        }
        let usual = ["cluster.local".to_owned()];
        let search = if search.is_empty() { &usual } else { search };
        let mut candidates: Vec<_> =
            search.iter().filter_map(|domain| whole_name(&format!("{text}.{domain}"))).collect();
        candidates.insert(if is_short { candidates.len() } else { 0 }, whole);
        wanted(candidates, rtypes)
    }
}

impl fmt::Display for Wanted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.text.fmt(f)
    }
}

fn whole_name(text: &str) -> Option<Name> {
    let mut name = Name::from_ascii(text).ok().filter(|name| name.num_labels() > 0)?;
    name.set_fqdn(true);
    Some(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wanted(text: &str, search: &[&str]) -> (Vec<String>, Vec<String>) {
        let search: Vec<_> = search.iter().map(|domain| (*domain).to_owned()).collect();
        let wanted = Wanted::new(text, &search).unwrap();
        let names = wanted.candidates.iter().map(ToString::to_string).collect();
        (names, wanted.rtypes.iter().map(ToString::to_string).collect())
    }

    #[test]
    fn a_short_name_is_completed_first_and_a_long_one_last() {
        let search = ["shop.svc.cluster.local", "cluster.local"];
        let (names, types) = wanted("kubernetes.default.svc", &search);
        assert_eq!(
            names,
            [
                "kubernetes.default.svc.shop.svc.cluster.local.",
                "kubernetes.default.svc.cluster.local.",
                "kubernetes.default.svc."
            ]
        );
        assert_eq!(types, ["A", "AAAA"]);
        assert_eq!(wanted("kubernetes.default.svc", &[]).0[0], "kubernetes.default.svc.cluster.local.");
        assert_eq!(wanted("web.shop.svc.cluster.local", &search).0[0], "web.shop.svc.cluster.local.");
        assert_eq!(wanted("www.example.com.", &search).0, ["www.example.com."]);
    }

    #[test]
    fn ports_and_addresses_are_known_by_their_form() {
        assert_eq!(wanted("_https._tcp.kubernetes.default.svc.cluster.local", &[]).1, ["SRV"]);
        let (names, types) = wanted("10.96.0.1", &[]);
        assert_eq!((names, types), (vec!["1.0.96.10.in-addr.arpa.".to_owned()], vec!["PTR".to_owned()]));
        assert!(wanted("fd00::1", &[]).0[0].ends_with(".ip6.arpa."));
        for bad in ["", ".", "a..b", &"x".repeat(64)] {
            assert_eq!(Wanted::new(bad, &[]), None, "{bad}");
        }
    }
}
