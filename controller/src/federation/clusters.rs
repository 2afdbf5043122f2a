//! Which clusters this one is linked to: each ClusterLink runs by itself, and is over with its object.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use rollcall_catalog::Input;
use rollcall_catalog::model::Name;
use rollcall_crds::{ClusterLink, ClusterLinkSpec};
use tokio::sync::watch;

use super::link::{self, Link, Surroundings};
use crate::kubernetes::ObjectKey;
use crate::kubernetes::informer::Handler;
use crate::writer::Message;

/// Starts and ends links. Clones are the same.
#[derive(Clone, Debug)]
pub struct Links {
    surroundings: Surroundings,
    running: Arc<Mutex<HashMap<Name, watch::Sender<Arc<ClusterLinkSpec>>>>>,
}

// === impl Links ===

impl Links {
    /// None yet.
    pub fn new(surroundings: Surroundings) -> Self {
        Self { surroundings, running: Arc::default() }
    }
}

impl Handler<ClusterLink> for Links {
    async fn apply(&mut self, link: ClusterLink) {
        let name = ObjectKey::of(&link.metadata).name;
        self.surroundings.reports.change(&name, |report| {
            report.uid = link.status.as_ref().and_then(|status| status.cluster_uid.as_deref()).map(Name::from);
            (report.generation, report.stands) = (link.metadata.generation, link.status);
        });
        let spec = Arc::new(link.spec);
        let mut running = self.running.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = running.get(&name) {
            known.send_if_modified(|known| {
                let changed = **known != *spec;
                *known = spec;
                changed
            });
            return;
        }
        let (sender, followed) = watch::channel(spec);
        tokio::spawn(Link::new(Name::clone(&name), followed, self.surroundings.clone()).run());
        running.insert(name, sender);
    }

    async fn delete(&mut self, gone: &ObjectKey) {
        self.running.lock().unwrap_or_else(PoisonError::into_inner).remove(&gone.name);
    }

    /// What an earlier process imported by a link that is no more goes now.
    async fn synced(&mut self) {
        let Surroundings { restored, inbox, offers, .. } = &self.surroundings;
        offers.clusters.complete();
        for cluster in restored.clusters() {
            for (key, _) in restored.take(&cluster) {
                inbox.send(Message::Say(Input::Gone(link::origin(&cluster, &key)))).await;
            }
        }
    }
}
