//! What a server knows that finds no controller: the catalog as a file has it, until the stream brings what differs.

use rollcall_xds::client::Known;

use super::Subscriber;
use super::decode;
use crate::metrics::ResourceKind;
use crate::saved::Saved;
use crate::saved::format::{Entry, FormatError};
use crate::zone::writer::Change;

/// Changes that are applied at once.
const BATCH: usize = 1024;

// === impl Subscriber ===

impl Subscriber {
    /// Takes over what a file has, before the stream begins, and says what the first server is to be told of it. What cannot be used of it is asked for again.
    ///
    /// # Errors
    /// When the disk fails meanwhile. What was taken over by then is not answered.
    pub fn restore(&mut self, saved: &Saved) -> Result<Known, FormatError> {
        let (mut known, mut changes, mut machines, mut domain) = (Known::new(), Vec::new(), Vec::new(), None);
        let now = (self.clock)();
        saved.read(|entry| {
            let Entry { ty, resource } = entry;
            let change = match super::kind(ty) {
                Some(ResourceKind::EndpointBucket) => self.decoder.bucket(&resource),
                Some(ResourceKind::Service) => self.decoder.service(&resource),
                Some(ResourceKind::Machine) => {
                    if let Ok(change) = self.decoder.machine(&resource) {
                        known.entry(ty).or_default().push((resource.name, resource.version));
                        machines.push(change);
                    }
                    return;
                }
                // Sent again in any case: it comes last, and so says that the rest has come.
                Some(ResourceKind::Zone) => {
                    domain = decode::domains(&resource.value).ok();
                    return;
                }
                None => return,
            };
            if let Ok(change) = change {
                known.entry(ty).or_default().push((resource.name, resource.version));
                changes.push(change);
            }
            if changes.len() == BATCH {
                self.take_over(&mut changes);
            }
        })?;
        self.take_over(&mut changes);
        self.writer.apply_machines(machines, self.unix_seconds());
        let synced = domain
            .is_some_and(|(domain, across)| self.writer.sync_across(&domain, &across, now.as_secs() as u32).is_ok());
        if synced {
            let age = saved.age(now);
            self.writer.zone().restored(age.as_secs());
            self.metrics.restored(saved.as_of, self.writer.size());
            self.remark("no controller has been reached yet");
            tracing::info!(?age, services = self.writer.size().services, "answering from the snapshot on disk");
        }
        Ok(known)
    }

    fn take_over(&mut self, changes: &mut Vec<Change>) {
        let now = self.unix_seconds();
        self.writer.apply(std::mem::take(changes), now);
    }

    /// Ready, and says from when the answers are.
    pub(super) fn remark(&self, reason: &str) {
        let age = self.writer.zone().age_s();
        self.gate.open_with(format!("answering from the snapshot on disk, {age} s old and marked as stale: {reason}"));
    }

    /// The stream has brought everything.
    pub(super) fn caught_up(&self) {
        self.writer.zone().caught_up();
        self.metrics.saved.in_use.set(0);
        self.gate.open();
    }
}
