//! Requests out of fields, and what makes them malformed (RFC 9113 §8.2 and §8.3).

use http::{
    HeaderMap, HeaderName, HeaderValue, Method, Uri, Version,
    header::{CONNECTION, CONTENT_LENGTH, HOST, TE, TRANSFER_ENCODING, UPGRADE},
    request,
    uri::{self, Authority, PathAndQuery, Scheme},
};

/// The fields of a block, as they come. Whatever is wrong with them, all of a block is looked at, since later ones are encoded by
/// what was in it (RFC 7541 §2.2).
#[derive(Debug, Default)]
pub(crate) struct Fields {
    method: Option<Method>,
    scheme: Option<Scheme>,
    authority: Option<Authority>,
    path: Option<PathAndQuery>,
    headers: HeaderMap,
    bytes: usize,
    bytes_max: usize,
    /// A pseudo-header was there.
    special: bool,
    /// A field was there that is none.
    regular: bool,
    unfit: Option<Unfit>,
}

/// Why a request is not served.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Unfit {
    /// It is no request.
    Malformed,
    /// Its headers are larger than they may be.
    Large,
}

/// What a field costs beside its bytes (RFC 9113 §6.5.2).
const FIELD_BYTES: usize = 32;
/// Fields that belong to a connection of HTTP/1 (RFC 9113 §8.2.2), beside those with a constant.
const OF_HTTP_1: [&str; 2] = ["keep-alive", "proxy-connection"];

// === impl Fields ===

impl Fields {
    pub(crate) fn of_at_most(bytes_max: usize) -> Self {
        Self { bytes_max, ..Self::default() }
    }

    pub(crate) fn add(&mut self, name: &[u8], value: &[u8]) {
        self.bytes = self.bytes.saturating_add(FIELD_BYTES + name.len() + value.len());
        if self.bytes > self.bytes_max {
            self.unfit = self.unfit.or(Some(Unfit::Large));
        }
        if self.unfit.is_none() && self.take(name, value).is_none() {
            self.unfit = Some(Unfit::Malformed);
        }
    }

    /// None if it may not be there.
    fn take(&mut self, name: &[u8], value: &[u8]) -> Option<()> {
        if name.starts_with(b":") {
            self.special = true;
            return if self.regular { None } else { self.take_special(name, value) };
        }
        self.regular = true;
        if name.iter().any(u8::is_ascii_uppercase) {
            return None;
        }
        let name = HeaderName::from_bytes(name).ok()?;
        let padded = |byte: Option<&u8>| byte.is_some_and(|byte| matches!(byte, b' ' | b'\t'));
        let of_connection =
            [CONNECTION, TRANSFER_ENCODING, UPGRADE].contains(&name) || OF_HTTP_1.contains(&name.as_str());
        if of_connection || padded(value.first()) || padded(value.last()) || (name == TE && value != b"trailers") {
            return None;
        }
        self.headers.try_append(name, HeaderValue::from_bytes(value).ok()?).ok()?;
        Some(())
    }

    fn take_special(&mut self, name: &[u8], value: &[u8]) -> Option<()> {
        fn once<T, E>(place: &mut Option<T>, value: Result<T, E>) -> Option<()> {
            let value = value.ok()?;
            place.replace(value).is_none().then_some(())
        }
        match name {
            b":method" => once(&mut self.method, Method::from_bytes(value)),
            b":scheme" => once(&mut self.scheme, Scheme::try_from(value)),
            b":authority" => once(&mut self.authority, Authority::try_from(value)),
            b":path" if !value.is_empty() => once(&mut self.path, PathAndQuery::try_from(value)),
            _ => None,
        }
    }

    /// The head of a request, and how long its body is, if it says so.
    pub(crate) fn into_request(self) -> Result<(request::Parts, Option<u64>), Unfit> {
        if let Some(unfit) = self.unfit {
            return Err(unfit);
        }
        let len = length(&self.headers)?;
        let method = self.method.ok_or(Unfit::Malformed)?;
        let mut target = uri::Parts::default();
        if method == Method::CONNECT {
            if self.scheme.is_some() || self.path.is_some() || self.authority.is_none() {
                return Err(Unfit::Malformed);
            }
            target.authority = self.authority;
        } else {
            let (scheme, path) = self.scheme.zip(self.path).ok_or(Unfit::Malformed)?;
            // Without an authority, the one that HTTP/1 had (RFC 9113 §8.3.1).
            let host = || self.headers.get(HOST).and_then(|host| Authority::try_from(host.as_bytes()).ok());
            target.authority = self.authority.or_else(host);
            target.scheme = target.authority.is_some().then_some(scheme);
            target.path_and_query = Some(path);
        }
        let (mut parts, ()) = http::Request::new(()).into_parts();
        parts.uri = Uri::from_parts(target).map_err(|_| Unfit::Malformed)?;
        (parts.method, parts.version, parts.headers) = (method, Version::HTTP_2, self.headers);
        Ok((parts, len))
    }

    /// What comes after a body.
    pub(crate) fn into_trailers(self) -> Result<HeaderMap, Unfit> {
        match self.unfit {
            Some(unfit) => Err(unfit),
            None if self.special => Err(Unfit::Malformed),
            None => Ok(self.headers),
        }
    }
}

/// The length of a body by its headers, which may say it more than once if they say the same (RFC 9110 §8.6).
fn length(headers: &HeaderMap) -> Result<Option<u64>, Unfit> {
    let mut said = None;
    for value in headers.get_all(CONTENT_LENGTH) {
        let digits = value.as_bytes().iter().all(u8::is_ascii_digit);
        let value =
            value.to_str().ok().filter(|_| digits).and_then(|value| value.parse().ok()).ok_or(Unfit::Malformed)?;
        if said.replace(value).is_some_and(|before| before != value) {
            return Err(Unfit::Malformed);
        }
    }
    Ok(said)
}

#[cfg(test)]
mod tests {
    use super::*;

    const GET: [(&str, &str); 4] =
        [(":method", "GET"), (":scheme", "https"), (":authority", "rollcall:443"), (":path", "/v1?tag=a")];

    fn fields(fields: &[(&str, &str)]) -> Fields {
        let mut all = Fields::of_at_most(1_000);
        fields.iter().for_each(|(name, value)| all.add(name.as_bytes(), value.as_bytes()));
        all
    }

    #[test]
    fn a_request_is_what_its_fields_say() {
        let more = [("te", "trailers"), ("cookie", "a"), ("cookie", "b"), ("content-length", "7")];
        let (parts, len) = fields(&[&GET[..], &more].concat()).into_request().expect("a request");
        assert_eq!(parts.uri, "https://rollcall:443/v1?tag=a");
        assert_eq!((parts.method, parts.version, len), (Method::GET, Version::HTTP_2, Some(7)));
        assert_eq!(parts.headers.get_all("cookie").iter().count(), 2);
        let bare = [(":method", "OPTIONS"), (":scheme", "http"), (":path", "*")];
        assert_eq!(fields(&bare).into_request().expect("a request").0.uri, "*");
        let connect = [(":method", "CONNECT"), (":authority", "rollcall:443")];
        assert_eq!(fields(&connect).into_request().expect("a request").0.uri, "rollcall:443");
    }

    #[test]
    fn what_is_malformed_is_no_request() {
        let with = |more: &[(&'static str, &'static str)]| fields(&[&GET[..], more].concat()).into_request().err();
        for wrong in [
            &[("Upper", "x")][..],
            &[("connection", "close")],
            &[("keep-alive", "1")],
            &[("transfer-encoding", "chunked")],
            &[("te", "gzip")],
            &[(":path", "/again")],
            &[(":status", "200")],
            &[(":unknown", "x")],
            &[("a", "b"), (":scheme", "http")],
            &[("na me", "x")],
            &[("x", " padded")],
            &[("x", "line\nbreak")],
            &[("content-length", "7"), ("content-length", "8")],
            &[("content-length", "+7")],
        ] {
            assert_eq!(with(wrong), Some(Unfit::Malformed), "{wrong:?}");
        }
        for missing in [0, 1, 3] {
            let some: Vec<_> =
                GET.iter().enumerate().filter(|(at, _)| *at != missing).map(|(_, field)| *field).collect();
            assert_eq!(fields(&some).into_request().err(), Some(Unfit::Malformed), "without {}", GET[missing].0);
        }
        let empty = [GET[0], GET[1], (":path", "")];
        assert_eq!(fields(&empty).into_request().err(), Some(Unfit::Malformed));
        let connect = [(":method", "CONNECT"), (":authority", "a:1"), (":path", "/")];
        assert_eq!(fields(&connect).into_request().err(), Some(Unfit::Malformed));
        let large = "y".repeat(1_000);
        assert_eq!(fields(&[GET[0], GET[1], GET[3], ("x", &large)]).into_request().err(), Some(Unfit::Large));
    }

    #[test]
    fn trailers_have_nothing_special() {
        assert_eq!(fields(&[("grpc-status", "0")]).into_trailers().expect("trailers")["grpc-status"], "0");
        assert_eq!(fields(&GET[..1]).into_trailers(), Err(Unfit::Malformed));
    }
}
