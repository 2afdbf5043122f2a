//! Types that are asked for and not served.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use super::{Heard, Limits, SessionError, ask::Ask};

/// Types that a client asks for and this server does not serve.
///
/// The protocol has no word for that. Silence would leave Envoy waiting 15 s at its start, an error would cost the stream
/// with all other types. So: each name is answered as removed and a wildcard with an empty response, which is the truth.
#[derive(Debug, Default)]
pub(super) struct Unserved {
    /// Every type asked for so far.
    types: BTreeSet<Box<str>>,
    /// Answers due: names by type.
    answers: BTreeMap<Box<str>, BTreeSet<Arc<str>>>,
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

    pub(super) fn on_ask(&mut self, ask: &Ask<'_>, limits: &Limits) -> Result<Heard, SessionError> {
        let (type_url, subscribe) = (ask.type_url, ask.subscribe);
        let first = self.types.insert(type_url.into());
        self.bytes += if first { type_url.len() + NAME_BYTES } else { 0 };
        if self.types.len() > limits.unserved_types_max {
            let (type_url, limit) = (type_url.to_owned(), limits.unserved_types_max);
            return Err(SessionError::TooManyTypes { type_url, limit });
        }
        if !first && (subscribe.is_empty() || ask.repeats_itself()) {
            return Ok(Heard::Nothing); // an ACK, or an unsubscription
        }
        let answer = self.answers.entry(type_url.into()).or_default();
        for name in subscribe.iter().filter(|name| *name != "*") {
            if answer.insert(name.as_str().into()) {
                self.bytes += name.len() + NAME_BYTES;
            }
        }
        limits.check_stream(self.answers.values().map(BTreeSet::len).sum())?;
        Ok(Heard::Unserved)
    }

    pub(super) fn is_due(&self) -> bool {
        !self.answers.is_empty()
    }

    /// The type of the next answer, the names that do not exist, and the memory that they take.
    pub(super) fn next_answer(&mut self) -> Option<(Box<str>, Vec<Arc<str>>, usize)> {
        let (type_url, names) = self.answers.pop_first()?;
        let bytes = names.iter().map(|name| name.len() + NAME_BYTES).sum::<usize>();
        self.bytes -= bytes;
        Some((type_url, names.into_iter().collect(), bytes))
    }
}
