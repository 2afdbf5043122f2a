//! One of the clusters. What is there is read by requests: kubectl would be a process for each look.

use std::ops::{Deref, DerefMut};
use std::path::Path;

use anyhow::{Context, Result, anyhow, ensure};
use rollcall_e2e::rollcall::Binaries;
use rollcall_e2e::{clock, control_plane, linked};
use serde_json::Value;

use crate::pair::NAMESPACE;
use crate::support::page::metric;
use crate::support::{Api, BOUND};

/// Where kinds of the Multi-Cluster Services API are.
const MCS: &str = "/apis/multicluster.x-k8s.io/v1beta1";

/// Fields are dropped from the top down.
pub(crate) struct Cluster {
    pub(crate) api: Api,
    linked: linked::Cluster,
}

// === impl Cluster ===

impl Cluster {
    /// Starts the `number`th, with the namespace of the cases.
    pub(crate) fn start(
        planes: &control_plane::Binaries,
        binaries: &Binaries,
        number: u8,
        folder: &Path,
    ) -> Result<Self> {
        let linked = linked::Cluster::start(planes.clone(), binaries, number, folder, |_| Ok(Vec::new()))?;
        linked.kubectl.run(&["create", "namespace", NAMESPACE])?;
        Ok(Self { api: Api::start(&linked.kubectl, folder)?, linked })
    }

    /// A ServiceImport or ServiceExport, by the plural of its kind, if it exists.
    pub(crate) fn find(&self, kind: &str, namespace: &str, name: &str) -> Result<Option<Value>> {
        self.api.find(&format!("{MCS}/namespaces/{namespace}/{kind}/{name}"))
    }

    /// The same in the namespace of the cases; an error when it does not exist.
    pub(crate) fn get(&self, kind: &str, name: &str) -> Result<Value> {
        self.find(kind, NAMESPACE, name)?.with_context(|| format!("there is no {name} among {kind}"))
    }

    /// Waits until its link to the cluster of this id is in a state; what it says of it.
    pub(crate) fn await_link(&self, id: &str, state: &str) -> Result<Value> {
        clock::wait_until(&format!("the link of {} to {id} to be {state}", self.id), BOUND, || {
            let status = self.link(id)?;
            ensure!(status["state"] == state, "{status}");
            Ok(Some(status))
        })
    }

    /// The status of its link to the cluster of this id.
    pub(crate) fn link(&self, id: &str) -> Result<Value> {
        Ok(self.api.get(&format!("/apis/rollcall.dev/v1alpha1/clusterlinks/{id}"))?["status"].take())
    }

    /// Waits until the controller that runs has heard the cluster of this id: a status may be one of before a restart.
    pub(crate) fn hears(&self, id: &str) -> Result<()> {
        let (admin, labels) = (self.rollcall.controllers[0].http, format!("link=\"{id}\",state=\"Connected\""));
        clock::wait_until(&format!("the controller of {} to hear {id}", self.id), BOUND, || {
            Ok((metric(admin, "rollcall_link_state", &labels)? == 1.0).then_some(()))
        })
    }
}

impl Deref for Cluster {
    type Target = linked::Cluster;

    fn deref(&self) -> &linked::Cluster {
        &self.linked
    }
}

impl DerefMut for Cluster {
    fn deref_mut(&mut self) -> &mut linked::Cluster {
        &mut self.linked
    }
}

/// Does something in all of them at once.
pub(crate) fn each(clusters: &[&Cluster], act: impl Fn(&Cluster) -> Result<()> + Sync) -> Result<()> {
    let act = &act;
    std::thread::scope(|scope| {
        let all: Vec<_> = clusters.iter().map(|cluster| scope.spawn(move || act(cluster))).collect();
        all.into_iter().try_for_each(|one| one.join().map_err(|_| anyhow!("a thread panicked"))?)
    })
}
