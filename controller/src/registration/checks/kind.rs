//! What a check of a spec does, by kind, or what in it cannot be used.

use std::sync::Arc;

use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;
use rollcall_catalog::ServiceKey;
use rollcall_catalog::model::{Name, Protocol};
use rollcall_crds::{self as api, TlsClient};
use rollcall_health::CheckKind;
use rollcall_health::definition::{
    Alias, Exchange, Grpc, Http, Http2, SecretKey, Statuses, Tcp, Tls, TlsHandshake, Udp, Verify,
};

/// What the port of a check has to speak; `None` where it is not called.
pub(super) fn protocol(kind: api::CheckKind<'_>) -> Option<Protocol> {
    match kind {
        api::CheckKind::Http(_)
        | api::CheckKind::Tcp(_)
        | api::CheckKind::Tls(_)
        | api::CheckKind::Grpc(_)
        | api::CheckKind::Http2(_) => Some(Protocol::Tcp),
        api::CheckKind::Udp(_) => Some(Protocol::Udp),
        api::CheckKind::Alias(_) => None,
    }
}

/// What it does; words about what in it cannot be used.
pub(super) fn read(namespace: &Name, service: &str, kind: api::CheckKind<'_>) -> Result<CheckKind, String> {
    let tls = |said: &Option<TlsClient>| said.as_ref().map(|said| tls(namespace, said.clone()));
    Ok(match kind {
        api::CheckKind::Http(said) => CheckKind::Http(http(said, tls(&said.tls))?),
        api::CheckKind::Tcp(said) => CheckKind::Tcp(Tcp { tls: tls(&said.tls), exchange: exchange(&said.exchange)? }),
        api::CheckKind::Tls(said) => CheckKind::Tls(TlsHandshake {
            tls: self::tls(namespace, said.client.clone()),
            warning_days: said.warning_days.unwrap_or(api::TlsCheck::WARNING_DAYS),
            critical_days: said.critical_days.unwrap_or(0),
        }),
        api::CheckKind::Grpc(said) => CheckKind::Grpc(Grpc {
            service: said.service.as_deref().unwrap_or_default().into(),
            authority: said.authority.as_deref().map(Name::from),
            tls: tls(&said.tls),
        }),
        api::CheckKind::Http2(said) => CheckKind::Http2(Http2 { tls: tls(&said.tls) }),
        api::CheckKind::Udp(said) => CheckKind::Udp(Udp { exchange: exchange(&said.exchange)? }),
        api::CheckKind::Alias(said) => {
            if said.service == service {
                let own = &said.service;
                return Err(format!(
                    "alias: {own} is the registration's own service, whose health would follow itself; name another"
                ));
            }
            CheckKind::Alias(Alias {
                service: ServiceKey { namespace: Name::clone(namespace), name: said.service.as_str().into() },
                endpoint: said.endpoint.as_deref().map(Name::from),
            })
        }
    })
}

fn http(said: &api::HttpCheck, tls: Option<Tls>) -> Result<Http, String> {
    let statuses = match &*said.statuses {
        [] => Statuses::default(),
        said => Statuses::new(said.iter().map(statuses).collect::<Result<Vec<_>, _>>()?),
    };
    // Where the API server did not judge (a rule of a newer definition), a request must be possible all the same.
    for header in &said.headers {
        let name = http::HeaderName::from_bytes(header.name.as_bytes());
        if name.is_err() || http::HeaderValue::from_str(&header.value).is_err() {
            return Err(format!(
                "http.headers: {:?} is no header that can be sent; correct its name or value",
                header.name
            ));
        }
    }
    if http::Method::from_bytes(method(said).as_bytes()).is_err() {
        return Err(format!("http.method: {:?} is no method; use one such as GET", method(said)));
    }
    let header = |header: &api::HttpHeader| (header.name.as_str().into(), header.value.as_str().into());
    Ok(Http {
        method: method(said).into(),
        path: said.path.as_str().into(),
        host: said.host.as_deref().map(Name::from),
        headers: said.headers.iter().map(header).collect(),
        body: said.body.as_deref().map(Name::from),
        statuses,
        contains: said.body_contains.as_deref().map(Name::from),
        redirects_max: said.follow_redirects.min(10),
        tls,
    })
}

fn method(said: &api::HttpCheck) -> &str {
    said.method.as_deref().unwrap_or("GET")
}

/// `204` or `200-299`.
fn statuses(said: &IntOrString) -> Result<(u16, u16), String> {
    let text = match said {
        IntOrString::Int(number) => number.to_string(),
        IntOrString::String(text) => text.clone(),
    };
    let (first, last) = text.split_once('-').unwrap_or((&text, &text));
    let status = |text: &str| text.trim().parse::<u16>().ok().filter(|status| (100..=599).contains(status));
    match (status(first), status(last)) {
        (Some(first), Some(last)) if first <= last => Ok((first, last)),
        _ => Err(format!("http.statuses: {text:?} is no status; give numbers and ranges such as 204 or \"200-299\"")),
    }
}

fn tls(namespace: &Name, said: TlsClient) -> Tls {
    Tls {
        server_name: said.server_name.map(Name::from),
        authorities: said.ca_bundle.map(Name::from),
        verify: if said.insecure_skip_verify { Verify::KeyOnly } else { Verify::All },
        secret: said.secret_name.map(|name| SecretKey { namespace: Name::clone(namespace), name: name.into() }),
    }
}

fn exchange(said: &api::ExchangeSpec) -> Result<Exchange, String> {
    Ok(Exchange {
        send: bytes(said.send.as_deref(), said.send_hex.as_deref(), "sendHex")?,
        expect: bytes(said.expect.as_deref(), said.expect_hex.as_deref(), "expectHex")?,
    })
}

/// A text, or what is written in hexadecimal.
fn bytes(text: Option<&str>, hex: Option<&str>, field: &str) -> Result<Option<Arc<[u8]>>, String> {
    match (text, hex) {
        (Some(text), _) => Ok(Some(text.as_bytes().into())),
        (None, Some(hex)) => {
            let wrong = || format!("{field}: {hex:?} is not hexadecimal; give two digits for each byte, such as 0d0a");
            let digits: Option<Vec<u8>> =
                hex.chars().map(|digit| digit.to_digit(16).and_then(|digit| u8::try_from(digit).ok())).collect();
            let digits = digits.filter(|digits| digits.len() % 2 == 0).ok_or_else(wrong)?;
            Ok(Some(digits.chunks_exact(2).map(|pair| pair[0] << 4 | pair[1]).collect()))
        }
        (None, None) => Ok(None),
    }
}
