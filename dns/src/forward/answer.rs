//! Another server's answer: read as far as is needed to pass it on, the rest as it came. Pure.
//!
//! The records are not decoded: types that this server does not know, and TTLs, pass through byte for byte. Pointers in
//! names only lead back (RFC 1035 §4.1.4), so whole records can be left out from the end.

use hickory_proto::op::{Message, ResponseCode};
use hickory_proto::rr::Record;

use super::message::is_without_edns;
use crate::answer::edns::{COOKIE_OPTION, EXTENDED_ERROR_OPTION, Edns, ExtendedError, OPT_BYTES, OPT_TYPE, put_fixed};
use crate::answer::encode::Response;
use crate::answer::kept::Client;
use crate::answer::wire::{ADDITIONAL, HEADER_BYTES, Span, count, options, span, write_counts};
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
    kept_case: bool,
}

/// What the other server's OPT record says.
#[derive(Debug, Default)]
struct Opt {
    rcode_high: u8,
    /// Its extended errors (RFC 8914), as on the wire.
    errors: Vec<u8>,
    /// The cookie, client's and server's part, if there is one of a length that cookies have.
    cookie: Vec<u8>,
}

/// For how long an answer may be kept, in seconds, as it says itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lifetime {
    /// The shortest TTL of its records.
    Positive(u32),
    /// That of a denial (RFC 2308 §5).
    Negative(u32),
}

/// Since when an answer is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Age {
    /// It has just come.
    New,
    /// For so many seconds, which its TTLs are shorter by.
    Kept(u32),
    /// For longer than it may be kept: it says so.
    Stale,
}

/// What records of a stale answer say (RFC 8767 §4).
const STALE_TTL: u32 = 30;
const TYPE_CNAME: u16 = 5;
const TYPE_SOA: u16 = 6;
const TYPE_RRSIG: u16 = 46;

const FLAG_AA: u8 = 0x04;
/// TC in the third byte of a header.
pub(super) const FLAG_TC: u8 = 0x02;
const FLAG_RD: u8 = 0x01;
const FLAG_RA: u8 = 0x80;
const FLAG_AD: u8 = 0x20;
const FLAG_CD: u8 = 0x10;

// === impl Answer ===

impl Answer {
    /// Reads a response whose header and question have been compared already. `None` when it is broken.
    ///
    /// With TC set it may end anywhere, and its counts may be those of the whole (RFC 2181 §9): what is whole is kept.
    pub(super) fn read(bytes: Vec<u8>, question_end: usize) -> Option<Self> {
        let mut answer = Self { bytes, question_end, records: Vec::new(), opt: None, kept_case: true };
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
        answer.shrink();
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
            let data = self.bytes.get(record.data..record.end)?;
            let (errors, cookie) = (extended_errors(data)?, cookie(data).unwrap_or_default().to_vec());
            self.opt = Some(Opt { rcode_high: record.ttl[0], errors, cookie });
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

    /// The same with the question as it was before the case of its letters was mixed.
    pub(super) fn spelled(mut self, question: &[u8], kept_case: bool) -> Self {
        self.bytes[HEADER_BYTES..self.question_end].copy_from_slice(question);
        Self { kept_case, ..self }
    }

    /// Whether it came with the letters of the question as they were sent.
    pub(super) fn kept_case(&self) -> bool {
        self.kept_case
    }

    /// The cookie that it came with (RFC 7873): the client's part and the server's.
    pub(super) fn cookie(&self) -> Option<&[u8]> {
        self.opt.as_ref().map(|opt| &opt.cookie[..]).filter(|cookie| !cookie.is_empty())
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
        use ResponseCode::{BADCOOKIE, FormErr, NotImp, Refused, ServFail};
        !matches!(self.rcode(), FormErr | ServFail | NotImp | Refused | BADCOOKIE)
    }

    /// FORMERR or NOTIMP without OPT, which to a question with it says that the server knows none.
    pub(super) fn knows_no_edns(&self) -> bool {
        self.opt.is_none() && is_without_edns(self.bytes[3])
    }

    /// How long it may be kept; `None` for one that may not: cut, an error, or a denial without the zone's SOA.
    pub fn lifetime(&self) -> Option<Lifetime> {
        let denies = match self.rcode() {
            ResponseCode::NoError => false,
            ResponseCode::NXDomain => true,
            _ => return None,
        };
        if self.is_truncated() {
            return None;
        }
        let asked = u16::from_be_bytes(*self.bytes.get(self.question_end - 4..)?.first_chunk()?);
        let (mut shortest, mut answered, mut soa) = (u32::MAX, false, None);
        for (section, record) in self.spans() {
            match (section, record.rtype) {
                (1, rtype) => {
                    answered |= !matches!(rtype, TYPE_CNAME | TYPE_RRSIG) || asked == rtype;
                    shortest = shortest.min(seconds(record.ttl));
                }
                (2, TYPE_SOA) => {
                    let minimum = self.bytes.get(record.data..record.end)?.last_chunk()?;
                    soa = Some(seconds(record.ttl).min(seconds(*minimum)));
                }
                _ => {}
            }
        }
        if answered && !denies {
            return Some(Lifetime::Positive(shortest));
        }
        soa.map(|soa| Lifetime::Negative(soa.min(shortest)))
    }

    /// Bytes that it takes.
    pub fn bytes(&self) -> usize {
        let opt = self.opt.as_ref().map_or(0, |opt| opt.errors.capacity() + opt.cookie.capacity());
        self.bytes.capacity() + self.records.capacity() * size_of::<(usize, usize)>() + opt
    }

    /// Takes no more room than it needs.
    fn shrink(&mut self) {
        self.bytes.shrink_to_fit();
        self.records.shrink_to_fit();
    }

    /// Its records, each with its section.
    fn spans(&self) -> impl Iterator<Item = (usize, Span)> {
        let begins = std::iter::once(self.question_end).chain(self.records.iter().map(|(_, end)| *end));
        self.records.iter().zip(begins).filter_map(|((section, _), begin)| Some((*section, span(&self.bytes, begin)?)))
    }

    /// Writes the answer for the client into `out`, which is empty: the client's id, question and OPT, cut to what it
    /// can take, behind the chain of CNAMEs that led to the question. The error is for answers that cannot be passed on.
    pub fn pass_on(
        &self,
        foreign: &Foreign,
        transport: Transport,
        age: Age,
        out: &mut Vec<u8>,
    ) -> Result<ResponseCode, ExtendedError> {
        if foreign.chain.is_empty() {
            let header = foreign.query.header;
            let bit = |set: bool, bit: u8| if set { bit } else { 0 };
            let [id_0, id_1] = header.id.to_be_bytes();
            let flags = bit(header.authentic_data, FLAG_AD) | bit(header.checking_disabled, FLAG_CD);
            let begin = [id_0, id_1, bit(header.recursion_desired, FLAG_RD), flags];
            let mut name = Vec::with_capacity(foreign.name.len() + 1);
            for label in foreign.name.iter() {
                name.push(label.len() as u8); // at most 63 (RFC 1035 §2.3.4)
                name.extend_from_slice(label);
            }
            let client = Client { begin, edns: foreign.query.edns.as_ref(), name: &name };
            self.relay(&client, transport, age, out)
        } else {
            self.continue_chain(foreign, transport, age, out)
        }
    }

    /// As [`Self::pass_on`], without a chain: copies bytes.
    pub(super) fn relay(
        &self,
        client: &Client<'_>,
        transport: Transport,
        age: Age,
        out: &mut Vec<u8>,
    ) -> Result<ResponseCode, ExtendedError> {
        let options = self.options_bytes(client.edns, age)?;
        let opt = options.map_or(0, |options| OPT_BYTES + options);
        let limit = usize::from(Edns::limit(client.edns, transport)).saturating_sub(opt);
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
        if age != Age::New {
            // TTL, length of data, data.
            for (_, record) in self.spans().take(fits) {
                out[record.data - 6..record.data - 2].copy_from_slice(&age.ttl(seconds(record.ttl)).to_be_bytes());
            }
        }
        if let (Some(options), Some(edns)) = (options, client.edns) {
            counts[ADDITIONAL - 1] += 1;
            self.put_opt(edns, age, options, out);
        }
        write_counts(counts, out);
        self.client_header(client, cut, out);
        Ok(self.rcode())
    }

    /// The id, the flags and the spelling of the question.
    fn client_header(&self, client: &Client<'_>, cut: bool, out: &mut [u8]) {
        let [id_0, id_1, rd, flags] = client.begin;
        let wants_ad = flags & FLAG_AD != 0 || client.edns.is_some_and(|edns| edns.dnssec_ok);
        let bit = |set: bool, bit: u8| if set { bit } else { 0 };
        out[..2].copy_from_slice(&[id_0, id_1]);
        out[2] = 0x80 | self.bytes[2] & (FLAG_AA | FLAG_TC) | bit(cut, FLAG_TC) | rd & FLAG_RD;
        out[3] = self.bytes[3] & (FLAG_RA | 0x0f)
            | bit(wants_ad, self.bytes[3] & FLAG_AD) // RFC 6840 §5.8
            | flags & FLAG_CD;
        out[HEADER_BYTES..HEADER_BYTES + client.name.len()].copy_from_slice(client.name);
    }

    /// How long the options for a client are; `None` for one that sent no OPT record.
    fn options_bytes(&self, edns: Option<&Edns>, age: Age) -> Result<Option<usize>, ExtendedError> {
        let (high, errors) = self.opt.as_ref().map_or((0, 0), |opt| (opt.rcode_high, opt.errors.len()));
        let stale = if age == Age::Stale { Edns::error_option(ExtendedError::StaleAnswer).len() } else { 0 };
        match edns {
            Some(edns) => Ok(Some(stale + errors + edns.bytes() - OPT_BYTES)),
            None if high == 0 => Ok(None),
            // Without its high bits the code would be another.
            None => Err(ExtendedError::NetworkError),
        }
    }

    /// The OPT record for a client, whose options are so long.
    fn put_opt(&self, edns: &Edns, age: Age, len: usize, out: &mut Vec<u8>) {
        let (high, errors) = self.opt.as_ref().map_or((0, &[][..]), |opt| (opt.rcode_high, &opt.errors[..]));
        put_fixed(high, edns.dnssec_ok, len, out);
        if age == Age::Stale {
            out.extend(Edns::error_option(ExtendedError::StaleAnswer));
        }
        out.extend_from_slice(errors);
        edns.put_options(out);
    }

    /// Names in two messages point to different places: here the records are decoded and written anew.
    fn continue_chain(
        &self,
        foreign: &Foreign,
        transport: Transport,
        age: Age,
        out: &mut Vec<u8>,
    ) -> Result<ResponseCode, ExtendedError> {
        let mut message = self.decode().ok_or(ExtendedError::NetworkError)?;
        for record in message.answers.iter_mut().chain(&mut message.authorities) {
            record.ttl = age.ttl(record.ttl);
        }
        let answers: Vec<Record> = foreign.chain.iter().cloned().chain(message.answers).collect();
        let found = Found { answers, authorities: message.authorities, ..Found::default() };
        let rcode = ResponseCode::from(0, self.bytes[3] & 0x0f);
        // The first name is ours: so is the authority (RFC 1035 §4.1.1).
        let mut response = Response { authoritative: true, rcode, found, ..foreign.query.response() };
        if let (Age::Stale, Some(edns)) = (age, &mut response.edns) {
            edns.error = Some(ExtendedError::StaleAnswer);
        }
        response.write(transport, out);
        out[2] |= self.bytes[2] & FLAG_TC;
        out[3] |= self.bytes[3] & FLAG_RA;
        Ok(rcode)
    }
}

// === impl Age ===

impl Age {
    /// What a record says that said `ttl`.
    fn ttl(self, ttl: u32) -> u32 {
        match self {
            Self::New => ttl,
            Self::Kept(seconds) => ttl.saturating_sub(seconds),
            Self::Stale => STALE_TTL,
        }
    }
}

/// A TTL; one with the highest bit counts as 0 (RFC 2181 §8).
fn seconds(ttl: [u8; 4]) -> u32 {
    Some(u32::from_be_bytes(ttl)).filter(|ttl| *ttl <= i32::MAX as u32).unwrap_or(0)
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

/// The data of the first cookie, if they are as long as they may be (RFC 7873 §4).
fn cookie(data: &[u8]) -> Option<&[u8]> {
    let (_, option) = options(data).flatten().find(|(code, _)| *code == COOKIE_OPTION)?;
    option.get(4..).filter(|cookie| matches!(cookie.len(), 8 | 16..=40))
}

/// Of extended errors that are passed on: their texts must leave room for the answer.
const ERRORS_BYTES_MAX: usize = 128;

#[cfg(test)]
mod tests;
