//! What the API server takes as names and labels, judged as it does. The end-to-end test `limits` holds the table beside this file
//! against a real one.

/// The value of a label, and a zone in hints (apimachinery `IsValidLabelValue`).
pub fn is_label_value(text: &str) -> bool {
    text.is_empty() || is_name(text)
}

/// The key of a label without a domain: a value that is not empty.
pub fn is_name(text: &str) -> bool {
    text.len() <= 63 && is_word(text, |byte| matches!(byte, b'-' | b'_' | b'.'))
}

/// A DNS label (RFC 1123; apimachinery `IsDNS1123Label`): the name of a namespace and of a Service, and a host name in a slice.
pub fn is_dns_label(text: &str) -> bool {
    text.len() <= 63 && is_domain_part(text)
}

/// The key of a label, and `appProtocol` of a port (apimachinery `IsQualifiedName`): a name, or a domain, a slash and a name.
pub fn is_qualified_name(text: &str) -> bool {
    let (domain, name) = text.split_once('/').map_or((None, text), |(domain, name)| (Some(domain), name));
    let is_domain = |domain: &str| domain.len() <= 253 && domain.split('.').all(is_domain_part);
    is_name(name) && domain.is_none_or(is_domain)
}

/// A part of a domain in a qualified name: as a DNS label, of any length (apimachinery `IsDNS1123Subdomain`).
fn is_domain_part(part: &str) -> bool {
    is_word(part, |byte| byte == b'-') && !part.bytes().any(|byte| byte.is_ascii_uppercase())
}

/// Letters and digits, and inside also what `inner` allows.
fn is_word(text: &str, inner: impl Fn(u8) -> bool) -> bool {
    let bytes = text.as_bytes();
    let ends = |byte: Option<&u8>| byte.is_some_and(u8::is_ascii_alphanumeric);
    ends(bytes.first()) && ends(bytes.last()) && bytes.iter().all(|byte| byte.is_ascii_alphanumeric() || inner(*byte))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_judged_as_the_table_has_it() {
        let mut judged = 0;
        for line in include_str!("syntax/names.txt").lines().filter(|line| !line.starts_with('#')) {
            let (field, rest) = line.split_once(' ').expect("a field");
            let (said, text) = rest.trim_start().split_once(' ').expect("takes or refuses");
            let takes: fn(&str) -> bool = match field {
                "appProtocol" => is_qualified_name,
                "hostname" => is_dns_label,
                "zone" => is_label_value,
                _ => panic!("{line}"),
            };
            assert_eq!(takes(text.trim_start()), said == "takes", "{line}");
            judged += 1;
        }
        assert!(judged > 20, "{judged}");
        assert!(is_label_value("") && !is_dns_label("") && !is_qualified_name(""));
    }
}
