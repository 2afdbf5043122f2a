//! Events about the process itself, regarding its own pod: `kubectl describe pod` tells why it is not ready.
//!
//! - [`news`]: what is worth telling, pure
//! - [`Notices`]: the Events (events.k8s.io/v1), sent where the process runs as a pod and knows its name
//!
//! docs/decisions/016-events-about-processes.md says why it is done so.

pub mod news;

use std::collections::VecDeque;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::time::Duration;

use http::StatusCode;
use jiff::Timestamp;
use serde_json::{Value, json};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::api_server::{ApiError, ApiServer};
use crate::clock;
use crate::readiness::Readiness;
use news::{Kind, News, Notice};

/// Tells Events about this process.
#[derive(Debug)]
pub struct Notices {
    component: &'static str,
    /// `None` outside of a cluster, or where the pod's name is not known: nothing is sent then.
    to: Option<(Pod, ApiServer)>,
    /// A missing rule or token is logged once.
    refused: AtomicBool,
}

/// The pod of this process, from the downward API.
#[derive(Clone, Debug)]
pub struct Pod {
    name: String,
    namespace: String,
    uid: String,
}

/// How often the gates are looked at.
const LOOK: Duration = Duration::from_secs(1);
/// Pause after an Event that could not be sent.
const PAUSE: Duration = Duration::from_secs(10);
/// Events that wait for the API server at most; older ones are dropped.
const WAITING_MAX: usize = 8;
/// The end of a process is not delayed for longer.
const FATAL_MAX: Duration = Duration::from_secs(2);
/// The same Event within this time is one: a container that restarts again and again makes no pile.
const SAME: i64 = 600;
/// Limits of events.k8s.io/v1.
const NOTE_BYTES_MAX: usize = 1024;
const INSTANCE_BYTES_MAX: usize = 128;
const NAME_BYTES_MAX: usize = 253;

// === impl Notices ===

impl Notices {
    /// Notices of a component (`controller`, `dns`), as the environment allows: `POD_NAME`, `POD_NAMESPACE` and `POD_UID`
    /// say which pod this is.
    pub fn of_this_pod(component: &'static str) -> Self {
        let to = Pod::from_env().zip(ApiServer::of_this_pod());
        Self { component, to, refused: AtomicBool::new(false) }
    }

    /// Tells of gates that stay closed, and of their end, until `stop`.
    pub async fn watch(self, readiness: Readiness, stop: CancellationToken) {
        if self.to.is_none() {
            tracing::debug!(
                "not a pod, or POD_NAME, POD_NAMESPACE and POD_UID are not set: no Events about this process"
            );
            return;
        }
        let (mut news, mut waiting) = (News::default(), VecDeque::new());
        let mut not_before = Instant::now();
        while stop.run_until_cancelled(tokio::time::sleep(LOOK)).await.is_some() {
            waiting.extend(news.observe(Instant::now(), &readiness.gates()));
            waiting.drain(..waiting.len().saturating_sub(WAITING_MAX));
            while let Some(notice) = waiting.front().filter(|_| Instant::now() >= not_before) {
                match stop.run_until_cancelled(self.send(notice)).await {
                    Some(Sent::Done) => drop(waiting.pop_front()),
                    Some(Sent::Later) => not_before = Instant::now() + PAUSE,
                    None => return,
                }
            }
        }
    }

    /// Tells why the process ends; for 2 s at most.
    pub async fn fatal(&self, fault: &'static str, text: &str) {
        let notice = Notice { kind: Kind::Warning, reason: fault.to_owned(), action: "Start", note: text.to_owned() };
        if tokio::time::timeout(FATAL_MAX, self.send(&notice)).await.is_err() {
            tracing::debug!("the API server took no Event about the end of this process in time");
        }
    }

    async fn send(&self, notice: &Notice) -> Sent {
        let Some((pod, api)) = &self.to else { return Sent::Done };
        let object = event(pod, self.component, notice, clock::wall()).to_string();
        let path = format!("/apis/events.k8s.io/v1/namespaces/{}/events", pod.namespace);
        match api.create(&path, object).await {
            Ok(()) => Sent::Done,
            // Told already.
            Err(ApiError::Refused(StatusCode::CONFLICT, _)) => Sent::Done,
            Err(ApiError::Refused(StatusCode::FORBIDDEN, message)) => {
                if !self.refused.swap(true, Relaxed) {
                    tracing::warn!(
                        message,
                        "Events about this process are not allowed: \
                         grant create on events (events.k8s.io) in namespace {} to its ServiceAccount",
                        pod.namespace
                    );
                }
                Sent::Done
            }
            Err(error @ ApiError::Refused(status, _))
                if status.is_client_error() && status != StatusCode::TOO_MANY_REQUESTS =>
            {
                tracing::warn!(%error, "an Event about this process was not taken");
                Sent::Done
            }
            Err(error @ ApiError::Files(..)) => {
                if !self.refused.swap(true, Relaxed) {
                    tracing::warn!(%error, "Events about this process cannot be sent");
                }
                Sent::Later
            }
            Err(error) => {
                tracing::debug!(%error, "an Event about this process waits");
                Sent::Later
            }
        }
    }
}

enum Sent {
    /// It is there, or will never be.
    Done,
    /// The API server is away.
    Later,
}

// === impl Pod ===

impl Pod {
    fn from_env() -> Option<Self> {
        let set = |name: &str| std::env::var(name).ok().filter(|value| !value.is_empty());
        Some(Self { name: set("POD_NAME")?, namespace: set("POD_NAMESPACE")?, uid: set("POD_UID")? })
    }
}

/// The object, under a name that follows from what it says, so that told twice it is there once.
fn event(pod: &Pod, component: &str, notice: &Notice, now: Timestamp) -> Value {
    let mut hash = DefaultHasher::new();
    (&pod.uid, notice.kind.as_str(), &notice.reason, news::steady(&notice.note), now.as_second() / SAME)
        .hash(&mut hash);
    let name = format!("{}.{:016x}", cut(&pod.name, NAME_BYTES_MAX - 17), hash.finish());
    json!({
        "apiVersion": "events.k8s.io/v1",
        "kind": "Event",
        "metadata": { "name": name, "namespace": pod.namespace },
        "eventTime": format!("{now:.6}"),
        "type": notice.kind.as_str(),
        "reason": notice.reason,
        "action": notice.action,
        "note": cut(&notice.note, NOTE_BYTES_MAX),
        "regarding": { "apiVersion": "v1", "kind": "Pod", "namespace": pod.namespace, "name": pod.name, "uid": pod.uid },
        "reportingController": format!("rollcall.dev/{component}"),
        "reportingInstance": cut(&pod.name, INSTANCE_BYTES_MAX),
    })
}

/// The beginning of a text, whole characters only.
fn cut(text: &str, bytes_max: usize) -> &str {
    let end = (0..=bytes_max.min(text.len())).rev().find(|end| text.is_char_boundary(*end));
    &text[..end.unwrap_or(0)]
}

#[cfg(test)]
mod tests;
