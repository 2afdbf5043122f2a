//! How long a server's certificate still lasts.

use time::OffsetDateTime;
use tokio_rustls::rustls::pki_types::{CertificateDer, UnixTime};
use x509_parser::certificate::X509Certificate;
use x509_parser::prelude::FromDer;

use crate::definition::TlsHandshake;
use crate::probe::Seen;
use crate::probe::fault::Failed;

const DAY_S: i64 = 86_400;

/// What to say of a chain: the certificate in it that ends first counts.
pub(in crate::probe) fn judge(check: &TlsHandshake, chain: &[CertificateDer<'_>]) -> Result<Seen, Failed> {
    // The clock by which rustls itself judges certificates.
    let now = i64::try_from(UnixTime::now().as_secs()).unwrap_or(i64::MAX);
    let ends = chain.iter().filter_map(|der| ends(der)).min();
    let Some(ends) = ends else {
        return Err(Failed::Target("showed no certificate that can be read".to_owned()));
    };
    let days = (ends - now).div_euclid(DAY_S);
    if ends <= now {
        return Err(Failed::Target(format!("met a certificate that expired on {}; renew it", date(ends))));
    }
    let saw = format!("met a certificate that lasts until {}", date(ends));
    if days < i64::from(check.critical_days) {
        let words = format!("{saw}, {}, fewer than criticalDays {}; renew it", left(days), check.critical_days);
        return Err(Failed::Target(words));
    }
    if days < i64::from(check.warning_days) {
        return Ok(Seen::Warning(format!("{saw}, {}; renew it", left(days))));
    }
    Ok(Seen::Well(saw))
}

fn ends(der: &[u8]) -> Option<i64> {
    let (_, certificate) = X509Certificate::from_der(der).ok()?;
    Some(certificate.validity().not_after.timestamp())
}

fn left(days: i64) -> String {
    match days {
        0 => "today or tomorrow".to_owned(),
        1 => "in 1 day".to_owned(),
        days => format!("in {days} days"),
    }
}

/// A day, such as 2026-11-21.
pub(super) fn date(seconds: i64) -> String {
    OffsetDateTime::from_unix_timestamp(seconds)
        .map_or_else(|_| "a day far away".to_owned(), |time| time.date().to_string())
}
