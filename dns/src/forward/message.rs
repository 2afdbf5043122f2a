//! A question as it is sent to another server, and what counts as its answer (RFC 5452). Pure.

use std::hash::{BuildHasher, RandomState};
use std::sync::atomic::{AtomicU64, Ordering};

use hickory_proto::op::ResponseCode;
use hickory_proto::rr::{Name, RecordType};

use super::answer::Answer;
use super::proof::Proof;
use crate::answer::edns::{COOKIE_OPTION, PADDING_OPTION, opt_record};
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
    /// What the name was before the case of its letters was mixed: as its answer has it.
    spelled: Vec<u8>,
    proof: Proof,
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
    /// Its answer but for the spelling of the name, or the cookie, which its server always sends: perhaps from somebody else.
    Doubtful,
    /// From a server that knows no OPT record, which the question has (RFC 6891 §7).
    NoEdns,
    /// From the server, as far as can be told, and not to be read.
    Malformed,
}

const CLASS_IN: u16 = 1;
/// Questions over TLS are as long as a multiple of this (RFC 8467 §4.1).
const PADDED_TO: usize = 128;

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
        let spelled = wire[HEADER_BYTES..].to_vec();
        Self { question_end: wire.len(), wire, spelled, proof: Proof::default() }
    }

    /// Adds an OPT record.
    pub fn add_edns(&mut self, dnssec_ok: bool) {
        self.put_edns(dnssec_ok, &[]);
    }

    /// Has the answer show what only its server can know: the case of the name's letters, which are mixed (0x20), and a cookie
    /// (RFC 7873) where there is an OPT record for it.
    pub fn proven_by(mut self, proof: Proof, ids: &Ids) -> Self {
        if proof.mixed_case {
            self.mix_case(ids);
        }
        if let (true, Some(cookie)) = (self.has_edns(), &proof.cookie) {
            let data = [&cookie.client[..], &cookie.server].concat();
            // At most 8 + 32 bytes.
            let option = [&[COOKIE_OPTION, data.len() as u16].map(u16::to_be_bytes).concat()[..], &data].concat();
            let dnssec_ok = self.wire[self.question_end + 7] & 0x80 != 0;
            self.put_edns(dnssec_ok, &option);
        }
        self.proof = proof;
        self
    }

    /// As it is sent over TLS: longer, so that its length says less about the name (RFC 8467 §4.1).
    pub fn padded(mut self) -> Self {
        if self.has_edns() {
            let dnssec_ok = self.wire[self.question_end + 7] & 0x80 != 0;
            let len = self.wire.len() + 4;
            let padding = vec![0; len.next_multiple_of(PADDED_TO) - len];
            let option = [PADDING_OPTION, padding.len() as u16].map(u16::to_be_bytes).concat();
            self.put_edns(dnssec_ok, &[option, padding].concat());
        }
        self
    }

    fn put_edns(&mut self, dnssec_ok: bool, options: &[u8]) {
        self.wire.truncate(self.question_end);
        self.wire.extend(opt_record(0, dnssec_ok, options));
        self.wire[11] = 1;
    }

    fn mix_case(&mut self, ids: &Ids) {
        let end = self.question_end - 4; // type and class
        let mut bits = (0, 0);
        // Lengths of labels are below the letters.
        for letter in self.wire[HEADER_BYTES..end].iter_mut().filter(|byte| byte.is_ascii_alphabetic()) {
            if bits.1 == 0 {
                bits = (ids.token(), u64::BITS);
            }
            *letter = if bits.0 & 1 == 0 { letter.to_ascii_lowercase() } else { letter.to_ascii_uppercase() };
            bits = (bits.0 >> 1, bits.1 - 1);
        }
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
                let kept_case = echoed == question;
                match Answer::read(bytes, self.question_end) {
                    Some(answer) if self.is_of_another(&answer) => Verdict::Stranger,
                    Some(answer) if !self.is_proven_by(&answer, kept_case) => Verdict::Doubtful,
                    Some(answer) if self.has_edns() && answer.knows_no_edns() => Verdict::NoEdns,
                    Some(answer) => Verdict::Answer(answer.spelled(&self.spelled, kept_case)),
                    None => Verdict::Malformed,
                }
            }
            // An error about a message that could not be read comes without the question: a bare header.
            (Some([0, 0]), _) if self.has_edns() && is_without_edns(bytes[3]) => Verdict::NoEdns,
            (Some([0, 0]), _) | (None, _) => Verdict::Malformed,
            (Some(_), _) => Verdict::Stranger,
        }
    }

    /// The same question, whose answer over TCP needs no proof: nobody else gets a word in.
    pub fn judge_stream(&self, bytes: Vec<u8>) -> Verdict {
        let proof = Proof { mixed_case: false, cookie: None };
        let trusting = Self { wire: self.wire.clone(), spelled: self.spelled.clone(), proof, ..*self };
        trusting.judge(bytes)
    }

    /// What was sent along to have it proven.
    pub(super) fn proof(&self) -> &Proof {
        &self.proof
    }

    /// Whether it has a cookie that is not ours (RFC 7873 §5.3).
    fn is_of_another(&self, answer: &Answer) -> bool {
        let ours = self.proof.cookie.as_ref().filter(|_| self.has_edns());
        ours.zip(answer.cookie()).is_some_and(|(ours, shown)| !shown.starts_with(&ours.client))
    }

    fn is_proven_by(&self, answer: &Answer, kept_case: bool) -> bool {
        let expected = self.has_edns() && self.proof.cookie.as_ref().is_some_and(|cookie| !cookie.server.is_empty());
        (kept_case || !self.proof.mixed_case) && (!expected || answer.cookie().is_some())
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
