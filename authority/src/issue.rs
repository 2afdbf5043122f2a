//! Makes keys and certificates: ECDSA on P-256, which every TLS library takes.

use std::time::Duration;

use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
    KeyUsagePurpose,
};
use rollcall_xds::tls::{Identity, IdentityError};
use time::OffsetDateTime;

use crate::model::{Ca, Key};

#[cfg(test)]
mod tests;

/// A leaf, in memory only.
#[derive(Debug)]
pub struct Leaf {
    /// What connections are given.
    pub identity: Identity,
    /// The certificate of the authority that signed it, as PEM.
    pub signed_by: String,
    /// When to sign the next, in seconds since 1970.
    pub renew_s: i64,
}

/// Why a certificate could not be made.
#[derive(Debug, thiserror::Error)]
pub enum IssueError {
    /// In the words of the library.
    #[error("a certificate cannot be made: {0}")]
    Library(#[from] rcgen::Error),
    /// What should be PEM is not.
    #[error("a PEM block cannot be read: {0}")]
    Pem(String),
    /// A time that a certificate cannot say.
    #[error("a certificate cannot be made: the year is beyond 9999; is the clock of this machine right?")]
    Time,
    /// What was made is of no use.
    #[error("the certificate that was made cannot be used: {0}")]
    Unusable(#[from] IdentityError),
}

/// Certificates are valid from this long ago: for clients whose clocks are late.
pub const SKEW: Duration = Duration::from_secs(300);

/// A new authority, valid for `lifetime_s` from now.
///
/// # Errors
/// When the operating system gives no randomness, or the clock is far off.
pub fn authority(now_s: i64, lifetime_s: i64) -> Result<Ca, IssueError> {
    let key = KeyPair::generate()?;
    let not_after_s = now_s + lifetime_s;
    let mut params = CertificateParams::default();
    params.not_before = time(now_s - skew_s())?;
    params.not_after = time(not_after_s)?;
    // Each has a name of its own, so that a verifier finds the right one of a bundle at once.
    params.distinguished_name = name(&format!("rollcall authority {not_after_s}-{}", hex(&key)));
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::DigitalSignature];
    let certificate = params.self_signed(&key)?;
    Ok(Ca {
        certificate: as_pem("CERTIFICATE", certificate.der().to_vec()),
        key: Key(as_pem("PRIVATE KEY", key.serialize_der())),
        not_after_s,
    })
}

/// A leaf for `names` with a key of its own. It ends with its authority at the latest. `spread` in 0..1 keeps the renewals
/// of replicas apart.
///
/// # Errors
/// As [`authority`]; or when the authority is damaged.
pub fn leaf(ca: &Ca, names: &[String], now_s: i64, lifetime_s: i64, spread: f64) -> Result<Leaf, IssueError> {
    let (_, ca_der) = parts(&ca.certificate)?;
    let issuer = Issuer::from_ca_cert_der(&ca_der.into(), ca_key(ca)?)?;
    let key = KeyPair::generate()?;
    let not_after_s = ca.not_after_s.min(now_s + lifetime_s);
    let mut params = CertificateParams::new(names.to_vec())?;
    params.not_before = time(now_s - skew_s())?;
    params.not_after = time(not_after_s)?;
    params.distinguished_name = name("rollcall-controller");
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    params.use_authority_key_identifier_extension = true;
    let certificate = params.signed_by(&key, &issuer)?;
    let identity = Identity::new(vec![certificate.der().clone()], key.into(), now_s)?;
    Ok(Leaf { identity, signed_by: ca.certificate.clone(), renew_s: renew_s(now_s, not_after_s, spread) })
}

/// After two thirds of what it lives, or up to a twentieth earlier.
fn renew_s(now_s: i64, not_after_s: i64, spread: f64) -> i64 {
    let life_s = not_after_s - now_s;
    now_s + life_s * 2 / 3 - (life_s as f64 / 20.0 * spread) as i64
}

/// The key of an authority.
///
/// # Errors
/// When it cannot be read.
pub(super) fn ca_key(ca: &Ca) -> Result<KeyPair, IssueError> {
    let (_, der) = parts(&ca.key.0)?;
    Ok(KeyPair::try_from(der)?)
}

/// The label and content of the one PEM block.
pub(super) fn parts(text: &str) -> Result<(String, Vec<u8>), IssueError> {
    let block = pem::parse(text).map_err(|error| IssueError::Pem(error.to_string()))?;
    Ok((block.tag().to_owned(), block.into_contents()))
}

fn as_pem(tag: &str, der: Vec<u8>) -> String {
    let config = pem::EncodeConfig::new().set_line_ending(pem::LineEnding::LF);
    pem::encode_config(&pem::Pem::new(tag, der), config)
}

fn name(common: &str) -> DistinguishedName {
    let mut name = DistinguishedName::new();
    name.push(DnType::CommonName, common);
    name
}

fn hex(key: &KeyPair) -> String {
    key.public_key_raw().iter().rev().take(4).map(|byte| format!("{byte:02x}")).collect()
}

fn skew_s() -> i64 {
    i64::try_from(SKEW.as_secs()).unwrap_or(0)
}

fn time(seconds: i64) -> Result<OffsetDateTime, IssueError> {
    OffsetDateTime::from_unix_timestamp(seconds).map_err(|_| IssueError::Time)
}
