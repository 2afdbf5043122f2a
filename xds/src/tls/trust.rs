use std::{
    io,
    path::PathBuf,
    sync::{Arc, Mutex, PoisonError},
};

use tokio::{fs::File, io::AsyncReadExt};
use tokio_rustls::rustls::{
    ClientConfig, RootCertStore,
    client::Resumption,
    pki_types::{CertificateDer, pem::PemObject},
};

#[cfg(test)]
mod tests;

/// The authorities that a client trusts: a bundle in a file, which is read at each connect and taken up when its content
/// has changed.
#[derive(Debug)]
pub(crate) struct Trust {
    path: PathBuf,
    last: Mutex<Option<(Vec<u8>, Arc<ClientConfig>)>>,
}

/// A ConfigMap holds no more.
const BUNDLE_BYTES_MAX: u64 = 1 << 20;

// === impl Trust ===

impl Trust {
    /// Nothing is read yet: the file may come later.
    pub(crate) fn new(path: PathBuf) -> Self {
        Self { path, last: Mutex::new(None) }
    }

    /// For people.
    pub(crate) fn path(&self) -> String {
        self.path.display().to_string()
    }

    /// A client's settings with the bundle as it is now.
    ///
    /// # Errors
    /// In words that name the remedy.
    pub(crate) async fn config(&self) -> Result<Arc<ClientConfig>, String> {
        let pem = self.read().await.map_err(|error| self.unread(&error))?;
        let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((_, config)) = last.as_ref().filter(|(known, _)| *known == pem) {
            return Ok(Arc::clone(config));
        }
        let config = Arc::new(config(roots(&pem).map_err(|reason| self.unusable(&reason))?)?);
        *last = Some((pem, Arc::clone(&config)));
        Ok(config)
    }

    async fn read(&self) -> io::Result<Vec<u8>> {
        let mut pem = Vec::new();
        let file = File::open(&self.path).await?;
        file.take(BUNDLE_BYTES_MAX).read_to_end(&mut pem).await?;
        Ok(pem)
    }

    fn unread(&self, error: &io::Error) -> String {
        let path = self.path();
        match error.kind() {
            io::ErrorKind::NotFound => format!(
                "no file {path} yet: the controller writes it as ca.crt into the ConfigMap of its authority (rollcall-ca unless \
                 --tls-authority-configmap says otherwise); is that mounted here, and does the controller run with --tls authority?"
            ),
            _ => format!("the bundle {path} cannot be read: {error}; make it readable for the user of this process"),
        }
    }

    fn unusable(&self, reason: &str) -> String {
        let path = self.path();
        format!("the bundle {path} cannot be used: {reason}; give certificates of authorities as PEM, such as ca.crt")
    }
}

/// A certificate that is in order but of no use as an authority is left out, as long as there is another.
fn roots(pem: &[u8]) -> Result<RootCertStore, String> {
    let mut roots = RootCertStore::empty();
    let mut problem = "it holds no PEM block CERTIFICATE".to_owned();
    for certificate in CertificateDer::pem_slice_iter(pem) {
        let added = certificate.map_err(|error| error.to_string())?;
        if let Err(error) = roots.add(added) {
            problem = error.to_string();
        }
    }
    if roots.is_empty() { Err(problem) } else { Ok(roots) }
}

/// Sessions are not resumed: the certificate is looked at each time, by the bundle of that time.
fn config(roots: RootCertStore) -> Result<ClientConfig, String> {
    let mut config = ClientConfig::builder_with_provider(super::provider())
        .with_protocol_versions(&super::VERSIONS)
        .map_err(|error| error.to_string())?
        .with_root_certificates(roots)
        .with_no_client_auth();
    config.alpn_protocols = vec![super::ALPN.to_vec()];
    config.resumption = Resumption::disabled();
    Ok(config)
}
