//! Where a redirect leads: to the same socket, or elsewhere, where no check of this endpoint has anything to look for.

use std::net::SocketAddr;

use http::Uri;
use http::uri::Scheme;

use crate::definition::Http;

/// Where a redirect leads.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Redirect {
    /// To this path of the same server.
    Here(String),
    /// To somebody else, or to what cannot be read.
    Elsewhere,
}

/// Where `location` leads (RFC 9110 §10.2.2) of an answer for `path`.
pub(super) fn redirect(location: &[u8], target: SocketAddr, http: &Http, path: &str) -> Redirect {
    let Ok(location) = std::str::from_utf8(location) else { return Redirect::Elsewhere };
    let location = location.split('#').next().unwrap_or_default();
    if location.starts_with("//") || location.contains("://") {
        return absolute(location, target, http);
    }
    if location.starts_with('/') {
        return Redirect::Here(location.to_owned());
    }
    if location.is_empty() || location.starts_with('?') {
        let before = path.split('?').next().unwrap_or("/");
        return Redirect::Here(format!("{before}{location}"));
    }
    if location.contains(':') {
        return Redirect::Elsewhere;
    }
    let folder = path.split('?').next().and_then(|path| path.rfind('/').map(|end| &path[..=end])).unwrap_or("/");
    Redirect::Here(format!("{folder}{location}"))
}

fn absolute(location: &str, target: SocketAddr, http: &Http) -> Redirect {
    let scheme = if http.tls.is_some() { Scheme::HTTPS } else { Scheme::HTTP };
    let whole = if location.starts_with("//") { format!("{scheme}:{location}") } else { location.to_owned() };
    let Ok(uri) = whole.parse::<Uri>() else { return Redirect::Elsewhere };
    let Some(authority) = uri.authority().filter(|_| uri.scheme() == Some(&scheme)) else { return Redirect::Elsewhere };
    let default = if scheme == Scheme::HTTPS { 443 } else { 80 };
    let same = authority.port_u16().unwrap_or(default) == target.port() && is_called(authority.host(), target, http);
    // By the name under which we asked it is the same server, whatever number its port has in front of it.
    let asked = http.host.as_deref() == Some(authority.as_str());
    if !same && !asked {
        return Redirect::Elsewhere;
    }
    Redirect::Here(uri.path_and_query().map_or_else(|| "/".to_owned(), ToString::to_string))
}

/// Whether a host is the address that was asked, or the name by which it was.
fn is_called(host: &str, target: SocketAddr, http: &Http) -> bool {
    let bare = host.trim_start_matches('[').trim_end_matches(']');
    let own = http.host.as_deref().map(|own| own.rsplit_once(':').map_or(own, |(host, _)| host));
    bare.parse() == Ok(target.ip()) || own.is_some_and(|own| own.eq_ignore_ascii_case(host))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn leads(location: &str) -> Option<String> {
        let http = Http { host: Some("shop.example:8080".into()), ..Http::get("/a/b?c") };
        match redirect(location.as_bytes(), "198.51.100.1:8080".parse().expect("an address"), &http, "/a/b?c") {
            Redirect::Here(path) => Some(path),
            Redirect::Elsewhere => None,
        }
    }

    #[test]
    fn what_stays_at_the_same_socket_is_followed() {
        for (location, path) in [
            ("/x?y#z", "/x?y"),
            ("x", "/a/x"),
            ("?d", "/a/b?d"),
            ("", "/a/b"),
            ("http://198.51.100.1:8080/in", "/in"),
            ("http://shop.example:8080", "/"),
            ("//Shop.example:8080/in", "/in"),
        ] {
            assert_eq!(leads(location).as_deref(), Some(path), "{location}");
        }
    }

    #[test]
    fn what_leads_elsewhere_is_not() {
        for location in [
            "http://198.51.100.2:8080/",
            "http://198.51.100.1/",
            "https://shop.example:8080/",
            "http://169.254.169.254/latest",
            "//evil.example/",
            "ftp://198.51.100.1:8080/",
            "mailto:root@shop.example",
            "http://[",
        ] {
            assert_eq!(leads(location), None, "{location}");
        }
        let not_utf8 = redirect(b"/\xff", "198.51.100.1:8080".parse().expect("an address"), &Http::get("/"), "/");
        assert_eq!(not_utf8, Redirect::Elsewhere);
    }
}
