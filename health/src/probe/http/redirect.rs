//! Where a redirect leads: to the same socket, or elsewhere, where no check of this endpoint has anything to look for.

use std::fmt::Write;
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

/// Where `location` leads (RFC 9110 §10.2.2, RFC 3986 §5.2) of an answer for `path`.
pub(super) fn redirect(location: &[u8], target: SocketAddr, http: &Http, path: &str) -> Redirect {
    let location = escaped(location);
    let location = location.split('#').next().unwrap_or_default();
    if location.starts_with("//") || has_scheme(location) {
        return absolute(location, target, http);
    }
    let (asked, asked_query) = halves(path);
    let (led, led_query) = halves(location);
    let (path, query) = match led {
        "" => (asked.to_owned(), led_query.or(asked_query)),
        led if led.starts_with('/') => (led.to_owned(), led_query),
        led => {
            let folder = asked.rfind('/').map_or("/", |end| &asked[..=end]);
            (format!("{folder}{led}"), led_query)
        }
    };
    Redirect::Here(joined(&path, query))
}

/// What is no part of an address is written as browsers do: in servers' own words there are spaces and letters.
fn escaped(location: &[u8]) -> String {
    let mut text = String::with_capacity(location.len());
    for byte in location.trim_ascii() {
        if byte.is_ascii_graphic() && !b"<>`\"".contains(byte) {
            text.push(char::from(*byte));
        } else {
            // Writing to a String does not fail.
            let _ = write!(text, "%{byte:02X}");
        }
    }
    text
}

/// Whether it begins with a scheme, and does not just have an address somewhere within (`/login?next=http://…`).
fn has_scheme(location: &str) -> bool {
    let end = location.find([':', '/', '?']);
    end.is_some_and(|end| {
        location[end..].starts_with(':') && location.starts_with(|first: char| first.is_ascii_alphabetic())
    })
}

/// The path, and the query if there is one.
fn halves(location: &str) -> (&str, Option<&str>) {
    location.split_once('?').map_or((location, None), |(path, query)| (path, Some(query)))
}

/// A path without `.` and `..` in it (RFC 3986 §5.2.4), and its query.
fn joined(path: &str, query: Option<&str>) -> String {
    let mut segments: Vec<&str> = Vec::new();
    let mut rest = path.strip_prefix('/').unwrap_or(path).split('/').peekable();
    while let Some(segment) = rest.next() {
        let is_dots = matches!(segment, "." | "..");
        if segment == ".." {
            segments.pop();
        }
        if !is_dots {
            segments.push(segment);
        } else if rest.peek().is_none() {
            segments.push("");
        }
    }
    let query = query.map(|query| format!("?{query}")).unwrap_or_default();
    format!("/{}{query}", segments.join("/"))
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
    Redirect::Here(joined(uri.path(), uri.query()))
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
            ("", "/a/b?c"),
            ("#top", "/a/b?c"),
            ("./x", "/a/x"),
            ("../x/", "/x/"),
            ("../../../x/./y/..", "/x/"),
            ("/a/../b//c", "/b//c"),
            ("/login?next=http://evil.example/&x=a:b", "/login?next=http://evil.example/&x=a:b"),
            ("login?next=//evil.example", "/a/login?next=//evil.example"),
            ("x/y:z", "/a/x/y:z"),
            ("/with space/\"<ä>", "/with%20space/%22%3C%C3%A4%3E"),
            ("  /x ", "/x"),
            ("HTTP://198.51.100.1:8080/in", "/in"),
            ("http://198.51.100.1:8080?x", "/?x"),
            ("http://somebody@198.51.100.1:8080/in", "/in"),
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
            "http://198.51.100.1:8080@evil.example/",
            "http://shop.example:8080.evil.example/",
            "javascript:alert(1)",
            "http://[",
        ] {
            assert_eq!(leads(location), None, "{location}");
        }
        let not_utf8 = redirect(b"/\xff", "198.51.100.1:8080".parse().expect("an address"), &Http::get("/"), "/");
        assert_eq!(not_utf8, Redirect::Here("/%FF".into()));
    }
}
