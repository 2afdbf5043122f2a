//! Whom a client trusts, from a file that may change.

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
/// has changed. A file that is gone or cannot be used takes nothing away from what was known.
#[derive(Debug)]
pub(crate) struct Trust {
    path: PathBuf,
    known: Mutex<Known>,
}

#[derive(Debug, Default)]
struct Known {
    /// The last good content, and what came of it.
    last: Option<(Vec<u8>, Arc<ClientConfig>)>,
    /// What is wrong with the file, so that a fault that lasts is not said at each connect.
    fault: Option<String>,
}

/// A ConfigMap holds no more.
const BUNDLE_BYTES_MAX: u64 = 1 << 20;

// === impl Trust ===

impl Trust {
    /// Nothing is read yet: the file may come later.
    pub(crate) fn new(path: PathBuf) -> Self {
        Self { path, known: Mutex::default() }
    }

    /// For people.
    pub(crate) fn path(&self) -> String {
        self.path.display().to_string()
    }

    /// A client's settings with the bundle as it is now, or as it was when it was last good.
    ///
    /// # Errors
    /// When it has never been good, in words that name the remedy.
    pub(crate) async fn config(&self) -> Result<Arc<ClientConfig>, String> {
        let read = self.read().await.map_err(|error| self.unread(&error));
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        match read.and_then(|pem| known.take_up(pem).map_err(|reason| self.unusable(&reason))) {
            Ok(config) => Ok(config),
            Err(reason) => known.without(reason),
        }
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

// === impl Known ===

impl Known {
    fn take_up(&mut self, pem: Vec<u8>) -> Result<Arc<ClientConfig>, String> {
        let config = match &self.last {
            Some((known, config)) if *known == pem => Arc::clone(config),
            _ => Arc::new(config(roots(&pem)?)?),
        };
        self.last = Some((pem, Arc::clone(&config)));
        self.fault = None;
        Ok(config)
    }

    /// What was good before, if anything was.
    fn without(&mut self, reason: String) -> Result<Arc<ClientConfig>, String> {
        let Some((_, config)) = &self.last else { return Err(reason) };
        let config = Arc::clone(config);
        if self.is_new(&reason) {
            tracing::warn!(reason, "going on with the bundle that was there before");
            self.fault = Some(reason);
        }
        Ok(config)
    }

    fn is_new(&self, fault: &str) -> bool {
        self.fault.as_deref() != Some(fault)
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
