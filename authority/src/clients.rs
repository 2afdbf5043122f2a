//! The authorities of clients, in a file such as that of a mounted ConfigMap.

use std::path::PathBuf;
use std::sync::Arc;

use rollcall_admin::Gate;
use rollcall_xds::tls::Clients;
use tracing::{info, warn};

use crate::files::{LOOK_EVERY, read};

#[cfg(test)]
mod tests;

/// Keeps clients in step with the file.
#[derive(Debug)]
pub struct ClientCa {
    path: PathBuf,
    clients: Arc<Clients>,
    gate: Gate,
    taken: Option<Vec<u8>>,
    /// What was said last, so that a fault that lasts is not said at each look.
    said: Option<String>,
}

// === impl ClientCa ===

impl ClientCa {
    /// Nothing is read yet: `gate` is closed, so that no replica that cannot know its clients takes the place of one that can.
    pub fn new(path: PathBuf, clients: Arc<Clients>, gate: Gate) -> Self {
        gate.close("the authorities of clients (--client-ca) have not been read yet");
        Self { path, clients, gate, taken: None, said: None }
    }

    /// Keeps them for ever. A file that is gone or broken takes nothing away from what was known.
    pub async fn keep(mut self) {
        loop {
            self.look().await;
            tokio::time::sleep(LOOK_EVERY).await;
        }
    }

    async fn look(&mut self) {
        let taken = match read(&self.path, "--client-ca").await {
            Ok(content) if self.taken.as_ref() == Some(&content) => Ok(()),
            Ok(content) => self.take(content),
            Err(reason) => Err(reason),
        };
        match taken {
            Ok(()) => self.said = None,
            Err(reason) => self.failed(reason),
        }
    }

    fn take(&mut self, content: Vec<u8>) -> Result<(), String> {
        let path = self.path.display();
        self.clients.trust(&content).map_err(|reason| {
            format!("{path} (--client-ca) cannot be used: {reason}; give certificates of authorities as PEM")
        })?;
        info!(%path, "clients are asked for certificates of these authorities");
        self.taken = Some(content);
        self.gate.open();
        Ok(())
    }

    fn failed(&mut self, reason: String) {
        if self.taken.is_none() {
            self.gate.close_for("NoClientAuthority", &reason);
        }
        if self.said.as_ref() != Some(&reason) {
            warn!(reason, "the authorities of clients cannot be read; trying again");
            self.said = Some(reason);
        }
    }
}
