//! The Secrets that checks name, read when a probe asks for them and kept for a while.
//!
//! No other Secret is read, and none is watched: the right to `get` one by name is all that it takes.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use k8s_openapi::api::core::v1::Secret;
use kube::{Api, Client};
use rollcall_catalog::model::Name;
use rollcall_health::definition::SecretKey;
use rollcall_health::probe::{ClientCertificate, Credentials};
use tokio::sync::watch;
use tokio::time::Instant;

use crate::kubernetes::kube_error;

/// Secrets by name.
#[derive(Clone)]
pub(super) struct Secrets {
    client: Client,
    kept: Arc<Mutex<HashMap<SecretKey, Kept>>>,
}

/// What is known of one.
struct Kept {
    answer: watch::Receiver<Option<Answer>>,
    /// When it was asked for by a probe, and of the API server.
    used: Instant,
    read: Instant,
}

type Answer = Result<Arc<Credentials>, Name>;

/// A certificate that was renewed is used after this time.
const FRESH: Duration = Duration::from_secs(30);
/// What could not be had is asked for again after this time.
const PAUSE: Duration = Duration::from_secs(5);
/// The API server has as long as this to answer.
const READ_TIMEOUT: Duration = Duration::from_secs(10);
/// What no probe asks for any more is forgotten.
const UNUSED: Duration = Duration::from_secs(2 * 3600);

// === impl Secrets ===

impl Secrets {
    pub(super) fn new(client: Client) -> Self {
        Self { client, kept: Arc::default() }
    }

    /// What a Secret holds, from the last half minute; waits where nothing is known of it yet.
    pub(super) async fn get(&self, key: &SecretKey) -> Answer {
        let mut answer = self.answer(key);
        let known = answer.wait_for(Option::is_some).await;
        match known {
            Ok(known) => known.clone().unwrap_or_else(|| Err(stopped(key))),
            Err(_) => Err(stopped(key)),
        }
    }

    /// Who asks, asks the API server for the next one too, if it is time.
    fn answer(&self, key: &SecretKey) -> watch::Receiver<Option<Answer>> {
        let now = Instant::now();
        let mut kept = self.kept();
        if let Some(known) = kept.get_mut(key) {
            known.used = now;
            let fresh = match &*known.answer.borrow() {
                None => READ_TIMEOUT,
                Some(Ok(_)) => FRESH,
                Some(Err(_)) => PAUSE,
            };
            if now.duration_since(known.read) < fresh {
                return known.answer.clone();
            }
        }
        kept.retain(|_, kept| now.duration_since(kept.used) < UNUSED);
        let before = kept.get(key).and_then(|known| known.answer.borrow().clone());
        let (sender, answer) = watch::channel(before.clone().filter(Result::is_ok));
        kept.insert(key.clone(), Kept { answer: answer.clone(), used: now, read: now });
        // In a task: a probe that ends before the answer must not be the reason that there is never one.
        let (secrets, key) = (self.clone(), key.clone());
        tokio::spawn(async move {
            let answer = secrets.read(&key, before).await;
            sender.send_replace(Some(answer));
        });
        answer
    }

    async fn read(&self, key: &SecretKey, before: Option<Answer>) -> Answer {
        let secrets: Api<Secret> = Api::namespaced(self.client.clone(), &key.namespace);
        let why = match tokio::time::timeout(READ_TIMEOUT, secrets.get_opt(&key.name)).await {
            Ok(Ok(Some(secret))) => return read(key, secret),
            Ok(Ok(None)) => return Err(missing(key)),
            Ok(Err(kube::Error::Api(status))) if status.code == 403 => return Err(forbidden(key)),
            Ok(Err(error)) => kube_error::words(&error),
            Err(_) => format!("no answer within {READ_TIMEOUT:?}"),
        };
        // The API server is away: what was known still holds.
        before.filter(Result::is_ok).unwrap_or_else(|| {
            Err(format!("Secret {key} cannot be read: {why}; it is tried again in {} s", PAUSE.as_secs()).into())
        })
    }

    fn kept(&self) -> MutexGuard<'_, HashMap<SecretKey, Kept>> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn read(key: &SecretKey, secret: Secret) -> Answer {
    let mut data = secret.data.unwrap_or_default();
    let mut take = |name: &str| data.remove(name).map(|bytes| bytes.0.into_boxed_slice());
    let (certificate, private, authorities) = (take("tls.crt"), take("tls.key"), take("ca.crt"));
    let certificate = match (certificate, private) {
        (Some(chain), Some(key)) => Some(ClientCertificate { chain, key }),
        (None, None) => None,
        (Some(_), None) => return Err(format!("Secret {key} has tls.crt and no tls.key; give both").into()),
        (None, Some(_)) => return Err(format!("Secret {key} has tls.key and no tls.crt; give both").into()),
    };
    if certificate.is_none() && authorities.is_none() {
        let words =
            format!("Secret {key} has neither tls.crt and tls.key nor ca.crt; give a Secret of type kubernetes.io/tls");
        return Err(words.into());
    }
    Ok(Arc::new(Credentials { certificate, authorities }))
}

fn missing(key: &SecretKey) -> Name {
    let SecretKey { namespace, name } = key;
    format!("Secret {key} does not exist; make it by kubectl create secret tls {name} --namespace {namespace} --cert FILE --key FILE")
        .into()
}

fn forbidden(key: &SecretKey) -> Name {
    let SecretKey { namespace, name } = key;
    format!(
        "this controller may not get Secret {key}: add it in the chart's values, as controller.checkSecrets: {{{namespace}: \
         [{name}]}}, or bind a Role with that rule"
    )
    .into()
}

fn stopped(key: &SecretKey) -> Name {
    format!("Secret {key} was not read before this process stopped").into()
}

#[cfg(test)]
mod tests;
