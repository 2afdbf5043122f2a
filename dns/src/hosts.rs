//! Names of a hosts file (hosts(5)), which are answered beside those of the catalog.
//!
//! - [`keep`]: reads the file again when it changes

pub mod keep;

use std::collections::HashMap;
use std::fmt;
use std::net::IpAddr;
use std::sync::Arc;

use arc_swap::ArcSwap;
use hickory_proto::rr::rdata::{HINFO, PTR};
use hickory_proto::rr::{Name, RData, RecordType};

/// Longest file that is read, in bytes.
pub const BYTES_MAX: usize = 1 << 20;

/// What a file says.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Hosts {
    /// By name in lower case; the names of addresses are reverse names.
    data: HashMap<Name, Vec<RData>>,
}

/// What the file says now; nothing where there is no file.
#[derive(Clone, Debug, Default)]
pub struct Table(Option<Arc<ArcSwap<Hosts>>>);

/// A line that cannot be read.
#[derive(Debug, PartialEq, Eq)]
pub struct BadLine {
    /// Counted from 1.
    number: usize,
    /// The word that is wrong.
    word: String,
    what: &'static str,
}

// === impl Hosts ===

impl Hosts {
    /// Reads the text of a file: an address in each line, its name, and further ones.
    pub fn parse(text: &str) -> Result<Self, BadLine> {
        let mut hosts = Self::default();
        for (number, line) in (1..).zip(text.lines()) {
            let bad = |word: &str, what| BadLine { number, word: word.to_owned(), what };
            let mut words = line.split('#').next().unwrap_or_default().split_whitespace();
            let Some(word) = words.next() else { continue };
            let address: IpAddr = word.parse().map_err(|_| bad(word, "no IP address"))?;
            let mut first = true;
            for word in words {
                let name = Name::from_ascii(word).ok().filter(|name| !name.is_root());
                let mut name = name.ok_or_else(|| bad(word, "no host name"))?;
                name.set_fqdn(true);
                hosts.add(name.to_lowercase(), RData::from(address));
                // An address leads back to the first name of its line alone.
                if std::mem::take(&mut first) {
                    hosts.add(Name::from(address), RData::PTR(PTR(name)));
                }
            }
            if first {
                return Err(bad(word, "an address without a name"));
            }
        }
        Ok(hosts)
    }

    fn add(&mut self, name: Name, data: RData) {
        let known = self.data.entry(name).or_default();
        if !known.contains(&data) {
            known.push(data);
        }
    }

    /// What a name has of a type, nothing perhaps; `None` when the file does not have the name.
    pub fn of(&self, name: &Name, rtype: RecordType) -> Option<Vec<RData>> {
        let data = self.data.get(&name.to_lowercase())?;
        Some(match rtype {
            // RFC 8482 §4.2
            RecordType::ANY => vec![RData::HINFO(HINFO::new("RFC8482".to_owned(), String::new()))],
            _ => data.iter().filter(|data| data.record_type() == rtype).cloned().collect(),
        })
    }
}

// === impl Table ===

impl Table {
    /// With what a file says.
    pub fn new(hosts: Hosts) -> Self {
        Self(Some(Arc::new(ArcSwap::from_pointee(hosts))))
    }

    /// Whether there is a file.
    pub fn is_some(&self) -> bool {
        self.0.is_some()
    }

    /// As [`Hosts::of`].
    pub fn of(&self, name: &Name, rtype: RecordType) -> Option<Vec<RData>> {
        self.0.as_ref()?.load().of(name, rtype)
    }

    fn set(&self, hosts: Hosts) {
        if let Some(table) = &self.0 {
            table.store(Arc::new(hosts));
        }
    }
}

impl fmt::Display for BadLine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { number, word, what } = self;
        write!(f, "line {number}: `{word}` is {what}; write an IP address and its names, such as 192.0.2.7 db.example")
    }
}

impl std::error::Error for BadLine {}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(hosts: &Hosts, name: &str, rtype: RecordType) -> Option<Vec<String>> {
        let data = hosts.of(&Name::from_ascii(name).unwrap(), rtype)?;
        Some(data.iter().map(ToString::to_string).collect())
    }

    #[test]
    fn addresses_have_names_and_names_addresses() {
        let text = "# of the office\n192.0.2.7 DB.example.com db.example.net # two names\n\n\
                    192.0.2.8\tdb.example.com\n2001:db8::7 db.example.com db.example.com\n";
        let hosts = Hosts::parse(text).unwrap();
        let strings = |texts: &[&str]| Some(texts.iter().map(ToString::to_string).collect::<Vec<_>>());
        assert_eq!(told(&hosts, "db.example.COM.", RecordType::A), strings(&["192.0.2.7", "192.0.2.8"]));
        assert_eq!(told(&hosts, "db.example.com.", RecordType::AAAA), strings(&["2001:db8::7"]));
        assert_eq!(told(&hosts, "db.example.net.", RecordType::AAAA), strings(&[]), "it has no such data");
        assert_eq!(told(&hosts, "example.com.", RecordType::A), None);
        assert_eq!(told(&hosts, "7.2.0.192.in-addr.arpa.", RecordType::PTR), strings(&["DB.example.com."]));
        assert_eq!(told(&hosts, "db.example.com.", RecordType::ANY).map(|all| all.len()), Some(1));
        assert_eq!(Hosts::parse("").unwrap(), Hosts::default());
    }

    #[test]
    fn a_wrong_line_is_named_with_what_to_write() {
        for (text, expected) in [
            ("192.0.2.7 a\nlocalhost 127.0.0.1\n", "line 2: `localhost` is no IP address; write an IP address"),
            ("192.0.2.7 a..b", "line 1: `a..b` is no host name"),
            ("192.0.2.7 .", "line 1: `.` is no host name"),
            ("\n192.0.2.7 # nobody", "line 2: `192.0.2.7` is an address without a name"),
        ] {
            let said = Hosts::parse(text).unwrap_err().to_string();
            assert!(said.starts_with(expected), "{said}");
        }
    }
}
