//! Whom a client trusts, from a file that may change.

use std::{
    io,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError},
};

use tokio::{fs::File, io::AsyncReadExt};
use tokio_rustls::rustls::{
    ClientConfig, RootCertStore,
    client::Resumption,
    pki_types::{CertificateDer, UnixTime, pem::PemObject},
    sign::SingleCertAndKey,
};

use super::Identity;

#[cfg(test)]
mod tests;

/// The authorities that a client trusts: a bundle in a file, which is read at each connect and taken up when its content
/// has changed. A file that is gone or cannot be used takes nothing away from what was known.
#[derive(Debug)]
pub(crate) struct Trust {
    path: PathBuf,
    own: Option<Own>,
    known: Mutex<Known>,
}

/// The files of the certificate that a client shows to servers that ask for one, and of its key, as PEM. Read at each connect.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Own {
    /// The chain, the client's own certificate first.
    pub certificate: PathBuf,
    /// Its private key.
    pub key: PathBuf,
}

/// What the files hold.
#[derive(PartialEq, Eq)]
struct Content {
    bundle: Vec<u8>,
    /// Certificate and key.
    own: Option<[Vec<u8>; 2]>,
}

#[derive(Default)]
struct Known {
    /// The last good content, and what came of it.
    last: Option<(Content, Arc<ClientConfig>)>,
    /// What is wrong with the file, so that a fault that lasts is not said at each connect.
    fault: Option<String>,
}

/// A ConfigMap holds no more.
const BUNDLE_BYTES_MAX: u64 = 1 << 20;

// === impl Trust ===

impl Trust {
    /// Nothing is read yet: the file may come later.
    pub(crate) fn new(path: PathBuf, own: Option<Own>) -> Self {
        Self { path, own, known: Mutex::default() }
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
        let read = self.content().await;
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        match read.and_then(|content| known.take_up(content, self)) {
            Ok(config) => Ok(config),
            Err(reason) => known.without(reason),
        }
    }

    async fn content(&self) -> Result<Content, String> {
        let bundle = read(&self.path).await.map_err(|error| self.unread(&error))?;
        let own = match &self.own {
            Some(Own { certificate, key }) => Some([own_file(certificate).await?, own_file(key).await?]),
            None => None,
        };
        Ok(Content { bundle, own })
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

    fn own(&self, [certificate, key]: &[Vec<u8>; 2]) -> Result<Identity, String> {
        let now_s = i64::try_from(UnixTime::now().as_secs()).unwrap_or(i64::MAX);
        Identity::from_pem(certificate, key, now_s).map_err(|error| {
            let files = self.own.iter().map(|own| format!("{}, {}", own.certificate.display(), own.key.display()));
            format!("the client certificate cannot be used ({}): {error}", files.collect::<String>())
        })
    }

    fn unusable(&self, reason: &str) -> String {
        let path = self.path();
        format!("the bundle {path} cannot be used: {reason}; give certificates of authorities as PEM, such as ca.crt")
    }
}

async fn read(path: &Path) -> io::Result<Vec<u8>> {
    let mut pem = Vec::new();
    let file = File::open(path).await?;
    file.take(BUNDLE_BYTES_MAX).read_to_end(&mut pem).await?;
    Ok(pem)
}

async fn own_file(path: &Path) -> Result<Vec<u8>, String> {
    read(path).await.map_err(|error| {
        let path = path.display();
        format!("the client certificate or key {path} cannot be read: {error}; put it there, readable for this process")
    })
}

// === impl Known ===

impl std::fmt::Debug for Known {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Known").field("fault", &self.fault).finish_non_exhaustive()
    }
}

impl Known {
    fn take_up(&mut self, content: Content, of: &Trust) -> Result<Arc<ClientConfig>, String> {
        let config = match &self.last {
            Some((known, config)) if *known == content => Arc::clone(config),
            _ => {
                let roots = roots(&content.bundle).map_err(|reason| of.unusable(&reason))?;
                let own = content.own.as_ref().map(|pair| of.own(pair)).transpose()?;
                Arc::new(config(roots, own).map_err(|reason| of.unusable(&reason))?)
            }
        };
        self.last = Some((content, Arc::clone(&config)));
        self.fault = None;
        Ok(config)
    }

    /// What was good before, if anything was.
    fn without(&mut self, reason: String) -> Result<Arc<ClientConfig>, String> {
        let Some((_, config)) = &self.last else { return Err(reason) };
        let config = Arc::clone(config);
        if self.is_new(&reason) {
            tracing::warn!(reason, "going on with the certificates that were there before");
            self.fault = Some(reason);
        }
        Ok(config)
    }

    fn is_new(&self, fault: &str) -> bool {
        self.fault.as_deref() != Some(fault)
    }
}

/// A client's settings with a bundle that is given, as PEM, and perhaps its own chain and key.
///
/// # Errors
/// When they cannot be used.
pub(crate) fn given(pem: &[u8], own: Option<&[Arc<[u8]>; 2]>) -> Result<Arc<ClientConfig>, String> {
    let unusable = |reason| format!("the bundle cannot be used: {reason}; give certificates of authorities as PEM");
    let own = own.map(|[chain, key]| {
        let now_s = i64::try_from(UnixTime::now().as_secs()).unwrap_or(i64::MAX);
        Identity::from_pem(chain, key, now_s).map_err(|error| format!("the client certificate cannot be used: {error}"))
    });
    let own = own.transpose()?;
    let roots = roots(pem).map_err(unusable)?;
    config(roots, own).map(Arc::new).map_err(unusable)
}

/// Whether a client could trust the authorities of this bundle, as PEM.
///
/// # Errors
/// When it could not, the reason.
pub fn authorities(pem: &[u8]) -> Result<(), String> {
    roots(pem).map(drop)
}

/// A certificate that is in order but of no use as an authority is left out, as long as there is another.
pub(super) fn roots(pem: &[u8]) -> Result<RootCertStore, String> {
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
fn config(roots: RootCertStore, own: Option<Identity>) -> Result<ClientConfig, String> {
    let config = ClientConfig::builder_with_provider(super::provider())
        .with_protocol_versions(&super::VERSIONS)
        .map_err(|error| error.to_string())?
        .with_root_certificates(roots);
    let mut config = match own {
        Some(own) => config.with_client_cert_resolver(Arc::new(SingleCertAndKey::from((**own.certified()).clone()))),
        None => config.with_no_client_auth(),
    };
    config.alpn_protocols = vec![super::ALPN.to_vec()];
    config.resumption = Resumption::disabled();
    Ok(config)
}
