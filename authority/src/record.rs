//! The authority in the Secret: one key, one JSON document.

use std::collections::BTreeMap;

use k8s_openapi::ByteString;
use serde::{Deserialize, Serialize};
use x509_parser::prelude::{FromDer, X509Certificate};

use super::flags::LIFETIME_MAX;
use crate::issue::{ca_key, parts};
use crate::model::{Authority, Ca, Key, Next, Retired};

#[cfg(test)]
mod tests;

/// The data of a Secret.
pub type Data = BTreeMap<String, ByteString>;

/// The key in the Secret.
pub const SECRET_KEY: &str = "authority.json";
/// The key in the ConfigMap: the bundle.
pub const BUNDLE_KEY: &str = "ca.crt";
/// Of the document.
const VERSION: u32 = 1;
/// The last second of the year 9999: certificates can say no later one (RFC 5280 §4.1.2.5).
const TIME_MAX_S: i64 = 253_402_300_799;

/// Why the Secret's content cannot be used. It is left as it is.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RecordError {
    /// Something else lives there.
    #[error("it holds {keys}, which Rollcall did not write")]
    Foreign {
        /// The keys in it.
        keys: String,
    },
    /// Not what was written.
    #[error("its {SECRET_KEY} is damaged: {reason}")]
    Damaged {
        /// How.
        reason: String,
    },
    /// By a later version.
    #[error("its {SECRET_KEY} is of version {version}, and this program knows {VERSION}: a newer Rollcall wrote it")]
    Newer {
        /// Its version.
        version: u32,
    },
}

#[derive(Deserialize)]
struct Versioned {
    version: u32,
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Document {
    version: u32,
    leaf_lifetime_seconds: i64,
    signing: Pair,
    #[serde(skip_serializing_if = "Option::is_none")]
    next: Option<Pair>,
    /// Unix time.
    #[serde(skip_serializing_if = "Option::is_none")]
    next_published_seconds: Option<i64>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    retired: Vec<Old>,
}

#[derive(Serialize, Deserialize)]
struct Pair {
    certificate: String,
    key: String,
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Old {
    certificate: String,
    until_seconds: i64,
}

/// What the Secret holds; `None` when it is empty.
///
/// # Errors
/// When it holds something else, or what it holds does not fit together.
pub fn read(data: &Data) -> Result<Option<Authority>, RecordError> {
    let Some(ByteString(bytes)) = data.get(SECRET_KEY) else {
        let keys: Vec<_> = data.keys().cloned().collect();
        return if keys.is_empty() { Ok(None) } else { Err(RecordError::Foreign { keys: keys.join(", ") }) };
    };
    let Versioned { version } = serde_json::from_slice(bytes).map_err(not_json)?;
    if version > VERSION {
        return Err(RecordError::Newer { version });
    }
    if version < VERSION {
        return Err(damaged(&format!("there has never been a version {version}")));
    }
    authority(serde_json::from_slice(bytes).map_err(not_json)?).map(Some)
}

fn authority(document: Document) -> Result<Authority, RecordError> {
    let published_s = document.next_published_seconds.map(|at_s| time("nextPublishedSeconds", at_s)).transpose()?;
    Ok(Authority {
        signing: ca(document.signing)?,
        next: document.next.map(ca).transpose()?.map(|ca| Next { ca, published_s }),
        retired: document.retired.into_iter().map(retired).collect::<Result<_, _>>()?,
        leaf_lifetime_s: lifetime(document.leaf_lifetime_seconds)?,
    })
}

/// What the Secret is to hold.
pub fn write(authority: &Authority) -> Data {
    let pair = |ca: &Ca| Pair { certificate: ca.certificate.clone(), key: ca.key.0.clone() };
    let old = |retired: &Retired| Old { certificate: retired.certificate.clone(), until_seconds: retired.until_s };
    let document = Document {
        version: VERSION,
        leaf_lifetime_seconds: authority.leaf_lifetime_s,
        signing: pair(&authority.signing),
        next: authority.next.as_ref().map(|next| pair(&next.ca)),
        next_published_seconds: authority.next.as_ref().and_then(|next| next.published_s),
        retired: authority.retired.iter().map(old).collect(),
    };
    let json = serde_json::to_vec_pretty(&document).unwrap_or_default();
    Data::from([(SECRET_KEY.to_owned(), ByteString(json))])
}

fn ca(pair: Pair) -> Result<Ca, RecordError> {
    let (not_after_s, public) = facts(&pair.certificate)?;
    let ca = Ca { certificate: pair.certificate, key: Key(pair.key), not_after_s };
    let key = ca_key(&ca).map_err(|error| damaged(&error))?;
    if key.public_key_raw() != public {
        return Err(damaged(&"a key does not belong to its certificate"));
    }
    Ok(ca)
}

fn retired(old: Old) -> Result<Retired, RecordError> {
    facts(&old.certificate)?;
    Ok(Retired { certificate: old.certificate, until_s: time("untilSeconds", old.until_seconds)? })
}

/// As the flags allow it; sums with times stay far from overflow then.
fn lifetime(seconds: i64) -> Result<i64, RecordError> {
    let allowed = u64::try_from(seconds).is_ok_and(|seconds| (1..=LIFETIME_MAX.as_secs()).contains(&seconds));
    allowed.then_some(seconds).ok_or_else(|| damaged(&format!("leafLifetimeSeconds of {seconds} is no lifetime")))
}

fn time(what: &str, at_s: i64) -> Result<i64, RecordError> {
    let allowed = (0..=TIME_MAX_S).contains(&at_s);
    allowed.then_some(at_s).ok_or_else(|| damaged(&format!("{what} of {at_s} is no time")))
}

/// The last second of a certificate's validity, and its public key.
fn facts(certificate: &str) -> Result<(i64, Vec<u8>), RecordError> {
    let (_, der) = parts(certificate).map_err(|error| damaged(&error))?;
    let (_, certificate) = X509Certificate::from_der(&der).map_err(|error| damaged(&error))?;
    if !certificate.is_ca() {
        return Err(damaged(&"a certificate is not one of an authority"));
    }
    let public = certificate.public_key().subject_public_key.data.to_vec();
    Ok((certificate.validity().not_after.timestamp(), public))
}

/// Where, but not what: the parser's own words may hold a part of a key.
fn not_json(error: serde_json::Error) -> RecordError {
    damaged(&format!("not the JSON that was written, at line {}, column {}", error.line(), error.column()))
}

fn damaged(reason: &dyn std::fmt::Display) -> RecordError {
    RecordError::Damaged { reason: reason.to_string() }
}
