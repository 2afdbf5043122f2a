//! A response as bytes: whole records up to the limit, TC when an answer is missing, OPT always.

use hickory_proto::op::{Query as Question, ResponseCode};
use hickory_proto::rr::Record;
use hickory_proto::serialize::binary::{BinEncodable, BinEncoder};

use super::edns::Edns;
use crate::zone::Found;

/// The least that a record takes: a pointer to its name, type, class, TTL, length and an IPv4 address.
pub const RECORD_BYTES_MIN: usize = 16;

/// A response before it is cut to a size.
#[derive(Debug)]
pub struct Response {
    /// The query's.
    pub id: u16,
    /// The query's.
    pub opcode: u8,
    /// The query's RD.
    pub recursion_desired: bool,
    /// AA.
    pub authoritative: bool,
    /// All of its bits; the high ones travel in OPT.
    pub rcode: ResponseCode,
    /// The query's, case and all.
    pub question: Option<Question>,
    /// The records.
    pub found: Found,
    /// Present when the query had it.
    pub edns: Option<Edns>,
}

const HEADER_BYTES: usize = 12;

/// The counts of a header (RFC 1035 §4.1.1), and whether answers were left out.
#[derive(Debug, Default)]
struct Written {
    questions: u16,
    answers: u16,
    authorities: u16,
    additionals: u16,
    truncated: bool,
}

// === impl Response ===

impl Response {
    /// Writes the response into `out`, which is empty, in at most `limit` bytes. Returns whether TC is set.
    ///
    /// What does not fit is left out record by record from the end: additional records silently, because nobody asked for
    /// them (RFC 2181 §9), all others with TC set.
    pub fn encode(&self, limit: u16, out: &mut Vec<u8>) -> bool {
        let opt = self.edns.as_ref().map(|edns| edns.encode(self.rcode)).unwrap_or_default();
        let mut written = self.sections(usize::from(limit).saturating_sub(opt.len()), out);
        if !opt.is_empty() {
            out.extend(opt);
            written.additionals += 1;
        }
        self.header(&written, out);
        written.truncated
    }

    fn sections(&self, limit: usize, out: &mut Vec<u8>) -> Written {
        let mut writer = Writer { encoder: BinEncoder::new(out), limit, full: false };
        let mut written = Written::default();
        writer.put(&vec![0_u8; HEADER_BYTES]);
        if let Some(question) = &self.question {
            written.questions = u16::from(writer.put(question));
        }
        written.answers = writer.put_all(&self.found.answers);
        written.authorities = writer.put_all(&self.found.authorities);
        written.truncated = writer.full;
        written.additionals = writer.put_all(&self.found.additionals);
        written
    }

    fn header(&self, written: &Written, out: &mut [u8]) {
        let bit = |set: bool, bit: u8| if set { bit } else { 0 };
        let flags = [
            0x80 | self.opcode << 3
                | bit(self.authoritative, 0x04)
                | bit(written.truncated, 0x02)
                | bit(self.recursion_desired, 0x01),
            self.rcode.low(),
        ];
        let [id, questions, answers, authorities, additionals] =
            [self.id, written.questions, written.answers, written.authorities, written.additionals]
                .map(u16::to_be_bytes);
        let header = [id, flags, questions, answers, authorities, additionals].concat();
        for (place, byte) in out.iter_mut().zip(header) {
            *place = byte;
        }
    }
}

struct Writer<'a> {
    encoder: BinEncoder<'a>,
    limit: usize,
    /// Something did not fit. Nothing is written after that: its names might point to bytes that were taken back.
    full: bool,
}

// === impl Writer ===

impl Writer<'_> {
    /// Writes all of `item` or nothing of it.
    fn put(&mut self, item: &impl BinEncodable) -> bool {
        let before = self.encoder.offset();
        let fits = !self.full && item.emit(&mut self.encoder).is_ok() && self.encoder.offset() <= self.limit;
        if !fits {
            self.encoder.set_offset(before);
            self.encoder.trim();
            self.full = true;
        }
        fits
    }

    fn put_all(&mut self, records: &[Record]) -> u16 {
        // At least 11 bytes each within 65,535: the count fits.
        records.iter().take_while(|record| self.put(*record)).count() as u16
    }
}
