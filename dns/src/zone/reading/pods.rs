//! Names of pods by their address: `10-1-0-4.NAMESPACE.pod.DOMAIN`, `fd00--1.NAMESPACE.pod.DOMAIN`.
//!
//! The Kubernetes DNS specification 1.1.0 knows them no more; kubeadm's Corefile has `pods insecure` all the same, and
//! who comes from there may have such names in certificates.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::str::FromStr;

use crate::zone::label::LABEL_BYTES_MAX;

/// Whether pods have names by their address, as CoreDNS' option `pods` has it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum PodNames {
    /// They have none (`disabled` of CoreDNS).
    #[default]
    Off,
    /// Every address has a name in every namespace; nobody looks whether there is such a pod.
    Insecure,
    /// Those addresses that an endpoint of a Service in the namespace has, ready or not.
    ///
    /// The stream carries endpoints and not pods: a pod that no Service selects has no name, which CoreDNS' `verified`
    /// gives it.
    Verified,
}

/// The address that a label in lower case spells, as CoreDNS reads it: three single dashes are the dots of IPv4, all
/// others colons.
pub(super) fn address(label: &[u8]) -> Option<IpAddr> {
    let is_v4 = label.iter().filter(|byte| **byte == b'-').count() == 3 && !label.windows(2).any(|pair| pair == b"--");
    let mut room = [0; LABEL_BYTES_MAX];
    let spelled = room.get_mut(..label.len())?;
    for (place, byte) in spelled.iter_mut().zip(label) {
        *place = match byte {
            b'-' if is_v4 => b'.',
            b'-' => b':',
            other => *other,
        };
    }
    let text = std::str::from_utf8(spelled).ok()?;
    if is_v4 {
        return text.parse::<Ipv4Addr>().ok().map(IpAddr::V4);
    }
    text.parse::<Ipv6Addr>().ok().map(IpAddr::V6)
}

// === impl PodNames ===

impl PodNames {
    const ALL: [(Self, &str); 3] = [(Self::Off, "off"), (Self::Insecure, "insecure"), (Self::Verified, "verified")];
}

impl fmt::Display for PodNames {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(Self::ALL.iter().find(|(known, _)| known == self).map_or("off", |(_, word)| word))
    }
}

impl FromStr for PodNames {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let known = Self::ALL.into_iter().find(|(_, word)| *word == text);
        known.map(|(known, _)| known).ok_or_else(|| "use off, insecure or verified".to_owned())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dashes_are_dots_or_colons() {
        for (label, expected) in [
            ("10-1-0-4", Some("10.1.0.4")),
            ("fd00--1", Some("fd00::1")),
            ("fd00--0", Some("fd00::")),
            ("0--1", Some("::1")),
            ("1-2-3-4-5-6-7-8", Some("1:2:3:4:5:6:7:8")),
            ("10-1-0-256", None),
            ("10-01-0-1", None),
            ("10-1-0", None),
            ("10-1--4", Some("10:1::4")),
            ("10-1---4", None),
            ("web", None),
            ("10.1.0.4", None),
            ("", None),
        ] {
            assert_eq!(address(label.as_bytes()), expected.map(|text| text.parse().unwrap()), "{label}");
        }
        assert_eq!(address(&[0xff, b'-']), None);
    }

    #[test]
    fn the_words_are_read_and_shown_the_same() {
        for (value, word) in PodNames::ALL {
            assert_eq!((word.parse(), value.to_string().as_str()), (Ok(value), word));
        }
        assert!("on".parse::<PodNames>().unwrap_err().contains("off, insecure or verified"));
    }
}
