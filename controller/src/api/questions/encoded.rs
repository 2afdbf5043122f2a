//! Answers as bytes: encoded once for each state of a service and each filter, and shared by all who ask.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use rollcall_catalog::digest::{Digest, Version};
use rollcall_catalog::input::ServiceKind;
use rollcall_catalog::model::ServiceKey;
use rollcall_catalog::service::Service;
use serde::Serialize;

use super::filter::Filter;
use super::told::Told;

/// What is asked: a service, and which of its endpoints.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Question {
    pub(super) key: ServiceKey,
    pub(super) filter: Filter,
}

/// An answer; its version is a hash of its content, the same on every replica.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Encoded {
    pub(super) version: Version,
    /// JSON; `None` when there is no such service.
    pub(super) body: Option<Bytes>,
}

/// Encodes, and keeps what was asked for, in bounded size.
#[derive(Debug, Default)]
pub(super) struct Encoder(Mutex<Generations>);

/// What was not asked for longest goes first, half of all at a time.
#[derive(Debug, Default)]
struct Generations {
    young: HashMap<Question, Kept>,
    old: HashMap<Question, Kept>,
    /// Of the young.
    bytes: usize,
}

#[derive(Clone, Debug)]
struct Kept {
    of: Arc<Service>,
    answer: Arc<Encoded>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Body<'a> {
    namespace: &'a str,
    service: &'a str,
    stale: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    external_name: Option<&'a str>,
    endpoints: Vec<Told<'a>>,
}

/// The version of what is not there.
pub(super) const ABSENT: &str = "0000000000000000";
/// Of each generation.
const BYTES_MAX: usize = 32 << 20;
/// What an answer takes beside its body.
const ENTRY_BYTES: usize = 512;

// === impl Encoder ===

impl Encoder {
    /// The answer to a question about this state of its service.
    pub(super) fn answer(&self, question: &Question, service: Option<&Arc<Service>>) -> Arc<Encoded> {
        let Some(service) = service.filter(|service| service.exists()) else {
            return Arc::new(Encoded { version: Version(0), body: None });
        };
        let current = |kept: &Kept| Arc::ptr_eq(&kept.of, service).then(|| Arc::clone(&kept.answer));
        let mut held = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(answer) = held.young.get(question).and_then(current) {
            return answer;
        }
        let answer = held.old.remove(question).as_ref().and_then(current);
        drop(held);
        let answer = answer.unwrap_or_else(|| Arc::new(encode(&question.filter, service)));
        held = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        held.keep(question.clone(), Kept { of: Arc::clone(service), answer: Arc::clone(&answer) });
        answer
    }
}

// === impl Generations ===

impl Generations {
    fn keep(&mut self, question: Question, kept: Kept) {
        self.bytes += kept.bytes();
        if let Some(before) = self.young.insert(question, kept) {
            self.bytes -= before.bytes();
        }
        if self.bytes > BYTES_MAX {
            self.old = std::mem::take(&mut self.young);
            self.bytes = 0;
        }
    }
}

// === impl Kept ===

impl Kept {
    fn bytes(&self) -> usize {
        ENTRY_BYTES + self.answer.body.as_ref().map_or(0, Bytes::len)
    }
}

fn encode(filter: &Filter, service: &Service) -> Encoded {
    let members = service.endpoints.iter().filter(|member| filter.takes(service, member));
    let mut endpoints: Vec<_> = members.map(|member| Told::new(service, member)).collect();
    endpoints.sort_by(|a, b| (&a.name, &a.origin).cmp(&(&b.name, &b.origin)));
    let external_name = service.facts.as_deref().and_then(|facts| match &facts.kind {
        ServiceKind::ExternalName(name) => Some(&**name),
        ServiceKind::ClusterIp(_) | ServiceKind::Headless => None,
    });
    let ServiceKey { namespace, name } = &service.key;
    let body = Body { namespace, service: name, stale: service.stale.is_some(), external_name, endpoints };
    // Strings, numbers and lists: nothing of it can fail.
    let body = serde_json::to_string(&body).unwrap_or_default();
    let version = Digest::default().text(&body).finish();
    let body = format!("{{\"version\":\"{version}\",{}\n", body.trim_start_matches('{'));
    Encoded { version, body: Some(body.into()) }
}
