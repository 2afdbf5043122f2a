//! Which clusters this one is linked to: each ClusterLink runs by itself, and is over with its object.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use rollcall_catalog::Input;
use rollcall_catalog::model::Name;
use rollcall_crds::{ClusterLink, ClusterLinkSpec, ClusterLinkStatus};
use tokio::sync::watch;
use tokio::task::JoinHandle;

use super::link::{self, Link, Surroundings};
use crate::kubernetes::ObjectKey;
use crate::kubernetes::informer::Handler;
use crate::writer::Message;

/// Starts and ends links. Clones are the same.
#[derive(Clone, Debug)]
pub struct Links {
    surroundings: Surroundings,
    all: Arc<Mutex<All>>,
}

#[derive(Debug, Default)]
struct All {
    running: HashMap<Name, (watch::Sender<Arc<ClusterLinkSpec>>, JoinHandle<()>)>,
    /// Of links that are gone: they take out what they brought. One that is made again under such a name begins after that, or it
    /// would lose what it brings.
    ending: HashMap<Name, JoinHandle<()>>,
}

/// What a link's object says beside its spec.
type Stands = (Option<i64>, Option<ClusterLinkStatus>);

// === impl Links ===

impl Links {
    /// None yet.
    pub fn new(surroundings: Surroundings) -> Self {
        Self { surroundings, all: Arc::default() }
    }

    fn note(&self, name: &Name, (generation, stands): Stands) {
        self.surroundings.reports.change(name, |report| {
            report.uid = stands.as_ref().and_then(|status| status.cluster_uid.as_deref()).map(Name::from);
            (report.generation, report.stands) = (generation, stands);
        });
    }
}

impl Handler<ClusterLink> for Links {
    async fn apply(&mut self, link: ClusterLink) {
        let name = ObjectKey::of(&link.metadata).name;
        let stands = (link.metadata.generation, link.status);
        self.note(&name, stands.clone());
        let spec = Arc::new(link.spec);
        let mut all = self.all.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((known, _)) = all.running.get(&name) {
            known.send_if_modified(|known| {
                let changed = **known != *spec;
                *known = spec;
                changed
            });
            return;
        }
        let (sender, followed) = watch::channel(spec);
        let task = match all.ending.remove(&name).filter(|before| !before.is_finished()) {
            None => tokio::spawn(Link::new(Name::clone(&name), followed, self.surroundings.clone()).run()),
            Some(before) => {
                let (links, name) = (self.clone(), Name::clone(&name));
                tokio::spawn(async move {
                    _ = before.await;
                    links.note(&name, stands);
                    Link::new(name, followed, links.surroundings).run().await;
                })
            }
        };
        all.running.insert(name, (sender, task));
    }

    async fn delete(&mut self, gone: &ObjectKey) {
        let mut all = self.all.lock().unwrap_or_else(PoisonError::into_inner);
        all.ending.retain(|_, task| !task.is_finished());
        if let Some((_, task)) = all.running.remove(&gone.name) {
            all.ending.insert(Name::clone(&gone.name), task);
        }
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
