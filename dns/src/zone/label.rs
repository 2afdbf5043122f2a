//! Labels: of endpoints, and of the names that queries ask for.

use std::net::IpAddr;

use super::model::Addresses;

/// Longest label (RFC 1035 §2.3.4).
pub const LABEL_BYTES_MAX: usize = 63;

/// The label of an endpoint and whether it is its hostname.
///
/// A hostname that cannot be a label (RFC 1123 §2.1: letters, digits, inner dashes, at most 63) costs the endpoint only
/// that name: it is then found under its address, like one without a hostname.
pub fn endpoint_label(hostname: &str, addresses: Addresses) -> (Box<str>, bool) {
    if is_hostname_label(hostname) {
        return (hostname.to_ascii_lowercase().into(), true);
    }
    (addresses.iter().next().map_or_else(String::new, dashed).into(), false)
}

/// Whether a text is a host's label (RFC 1123 §2.1).
pub fn is_hostname_label(text: &str) -> bool {
    let inner = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-';
    (1..=LABEL_BYTES_MAX).contains(&text.len())
        && text.bytes().all(inner)
        && !text.starts_with('-')
        && !text.ends_with('-')
}

/// Whether a text is a label of a machine's name: as a host's, and with underscores.
pub fn is_name_label(text: &str) -> bool {
    let inner = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_';
    (1..=LABEL_BYTES_MAX).contains(&text.len()) && text.bytes().all(inner)
}

/// An address as a label, as CoreDNS writes it: `10-1-0-4`, `fd00--1`. A dash at either end gets a zero beyond it,
/// because no label of a host begins or ends in one.
fn dashed(address: IpAddr) -> String {
    let mut label = address.to_string().replace([':', '.'], "-");
    if label.starts_with('-') {
        label.insert(0, '0');
    }
    if label.ends_with('-') {
        label.push('0');
    }
    label
}

/// Room for a service's key: two labels and the slash between them.
pub(super) type KeyBuffer = [u8; 2 * LABEL_BYTES_MAX + 1];

/// An unused [`KeyBuffer`].
pub(super) const EMPTY_KEY: KeyBuffer = [0; 2 * LABEL_BYTES_MAX + 1];

/// The key `NAMESPACE/NAME` of a service, put together without an allocation. No label with a slash finds a service:
/// keys of services hold exactly one.
pub(super) fn service_key<'a>(buffer: &'a mut KeyBuffer, namespace: &[u8], service: &[u8]) -> Option<&'a str> {
    let len = namespace.len() + 1 + service.len();
    let key = buffer.get_mut(..len)?;
    let (before, after) = key.split_at_mut(namespace.len());
    before.copy_from_slice(namespace);
    after[0] = b'/';
    after[1..].copy_from_slice(service);
    std::str::from_utf8(key).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn label(hostname: &str, addresses: &[&str]) -> (String, bool) {
        let addresses = addresses.iter().map(|address| address.parse().unwrap());
        let (label, given) = endpoint_label(hostname, Addresses::first_of_each(addresses).unwrap());
        (label.into(), given)
    }

    #[test]
    fn a_hostname_goes_before_the_address() {
        assert_eq!(label("DB-0", &["10.1.0.4"]), ("db-0".into(), true));
        assert_eq!(label("", &["10.1.0.4", "fd00::1"]), ("10-1-0-4".into(), false));
    }

    #[test]
    fn an_impossible_hostname_costs_only_that_name() {
        for hostname in ["a.b", "-a", "a-", "_tcp", "ä", &"x".repeat(64)] {
            assert_eq!(label(hostname, &["10.1.0.4"]), ("10-1-0-4".into(), false), "{hostname}");
        }
    }

    #[test]
    fn ipv6_addresses_are_written_with_dashes() {
        for (address, expected) in [("fd00::1", "fd00--1"), ("fd00::", "fd00--0"), ("::1", "0--1"), ("::", "0--0")] {
            assert_eq!(label("", &[address]), (expected.into(), false));
        }
    }

    #[test]
    fn a_key_is_put_together_from_labels_of_any_length() {
        let mut buffer = [0; 127];
        assert_eq!(service_key(&mut buffer, b"shop", b"payments"), Some("shop/payments"));
        assert_eq!(service_key(&mut buffer, &[b'n'; 63], &[b's'; 63]).map(str::len), Some(127));
        assert_eq!(service_key(&mut buffer, &[b'n'; 64], &[b's'; 63]), None);
        assert_eq!(service_key(&mut buffer, b"shop", &[0xff]), None);
    }
}
