//! Another server's answer: read as far as is needed to pass it on, the rest as it came. Pure.
//!
//! The records are not decoded: types that this server does not know, and TTLs, pass through byte for byte. Pointers in
//! names only lead back (RFC 1035 §4.1.4), so whole records can be left out from the end.

use hickory_proto::op::{Message, ResponseCode};
use hickory_proto::rr::Record;

use super::message::is_without_edns;
use crate::answer::edns::{EXTENDED_ERROR_OPTION, Edns, ExtendedError, OPT_TYPE, opt_record};
use crate::answer::encode::Response;
use crate::answer::wire::{ADDITIONAL, HEADER_BYTES, count, options, span, write_counts};
use crate::answer::{Foreign, Transport};
use crate::zone::Found;

/// A response to our question, all of it readable, or cut behind its last whole record.
#[derive(Debug)]
pub struct Answer {
    bytes: Vec<u8>,
    question_end: usize,
    /// The records up to OPT: section (1 to 3) and end of each.
    records: Vec<(usize, usize)>,
    opt: Option<Opt>,
}

/// What the other server's OPT record says.
#[derive(Debug, Default)]
struct Opt {
    rcode_high: u8,
    /// Its extended errors (RFC 8914), as on the wire.
    errors: Vec<u8>,
}

const FLAG_AA: u8 = 0x04;
/// TC in the third byte of a header.
pub(super) const FLAG_TC: u8 = 0x02;
const FLAG_RA: u8 = 0x80;
const FLAG_AD: u8 = 0x20;

// === impl Answer ===

impl Answer {
    /// Reads a response whose header and question have been compared already. `None` when it is broken.
    ///
    /// With TC set it may end anywhere, and its counts may be those of the whole (RFC 2181 §9): what is whole is kept.
    pub(super) fn read(bytes: Vec<u8>, question_end: usize) -> Option<Self> {
        let mut answer = Self { bytes, question_end, records: Vec::new(), opt: None };
        let (mut end, mut counts) = (question_end, [0_u16; ADDITIONAL]);
        for section in 1..=ADDITIONAL {
            for _ in 0..count(&answer.bytes, section)? {
                match answer.read_record(section, end) {
                    Some(record_end) => end = record_end,
                    None if answer.is_truncated() => return Some(answer.shortened(end, counts)),
                    None => return None,
                }
                counts[section - 1] += 1;
            }
        }
        Some(answer)
    }

    /// Takes in the record at `at`, and says where it ends.
    fn read_record(&mut self, section: usize, at: usize) -> Option<usize> {
        let record = span(&self.bytes, at)?;
        if record.rtype != OPT_TYPE {
            // What follows OPT, such as a signature, was for this server.
            if self.opt.is_none() {
                self.records.push((section, record.end));
            }
        } else if section == ADDITIONAL && self.opt.is_none() {
            let errors = extended_errors(self.bytes.get(record.data..record.end)?)?;
            self.opt = Some(Opt { rcode_high: record.ttl[0], errors });
        } else {
            return None; // RFC 6891 §6.1.1
        }
        Some(record.end)
    }

    /// The same as if it had been cut at `end`, behind so many records of each section.
    fn shortened(mut self, end: usize, counts: [u16; ADDITIONAL]) -> Self {
        self.bytes.truncate(end);
        write_counts(counts, &mut self.bytes);
        self
    }

    /// TC.
    pub fn is_truncated(&self) -> bool {
        self.bytes[2] & FLAG_TC != 0
    }

    /// All bits of the code.
    pub fn rcode(&self) -> ResponseCode {
        ResponseCode::from(self.opt.as_ref().map_or(0, |opt| opt.rcode_high), self.bytes[3] & 0x0f)
    }

    /// All of it but OPT, decoded; `None` when its data are broken. OPT has been read already: the library logs what it
    /// finds wrong there, a line for each answer.
    pub fn decode(&self) -> Option<Message> {
        let mut counts = [0_u16; ADDITIONAL];
        self.records.iter().for_each(|(section, _)| counts[section - 1] += 1);
        let end = self.records.last().map_or(self.question_end, |(_, end)| *end);
        let mut plain = self.bytes.get(..end)?.to_vec();
        write_counts(counts, &mut plain);
        Message::from_vec(&plain).ok()
    }

    /// The code of its first extended error (RFC 8914).
    pub fn extended_error(&self) -> Option<u16> {
        let (_, option) = options(&self.opt.as_ref()?.errors).next()??;
        option.get(4..)?.first_chunk().copied().map(u16::from_be_bytes)
    }

    /// Whether it is about the name, rather than about the server that could not or would not say.
    pub fn is_to_the_point(&self) -> bool {
        use ResponseCode::{FormErr, NotImp, Refused, ServFail};
        !matches!(self.rcode(), FormErr | ServFail | NotImp | Refused)
    }

    /// FORMERR or NOTIMP without OPT, which to a question with it says that the server knows none.
    pub(super) fn knows_no_edns(&self) -> bool {
        self.opt.is_none() && is_without_edns(self.bytes[3])
    }

    /// Writes the answer for the client into `out`, which is empty: the client's id, question and OPT, cut to what it
    /// can take, behind the chain of CNAMEs that led to the question. The error is for answers that cannot be passed on.
    pub fn pass_on(
        &self,
        foreign: &Foreign,
        transport: Transport,
        out: &mut Vec<u8>,
    ) -> Result<ResponseCode, ExtendedError> {
        if foreign.chain.is_empty() {
            self.relay(foreign, transport, out)
        } else {
            self.continue_chain(foreign, transport, out)
        }
    }

    fn relay(&self, foreign: &Foreign, transport: Transport, out: &mut Vec<u8>) -> Result<ResponseCode, ExtendedError> {
        let edns = foreign.query.edns.as_ref();
        let opt = self.client_opt(edns)?;
        let limit = usize::from(Edns::limit(edns, transport)).saturating_sub(opt.len());
        out.extend_from_slice(&self.bytes[..self.question_end]);
        let fits = self.records.partition_point(|(_, end)| *end <= limit);
        let mut counts = [0_u16; ADDITIONAL];
        for (section, _) in &self.records[..fits] {
            counts[section - 1] += 1;
        }
        // Records that nobody asked for may be missing without a word (RFC 2181 §9).
        let cut = self.records.get(fits).is_some_and(|(section, _)| *section < ADDITIONAL);
        if let Some((_, end)) = self.records[..fits].last() {
            out.extend_from_slice(&self.bytes[self.question_end..*end]);
        }
        if !opt.is_empty() {
            counts[ADDITIONAL - 1] += 1;
            out.extend(opt);
        }
        write_counts(counts, out);
        self.client_header(foreign, cut, out);
        Ok(self.rcode())
    }

    /// The id, the flags and the spelling of the question.
    fn client_header(&self, foreign: &Foreign, cut: bool, out: &mut [u8]) {
        let header = foreign.query.header;
        let wants_ad = header.authentic_data || foreign.query.edns.is_some_and(|edns| edns.dnssec_ok);
        let bit = |set: bool, bit: u8| if set { bit } else { 0 };
        out[..2].copy_from_slice(&header.id.to_be_bytes());
        out[2] = 0x80 | self.bytes[2] & (FLAG_AA | FLAG_TC) | bit(cut, FLAG_TC) | bit(header.recursion_desired, 0x01);
        out[3] = self.bytes[3] & (FLAG_RA | 0x0f)
            | bit(wants_ad, self.bytes[3] & FLAG_AD) // RFC 6840 §5.8
            | bit(header.checking_disabled, 0x10);
        let mut at = HEADER_BYTES;
        for label in foreign.name.iter() {
            out[at + 1..=at + label.len()].copy_from_slice(label);
            at += 1 + label.len();
        }
    }

    /// The OPT record for the client, or nothing for one that sent none.
    fn client_opt(&self, edns: Option<&Edns>) -> Result<Vec<u8>, ExtendedError> {
        let (high, errors) = self.opt.as_ref().map_or((0, &[][..]), |opt| (opt.rcode_high, &opt.errors[..]));
        match edns {
            Some(edns) => Ok(opt_record(high, edns.dnssec_ok, errors)),
            None if high == 0 => Ok(Vec::new()),
            // Without its high bits the code would be another.
            None => Err(ExtendedError::NetworkError),
        }
    }

    /// Names in two messages point to different places: here the records are decoded and written anew.
    fn continue_chain(
        &self,
        foreign: &Foreign,
        transport: Transport,
        out: &mut Vec<u8>,
    ) -> Result<ResponseCode, ExtendedError> {
        let message = self.decode().ok_or(ExtendedError::NetworkError)?;
        let answers: Vec<Record> = foreign.chain.iter().cloned().chain(message.answers).collect();
        let found = Found { answers, authorities: message.authorities, ..Found::default() };
        let rcode = ResponseCode::from(0, self.bytes[3] & 0x0f);
        // The first name is ours: so is the authority (RFC 1035 §4.1.1).
        let response = Response { authoritative: true, rcode, found, ..foreign.query.response() };
        response.write(transport, out);
        out[2] |= self.bytes[2] & FLAG_TC;
        out[3] |= self.bytes[3] & FLAG_RA;
        Ok(rcode)
    }
}

/// The extended errors among the options of an OPT record, as they are.
fn extended_errors(data: &[u8]) -> Option<Vec<u8>> {
    let mut errors = Vec::new();
    for option in options(data) {
        let (code, option) = option?;
        if code == EXTENDED_ERROR_OPTION && errors.len() + option.len() <= ERRORS_BYTES_MAX {
            errors.extend_from_slice(option);
        }
    }
    Some(errors)
}

/// Of extended errors that are passed on: their texts must leave room for the answer.
const ERRORS_BYTES_MAX: usize = 128;

#[cfg(test)]
mod tests;
