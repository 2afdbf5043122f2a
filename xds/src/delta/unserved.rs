//! Types that are asked for and not served.

use std::collections::{BTreeMap, BTreeSet};

use super::Heard;
use crate::{
    proto::discovery::{DeltaDiscoveryRequest, DeltaDiscoveryResponse},
    stream::{Limits, SessionError},
};

/// Types that a client asks for and this server does not serve.
///
/// The protocol has no word for that. Silence would leave Envoy waiting 15 s at its start, an error would cost the stream
/// with all other types. So: each name is answered as removed and a wildcard with an empty response, which is the truth.
#[derive(Debug, Default)]
pub(super) struct Unserved {
    /// Every type asked for so far.
    types: BTreeSet<Box<str>>,
    /// Answers due: names by type.
    answers: BTreeMap<Box<str>, BTreeSet<String>>,
    /// Bytes of those names and types.
    bytes: usize,
}

/// What a name takes beside its text.
const NAME_BYTES: usize = 40;

// === impl Unserved ===

impl Unserved {
    /// Memory that it takes.
    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }

    pub(super) fn on_request(
        &mut self,
        request: &DeltaDiscoveryRequest,
        limits: &Limits,
    ) -> Result<Heard, SessionError> {
        let (type_url, subscribe) = (&request.type_url, &request.resource_names_subscribe);
        let first = self.types.insert(type_url.as_str().into());
        self.bytes += if first { type_url.len() + NAME_BYTES } else { 0 };
        if self.types.len() > limits.unserved_types_max {
            return Err(SessionError::TooManyTypes { type_url: type_url.clone(), limit: limits.unserved_types_max });
        }
        if !first && subscribe.is_empty() {
            return Ok(Heard::Nothing); // an ACK, or an unsubscription
        }
        let answer = self.answers.entry(type_url.as_str().into()).or_default();
        for name in subscribe.iter().filter(|name| *name != "*") {
            if answer.insert(name.clone()) {
                self.bytes += name.len() + NAME_BYTES;
            }
        }
        limits.check_stream(self.answers.values().map(BTreeSet::len).sum())?;
        Ok(Heard::Unserved)
    }

    /// A response that lacks its nonce, and the memory that its names take.
    pub(super) fn next_response(&mut self) -> Option<(DeltaDiscoveryResponse, usize)> {
        let (type_url, names) = self.answers.pop_first()?;
        let bytes = names.iter().map(|name| name.len() + NAME_BYTES).sum::<usize>();
        self.bytes -= bytes;
        let removed_resources = names.into_iter().collect();
        Some((DeltaDiscoveryResponse { type_url: type_url.into(), removed_resources, ..Default::default() }, bytes))
    }
}
