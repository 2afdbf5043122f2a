//! A question as it is sent to another server, and what counts as its answer (RFC 5452). Pure.

use std::hash::{BuildHasher, RandomState};
use std::sync::atomic::{AtomicU64, Ordering};

use hickory_proto::op::ResponseCode;
use hickory_proto::rr::{Name, RecordType};

use super::answer::Answer;
use crate::answer::edns::opt_record;
use crate::answer::query::Query;
use crate::answer::wire::HEADER_BYTES;

/// Query ids that nobody can guess: a keyed hash (SipHash) of a counter, with a key of the system's randomness.
#[derive(Debug, Default)]
pub struct Ids {
    key: RandomState,
    count: AtomicU64,
}

/// A question with an id of its own.
#[derive(Debug)]
pub struct Asked {
    wire: Vec<u8>,
    question_end: usize,
}

/// The bits of a query's header that go along.
#[derive(Clone, Copy, Debug, Default)]
pub struct Flags {
    /// RD.
    pub recursion_desired: bool,
    /// AD.
    pub authentic_data: bool,
    /// CD.
    pub checking_disabled: bool,
}

/// What some bytes are to a question.
#[derive(Debug)]
pub enum Verdict {
    /// Its answer.
    Answer(Answer),
    /// Not for it: another id or another question. To be ignored: whoever sent it guesses.
    Stranger,
    /// From a server that knows no OPT record, which the question has (RFC 6891 §7).
    NoEdns,
    /// From the server, as far as can be told, and not to be read.
    Malformed,
}

const CLASS_IN: u16 = 1;

// === impl Ids ===

impl Ids {
    /// 64 bits of which none can be told from the others.
    pub fn token(&self) -> u64 {
        self.key.hash_one(self.count.fetch_add(1, Ordering::Relaxed))
    }

    fn id(&self) -> u16 {
        self.token() as u16
    }
}

// === impl Asked ===

impl Asked {
    /// The question of a client about `name`, with an OPT record of this server's own: its size, the client's DO, and
    /// none of its options, which are between the client and this server (RFC 6891 §6.1.1, RFC 7873 §4).
    pub fn new(ids: &Ids, query: &Query, name: &Name) -> Self {
        let mut asked = Self::without_edns(ids, query, name);
        asked.add_edns(query.edns.is_some_and(|edns| edns.dnssec_ok));
        asked
    }

    /// The same for a server that knows no OPT record (RFC 6891 §7).
    pub fn without_edns(ids: &Ids, query: &Query, name: &Name) -> Self {
        let header = query.header;
        let flags = Flags {
            recursion_desired: header.recursion_desired,
            authentic_data: header.authentic_data,
            checking_disabled: header.checking_disabled,
        };
        Self::plain(ids, name, query.question.query_type(), flags)
    }

    /// A question without OPT.
    pub fn plain(ids: &Ids, name: &Name, rtype: RecordType, flags: Flags) -> Self {
        let bit = |set: bool, bit: u8| if set { bit } else { 0 };
        let mut wire = ids.id().to_be_bytes().to_vec();
        wire.push(bit(flags.recursion_desired, 0x01));
        wire.push(bit(flags.authentic_data, 0x20) | bit(flags.checking_disabled, 0x10));
        wire.extend([0, 1, 0, 0, 0, 0, 0, 0]);
        for label in name.iter() {
            wire.push(label.len() as u8); // at most 63 (RFC 1035 §2.3.4)
            wire.extend(label);
        }
        wire.push(0);
        wire.extend([rtype.into(), CLASS_IN].map(u16::to_be_bytes).concat());
        Self { question_end: wire.len(), wire }
    }

    /// Adds an OPT record.
    pub fn add_edns(&mut self, dnssec_ok: bool) {
        self.wire.truncate(self.question_end);
        self.wire.extend(opt_record(0, dnssec_ok, &[]));
        self.wire[11] = 1;
    }

    /// As sent.
    pub fn wire(&self) -> &[u8] {
        &self.wire
    }

    /// Whether some bytes answer this question: same id, same question with or without regard to case, a response.
    pub fn judge(&self, bytes: Vec<u8>) -> Verdict {
        let question = &self.wire[HEADER_BYTES..self.question_end];
        let is_response = bytes.get(2).is_some_and(|flags| flags & 0xf8 == 0x80);
        if bytes.get(..2) != self.wire.get(..2) || !is_response {
            return Verdict::Stranger;
        }
        let echoed = bytes.get(HEADER_BYTES..self.question_end);
        match (bytes.get(4..6), echoed) {
            // Lengths of labels are below the letters.
            (Some([0, 1]), Some(echoed)) if echoed.eq_ignore_ascii_case(question) => {
                match Answer::read(bytes, self.question_end) {
                    Some(answer) if self.has_edns() && answer.knows_no_edns() => Verdict::NoEdns,
                    Some(answer) => Verdict::Answer(answer),
                    None => Verdict::Malformed,
                }
            }
            // An error about a message that could not be read comes without the question: a bare header.
            (Some([0, 0]), _) if self.has_edns() && is_without_edns(bytes[3]) => Verdict::NoEdns,
            (Some([0, 0]), _) | (None, _) => Verdict::Malformed,
            (Some(_), _) => Verdict::Stranger,
        }
    }

    fn has_edns(&self) -> bool {
        self.wire.len() > self.question_end
    }
}

/// Whether a server that knows no OPT record answers a question that has one with this code, in the low bits of a
/// header's fourth byte (RFC 6891 §7).
pub(super) fn is_without_edns(flags: u8) -> bool {
    matches!(ResponseCode::from(0, flags & 0x0f), ResponseCode::FormErr | ResponseCode::NotImp)
}

#[cfg(test)]
mod tests;
