//! Who this cluster is by the About API (KEP-2149): the ClusterProperties `cluster.clusterset.k8s.io` and `clusterset.k8s.io`, by
//! which every tool knows it. What the flags say holds; where a property says something else, that is told.

use std::time::Duration;

use kube::api::{Api, Patch, PatchParams};
use kube::{Client, Resource};
use rollcall_admin::{Notices, Readiness};
use rollcall_crds::cluster_property::{CLUSTER_ID, CLUSTERSET, ClusterProperty};
use serde_json::json;
use tokio_util::sync::CancellationToken;

use crate::kubernetes::kube_error;
use crate::kubernetes::syntax::is_dns_label;
use crate::leadership::fence::{Fence, WRITE_TIMEOUT};
use crate::writeback::apply::FIELD_MANAGER;

/// What ClusterProperties are to this controller.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub enum Properties {
    /// Nothing: they are not looked at.
    #[default]
    Ignore,
    /// They give the cluster's id where no flag does, and are held against the flags.
    Read,
    /// The same, and they are written where there are none.
    Write,
}

/// What this cluster says of itself.
#[derive(Clone, Debug)]
pub struct About {
    /// What properties are to it.
    pub properties: Properties,
    /// Its id, where it has one.
    pub cluster_id: Option<String>,
    /// The set of clusters that it is in, where that is given.
    pub clusterset: Option<String>,
}

/// A property, as it stands.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Standing {
    value: String,
    /// This product wrote it.
    ours: bool,
}

/// What is to be done about a property.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Step {
    /// Nothing.
    Rest,
    /// It is written with this value.
    Write(String),
    /// It says something else than the flag of this name.
    Tell(String),
}

/// How long a start waits for a property.
const PATIENCE: Duration = Duration::from_secs(3);
/// Between two looks; while this cluster has no id, between two looks for one.
const PAUSE_S: u64 = 30;
const PAUSE_WITHOUT_S: u64 = 5;
/// Whose objects have this label are ours.
const MANAGED_BY: (&str, &str) = ("app.kubernetes.io/managed-by", "rollcall");

// === impl About ===

impl About {
    /// With the id that a property gives where no flag does. Who gets no answer soon goes on without.
    pub async fn with_id(mut self, client: &Client) -> Self {
        if self.properties != Properties::Ignore && self.cluster_id.is_none() {
            let read = tokio::time::timeout(PATIENCE, read(client, CLUSTER_ID)).await;
            let standing = read.unwrap_or_else(|_| Err(format!("no answer within {PATIENCE:?}")));
            match standing.map(|standing| standing.map(|standing| label(standing.value))) {
                Ok(Some(Ok(id))) => self.cluster_id = Some(id),
                Ok(Some(Err(words))) => tracing::error!("{words}"),
                Ok(None) => tracing::warn!(
                    "there is neither a --cluster-id nor a ClusterProperty {CLUSTER_ID}: this cluster is linked with no other"
                ),
                Err(why) => tracing::warn!(why, "ClusterProperty {CLUSTER_ID} cannot be read; it is tried again"),
            }
        }
        self
    }

    /// Looks at the properties as long as the process lives, and writes them by the leader, if it is to. A process that began
    /// without an id ends when a property gives one, for all that is made of it is made at a start.
    pub fn keep(self, client: Client, fence: Fence, stop: CancellationToken) {
        if self.properties == Properties::Ignore {
            return;
        }
        let concerns = Readiness::default();
        tokio::spawn(Notices::of_this_pod("controller").watch(concerns.clone(), stop.clone()));
        tokio::spawn(async move {
            let both = [(CLUSTER_ID, "--cluster-id"), (CLUSTERSET, "--clusterset")];
            loop {
                let led = fence.is_open();
                for (name, flag) in both {
                    let gate = concerns.gate(name);
                    match self.look(&client, (name, flag), &fence, &stop).await {
                        Ok(()) => gate.open(),
                        Err(words) => gate.close_for("ClusterProperty", words),
                    }
                }
                // Who begins to lead looks at once: it may have to write.
                let pause_s = if self.cluster_id.is_none() { PAUSE_WITHOUT_S } else { PAUSE_S };
                for _ in 0..pause_s {
                    tokio::select! {
                        () = stop.cancelled() => return,
                        () = tokio::time::sleep(Duration::from_secs(1)) => {}
                    }
                    if !led && fence.is_open() {
                        break;
                    }
                }
            }
        });
    }

    async fn look(
        &self,
        client: &Client,
        (name, flag): (&str, &'static str),
        fence: &Fence,
        stop: &CancellationToken,
    ) -> Result<(), String> {
        let ours = if name == CLUSTER_ID { &self.cluster_id } else { &self.clusterset };
        let standing = read(client, name).await?;
        if let (CLUSTER_ID, None, Some(standing)) = (name, ours, &standing) {
            let id = label(standing.value.clone())?;
            tracing::info!(id, "this cluster has an id by now: the controller starts anew with it");
            stop.cancel();
            return Ok(());
        }
        match step((name, flag), ours.as_deref(), standing.as_ref(), self.properties) {
            Step::Rest => Ok(()),
            Step::Tell(words) => Err(words),
            Step::Write(value) if fence.is_open() => write(client, name, &value).await,
            Step::Write(_) => Ok(()),
        }
    }
}

fn step((name, flag): (&str, &str), ours: Option<&str>, standing: Option<&Standing>, properties: Properties) -> Step {
    let Some(ours) = ours else { return Step::Rest };
    match standing {
        Some(standing) if standing.value == ours => Step::Rest,
        Some(standing) if !(standing.ours && properties == Properties::Write) => Step::Tell(format!(
            "ClusterProperty {name} says {:.63} and {flag} says {ours:.63}, which holds here; other tools go by the property: make \
             them the same",
            standing.value
        )),
        None if properties != Properties::Write => Step::Rest,
        Some(_) | None => Step::Write(ours.to_owned()),
    }
}

/// A property's value as the id of a cluster.
fn label(value: String) -> Result<String, String> {
    if is_dns_label(&value) {
        return Ok(value);
    }
    Err(format!(
        "ClusterProperty {CLUSTER_ID} says {value:.63}, and the id has to be a DNS label, for it becomes part of names: give one by \
         --cluster-id"
    ))
}

async fn read(client: &Client, name: &str) -> Result<Option<Standing>, String> {
    let api: Api<ClusterProperty> = Api::all(client.clone());
    match tokio::time::timeout(WRITE_TIMEOUT, api.get_opt(name)).await {
        Ok(Ok(property)) => Ok(property.map(|property| Standing {
            ours: property
                .metadata
                .labels
                .is_some_and(|labels| labels.get(MANAGED_BY.0).is_some_and(|by| by == MANAGED_BY.1)),
            value: property.spec.value,
        })),
        Ok(Err(error)) => Err(format!("ClusterProperty {name} cannot be read: {}", kube_error::words(&error))),
        Err(_) => Err(format!("ClusterProperty {name} cannot be read: no answer within {WRITE_TIMEOUT:?}")),
    }
}

async fn write(client: &Client, name: &str, value: &str) -> Result<(), String> {
    let api: Api<ClusterProperty> = Api::all(client.clone());
    let object = json!({
        "apiVersion": ClusterProperty::api_version(&()), "kind": ClusterProperty::kind(&()),
        "metadata": { "name": name, "labels": { MANAGED_BY.0: MANAGED_BY.1 } }, "spec": { "value": value },
    });
    let (params, object) = (PatchParams::apply(FIELD_MANAGER), Patch::Apply(object));
    let write = api.patch(name, &params, &object);
    match tokio::time::timeout(WRITE_TIMEOUT, write).await {
        Ok(Ok(_)) => Ok(()),
        Ok(Err(kube::Error::Api(status))) if status.code == 404 => Err(format!(
            "ClusterProperty {name} cannot be written, for the API server does not serve clusterproperties.about.k8s.io: install its \
             definition (crds.enabled), or set federation.clusterProperty to ignore"
        )),
        Ok(Err(error)) => Err(format!("ClusterProperty {name} cannot be written: {}", kube_error::words(&error))),
        Err(_) => Err(format!("ClusterProperty {name} cannot be written: no answer within {WRITE_TIMEOUT:?}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn standing(value: &str, ours: bool) -> Standing {
        Standing { value: value.to_owned(), ours }
    }

    #[test]
    fn a_flag_holds_and_a_property_of_somebody_else_is_told_of_and_not_written() {
        let of = |ours, standing: Option<&Standing>, properties| {
            step((CLUSTER_ID, "--cluster-id"), ours, standing, properties)
        };
        let (theirs, mine) = (standing("east", false), standing("east", true));
        for properties in [Properties::Read, Properties::Write] {
            assert_eq!(of(Some("east"), Some(&theirs), properties), Step::Rest);
            assert_eq!(of(None, Some(&theirs), properties), Step::Rest);
            let Step::Tell(words) = of(Some("west"), Some(&theirs), properties) else { panic!("it is told") };
            assert!(words.contains("says east and --cluster-id says west, which holds here"), "{words}");
        }
        assert_eq!(of(Some("west"), None, Properties::Read), Step::Rest);
        let written = Step::Write("west".to_owned());
        assert_eq!(of(Some("west"), None, Properties::Write), written);
        assert_eq!(of(Some("west"), Some(&mine), Properties::Write), written);
        assert!(matches!(of(Some("west"), Some(&mine), Properties::Read), Step::Tell(_)));
    }

    #[test]
    fn an_id_is_a_label() {
        assert_eq!(label("east-1".to_owned()), Ok("east-1".to_owned()));
        for wrong in [
            "",
            "east.example.net",
            "-a",
            "East",
            "6f1f5f0c-0000-4000-8000-000000000000-with-more-than-sixty-three-bytes",
        ] {
            assert!(label(wrong.to_owned()).expect_err("no label").contains("has to be a DNS label"), "{wrong}");
        }
    }
}
