//! What one worker has answered since it last told: counting there costs no atomic operation.

use crate::answer::{Summary, Transport};

use super::labels::{Code, QueryLabels, Type};

/// Answers by transport, type and code. A few kinds make up nearly all of what comes at once.
#[derive(Clone, Debug, Default)]
pub struct Tally {
    kinds: [(u16, u32); KINDS],
    len: usize,
    truncated: u32,
    answers: u32,
}

const KINDS: usize = 16;

// === impl Tally ===

impl Tally {
    /// Notes an answer. `false`, and nothing noted, when it is of one kind too many.
    #[must_use]
    pub fn add(&mut self, transport: Transport, summary: Summary) -> bool {
        let labels = QueryLabels { transport, r#type: Type::of(summary.rtype), rcode: Code::of(summary.rcode) };
        let kind = labels.index() as u16; // a few hundred there are
        let at = self.kinds[..self.len].iter().position(|(known, _)| *known == kind).unwrap_or(self.len);
        let Some(place) = self.kinds.get_mut(at) else { return false };
        *place = (kind, if at < self.len { place.1 + 1 } else { 1 });
        self.len = self.len.max(at + 1);
        self.truncated += u32::from(summary.truncated);
        self.answers += 1;
        true
    }

    /// How many answers have been noted.
    pub fn answers(&self) -> u32 {
        self.answers
    }

    pub(super) fn truncated(&self) -> u32 {
        self.truncated
    }

    pub(super) fn kinds(&self) -> impl Iterator<Item = (QueryLabels, u32)> {
        self.kinds[..self.len].iter().map(|(kind, count)| (QueryLabels::at((*kind).into()), *count))
    }
}
