//! Keeps them: reads what is there, and writes what differs.

use std::collections::BTreeMap;
use std::time::Duration;

use k8s_openapi::api::core::v1::ConfigMap;
use kube::Client;
use kube::api::{Api, PostParams};
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use super::files::{CA, Settings, Trust, brought_up_to};
use super::flags::Place;
use super::metrics::Metrics;
use crate::kubernetes::denial_notices::DenialNotices;
use crate::kubernetes::kube_error;
use crate::leadership::fence::{Fence, WRITE_TIMEOUT};

/// See the module.
pub struct Keeper {
    settings: Settings,
    client: Client,
    fence: Fence,
    denials: DenialNotices,
    metrics: Metrics,
    /// What is wrong with each, as it was said.
    said: BTreeMap<Place, String>,
}

/// Between two looks. A new authority is published five minutes before it signs, or a tenth of its lifetime.
const EVERY: Duration = Duration::from_secs(10);

// === impl Keeper ===

impl Keeper {
    /// Nothing was looked at yet.
    pub fn new(settings: Settings, client: Client, fence: Fence, denials: DenialNotices, metrics: Metrics) -> Self {
        Self { settings, client, fence, denials, metrics, said: BTreeMap::new() }
    }

    /// Looks again and again, while this replica leads.
    pub async fn run(mut self, stop: CancellationToken) {
        loop {
            if self.fence.is_open() {
                tokio::select! {
                    () = stop.cancelled() => return,
                    () = self.look() => {}
                }
                tokio::select! {
                    () = stop.cancelled() => return,
                    () = tokio::time::sleep(EVERY) => {}
                }
                continue;
            }
            self.metrics.nothing_to_keep();
            tokio::select! {
                () = stop.cancelled() => return,
                changed = self.fence.changed() => if changed.is_err() { return },
            }
        }
    }

    /// One look at all of them, one after the other.
    async fn look(&mut self) {
        let trusted = self.trusted().await;
        let mut failing = 0;
        for place in self.settings.maps.clone() {
            let kept = match &trusted {
                Ok(ca) => self.keep(&place, ca.as_deref()).await,
                Err(why) => Err(why.clone()),
            };
            match kept {
                Ok(()) => _ = self.said.remove(&place),
                Err(why) => {
                    failing += 1;
                    let before = self.said.insert(place.clone(), why.clone());
                    if before.as_ref() != Some(&why) {
                        warn!("{place} is not as it should be: {why}");
                    }
                }
            }
        }
        self.metrics.looked(self.settings.maps.len() - failing, failing);
    }

    /// The authorities that clients are to trust.
    async fn trusted(&self) -> Result<Option<String>, String> {
        match &self.settings.trust {
            None => Ok(None),
            Some(Trust::File(path)) => match tokio::fs::read_to_string(path).await {
                Ok(pem) => Ok(Some(pem)),
                Err(error) => Err(format!("--bootstrap-ca-file {} cannot be read: {error}", path.display())),
            },
            Some(Trust::Own(place)) => {
                let found = self.read(place).await?;
                let ca = found.and_then(|map| map.data?.remove(CA)).filter(|ca| !ca.is_empty());
                ca.map(Some)
                    .ok_or_else(|| format!("{place} has no {CA} yet, which the authority writes when it begins"))
            }
        }
    }

    async fn keep(&self, place: &Place, ca: Option<&str>) -> Result<(), String> {
        let (namespace, name) = (&place.namespace, &place.name);
        let found = self.read(place).await?.ok_or_else(|| {
            format!(
                "it does not exist; the chart makes it (bootstrap.namespaces), by hand kubectl create configmap {name} \
                 --namespace {namespace}"
            )
        })?;
        let Some(data) = brought_up_to(found.data.as_ref(), &self.settings.files(namespace, ca)) else { return Ok(()) };
        if !self.fence.is_open() {
            return Ok(());
        }
        // With the resourceVersion of what was read: who wrote in between makes it fail, and is seen at the next look.
        let map = ConfigMap { data: Some(data), ..found };
        let params = PostParams::default();
        match tokio::time::timeout(WRITE_TIMEOUT, self.api(namespace).replace(name, &params, &map)).await {
            Ok(Ok(_)) => {
                self.metrics.written();
                info!("{place} has the bootstrap files as they are now");
                Ok(())
            }
            Ok(Err(error)) => Err(self.words("updated", &error)),
            Err(_) => Err(format!("it could not be updated: no answer within {WRITE_TIMEOUT:?}")),
        }
    }

    /// `None` where it does not exist.
    async fn read(&self, place: &Place) -> Result<Option<ConfigMap>, String> {
        let asked = self.api(&place.namespace);
        match tokio::time::timeout(WRITE_TIMEOUT, asked.get_opt(&place.name)).await {
            Ok(Ok(found)) => Ok(found),
            Ok(Err(error)) => Err(self.words("read", &error)),
            Err(_) => Err(format!("{place} cannot be read: no answer within {WRITE_TIMEOUT:?}")),
        }
    }

    fn api(&self, namespace: &str) -> Api<ConfigMap> {
        Api::namespaced(self.client.clone(), namespace)
    }

    fn words(&self, verb: &str, error: &kube::Error) -> String {
        self.denials.told(error);
        format!("it cannot be {verb}: {}", kube_error::words(error))
    }
}
