//! The Secret and the ConfigMap in the Kubernetes API. Both are there before the controller is: it may read and update these
//! two names, and create nothing.

use std::future::Future;
use std::time::Duration;

use k8s_openapi::api::core::v1::{ConfigMap, Secret};
use kube::Client;
use kube::api::{Api, PostParams};

use crate::record::{BUNDLE_KEY, Data};

#[cfg(test)]
mod tests;

/// Where an authority is kept.
pub trait Store: Send + Sync {
    /// Both objects as they are.
    fn read(&self) -> impl Future<Output = Result<Found, Trouble>> + Send;

    /// Writes the authority over what was found.
    fn write_authority(&self, found: Found, data: Data) -> impl Future<Output = Result<(), Trouble>> + Send;

    /// Writes the bundle over what was found.
    fn write_bundle(&self, found: Found, bundle: String) -> impl Future<Output = Result<(), Trouble>> + Send;

    /// What to do about content that cannot be used.
    fn repair(&self) -> String;
}

/// Both objects as they were read.
#[derive(Clone, Debug, Default)]
pub struct Found {
    secret: Secret,
    configmap: ConfigMap,
}

/// Why a request failed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Trouble {
    /// Another replica wrote in between.
    #[error("another replica wrote at the same time")]
    Conflict,
    /// Anything else, with the remedy.
    #[error("{0}")]
    Failed(String),
}

/// The two objects of an installation.
#[derive(Clone)]
pub struct Objects {
    secrets: Api<Secret>,
    configmaps: Api<ConfigMap>,
    namespace: String,
    secret: String,
    configmap: String,
    words: fn(&kube::Error) -> String,
}

/// An answer that has not come by now is not waited for.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(5);

// === impl Found ===

impl Found {
    /// Both objects.
    pub fn new(secret: Secret, configmap: ConfigMap) -> Self {
        Self { secret, configmap }
    }

    /// What the Secret holds.
    pub fn data(&self) -> Data {
        self.secret.data.clone().unwrap_or_default()
    }

    /// What clients are given.
    pub fn bundle(&self) -> Option<&str> {
        self.configmap.data.as_ref()?.get(BUNDLE_KEY).map(String::as_str)
    }

    /// The Secret with other data. Its metadata carries the resourceVersion: who wrote in between makes the write fail.
    pub fn into_secret(self, data: Data) -> Secret {
        Secret { data: Some(data), ..self.secret }
    }

    /// The ConfigMap with another bundle; what else is in it stays.
    pub fn into_configmap(self, bundle: String) -> ConfigMap {
        let mut configmap = self.configmap;
        configmap.data.get_or_insert_default().insert(BUNDLE_KEY.to_owned(), bundle);
        configmap
    }
}

// === impl Objects ===

impl Objects {
    /// The objects of these names. `words` says why a request failed.
    pub fn new(
        client: Client,
        namespace: &str,
        secret: &str,
        configmap: &str,
        words: fn(&kube::Error) -> String,
    ) -> Self {
        Self {
            secrets: Api::namespaced(client.clone(), namespace),
            configmaps: Api::namespaced(client, namespace),
            namespace: namespace.to_owned(),
            secret: secret.to_owned(),
            configmap: configmap.to_owned(),
            words,
        }
    }

    fn secret(&self) -> String {
        format!("Secret {}/{}", self.namespace, self.secret)
    }

    fn configmap(&self) -> String {
        format!("ConfigMap {}/{}", self.namespace, self.configmap)
    }

    fn create(&self, kind: &str, name: &str) -> String {
        format!("kubectl -n {} create {kind} {name}", self.namespace)
    }

    async fn ask<T>(
        &self,
        verb: &str,
        object: &str,
        create: &str,
        request: impl Future<Output = Result<T, kube::Error>>,
    ) -> Result<T, Trouble> {
        let late = |_| Err(kube::Error::Service(format!("no answer within {} s", REQUEST_TIMEOUT.as_secs()).into()));
        let answer = tokio::time::timeout(REQUEST_TIMEOUT, request).await.unwrap_or_else(late);
        answer.map_err(|error| match &error {
            kube::Error::Api(status) if status.code == 409 => Trouble::Conflict,
            kube::Error::Api(status) if status.code == 404 => Trouble::Failed(format!(
                "{object} does not exist; the chart creates it empty when the controller runs with --tls authority; by hand: {create}"
            )),
            _ => Trouble::Failed(format!("cannot {verb} {object}: {}", (self.words)(&error))),
        })
    }
}

impl Store for Objects {
    async fn read(&self) -> Result<Found, Trouble> {
        // In this order: a bundle that differs is then older than the Secret, or not the one that a write would go over.
        let create = self.create("configmap", &self.configmap);
        let configmap = self.ask("get", &self.configmap(), &create, self.configmaps.get(&self.configmap)).await?;
        let create = self.create("secret generic", &self.secret);
        let secret = self.ask("get", &self.secret(), &create, self.secrets.get(&self.secret)).await?;
        Ok(Found { secret, configmap })
    }

    async fn write_authority(&self, found: Found, data: Data) -> Result<(), Trouble> {
        let (params, secret) = (PostParams::default(), found.into_secret(data));
        let create = self.create("secret generic", &self.secret);
        self.ask("update", &self.secret(), &create, self.secrets.replace(&self.secret, &params, &secret))
            .await
            .map(drop)
    }

    async fn write_bundle(&self, found: Found, bundle: String) -> Result<(), Trouble> {
        let (params, configmap) = (PostParams::default(), found.into_configmap(bundle));
        let create = self.create("configmap", &self.configmap);
        let request = self.configmaps.replace(&self.configmap, &params, &configmap);
        self.ask("update", &self.configmap(), &create, request).await.map(drop)
    }

    fn repair(&self) -> String {
        format!(
            "{} is left as it is; to begin with a new authority, remove its data: kubectl -n {} patch secret {} --type=json \
             -p '[{{\"op\":\"remove\",\"path\":\"/data\"}}]'",
            self.secret(),
            self.namespace,
            self.secret
        )
    }
}
