//! An authority of clients that is not the stream's own, and certificates of it.

use std::path::{Path, PathBuf};

use anyhow::Result;
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, ExtendedKeyUsagePurpose, IsCa, KeyPair};

/// What a client shows, as files.
pub(crate) struct Certificate {
    pub(crate) certificate: PathBuf,
    pub(crate) key: PathBuf,
}

/// Writes the authority, whose file is the first of the result, and a certificate for that user.
pub(crate) fn write(folder: &Path, user: &str) -> Result<(PathBuf, Certificate)> {
    let mut params = CertificateParams::new(Vec::new())?;
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.distinguished_name.push(DnType::CommonName, "the clients' authority");
    let authority = CertifiedIssuer::self_signed(params, KeyPair::generate()?)?;
    let mut params = CertificateParams::new(Vec::new())?;
    params.distinguished_name = rcgen::DistinguishedName::new();
    params.distinguished_name.push(DnType::CommonName, user);
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
    let key = KeyPair::generate()?;
    let written = |name: String, text: String| -> Result<PathBuf> {
        let path = folder.join(name);
        std::fs::write(&path, text)?;
        Ok(path)
    };
    let certificate = written(format!("{user}.crt"), params.signed_by(&key, &authority)?.pem())?;
    let key = written(format!("{user}.key"), key.serialize_pem())?;
    Ok((written("clients-ca.crt".to_owned(), authority.pem())?, Certificate { certificate, key }))
}
