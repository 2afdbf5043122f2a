//! A certificate and a key in files, such as those of a mounted Secret.

use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use rollcall_xds::tls::Identity;
use tokio::fs::File;
use tokio::io::AsyncReadExt;

use crate::current::Current;

#[cfg(test)]
mod tests;

/// Where the two files are.
#[derive(Clone, Debug)]
pub struct Pair {
    /// The chain, the server's own certificate first.
    pub certificate: PathBuf,
    /// Its private key.
    pub key: PathBuf,
}

/// The content of the files, when it was last taken.
#[derive(PartialEq, Eq)]
struct Content {
    certificate: Vec<u8>,
    key: Vec<u8>,
}

/// Between two looks. Volumes are changed by swapping a symbolic link, which no watch of a file sees.
pub(crate) const LOOK_EVERY: Duration = Duration::from_secs(3);
/// Until a pair that does not fit is read again: it may just be replaced.
const SETTLE: Duration = Duration::from_millis(250);
/// A Secret holds no more.
const FILE_BYTES_MAX: u64 = 1 << 20;

// === impl Pair ===

impl Pair {
    /// Keeps `current` in step with the files, for ever. `wall_s` reads seconds since 1970.
    pub async fn keep(self, mut current: Current, wall_s: fn() -> i64) {
        let mut taken = None;
        loop {
            self.look(&mut taken, &mut current, wall_s()).await;
            tokio::time::sleep(LOOK_EVERY).await;
        }
    }

    async fn look(&self, taken: &mut Option<Content>, current: &mut Current, now_s: i64) {
        let mut read = self.load(taken.as_ref(), now_s).await;
        if read.is_err() {
            tokio::time::sleep(SETTLE).await;
            read = self.load(taken.as_ref(), now_s).await;
        }
        match read {
            Ok(new) => {
                if let Some((content, identity)) = new {
                    *taken = Some(content);
                    current.replace(identity);
                }
                current.refreshed(now_s);
            }
            Err(reason) => current.failed(&reason, now_s),
        }
    }

    /// The pair, when it is another than the one taken.
    async fn load(&self, taken: Option<&Content>, now_s: i64) -> Result<Option<(Content, Identity)>, String> {
        let certificate = read(&self.certificate, "--tls-cert-file").await?;
        let key = read(&self.key, "--tls-key-file").await?;
        let content = Content { certificate, key };
        if taken == Some(&content) {
            return Ok(None);
        }
        let identity = Identity::from_pem(&content.certificate, &content.key, now_s);
        let identity =
            identity.map_err(|error| format!("{}, {}: {error}", self.certificate.display(), self.key.display()))?;
        Ok(Some((content, identity)))
    }
}

pub(crate) async fn read(path: &Path, flag: &str) -> Result<Vec<u8>, String> {
    let mut content = Vec::new();
    let read = async {
        let file = File::open(path).await?;
        file.take(FILE_BYTES_MAX).read_to_end(&mut content).await
    };
    read.await.map_err(|error| match error.kind() {
        io::ErrorKind::NotFound => {
            format!("no file {} yet ({flag}); is the Secret there, and mounted?", path.display())
        }
        _ => format!(
            "{} ({flag}) cannot be read: {error}; make it readable for the user of this process",
            path.display()
        ),
    })?;
    Ok(content)
}
