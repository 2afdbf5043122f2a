//! A response as bytes: whole records up to the limit, TC when an answer is missing, OPT always.

use hickory_proto::op::{Query as Question, ResponseCode};
use hickory_proto::rr::rdata::SOA;
use hickory_proto::rr::{Name, RData, Record};
use hickory_proto::serialize::binary::{BinEncodable, BinEncoder, NameEncoding};

use super::edns::Edns;
use super::names::{Names, Pointers};
use super::wire::HEADER_BYTES;
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
    /// RA: other servers are asked. It belongs to the server, not to the name: clients that find it missing in an answer
    /// turn to another server (RFC 1035 §4.1.1).
    pub recursion_available: bool,
    /// All of its bits; the high ones travel in OPT.
    pub rcode: ResponseCode,
    /// The query's, case and all.
    pub question: Option<Question>,
    /// The records.
    pub found: Found,
    /// Present when the query had it.
    pub edns: Option<Edns>,
}

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
        let opt = self.edns.as_ref().map_or(0, Edns::bytes);
        let mut written = self.sections(usize::from(limit).saturating_sub(opt), out);
        if let Some(edns) = &self.edns {
            edns.put(self.rcode.high(), out);
            written.additionals += 1;
        }
        self.header(&written, out);
        written.truncated
    }

    fn sections(&self, limit: usize, out: &mut Vec<u8>) -> Written {
        out.extend([0; HEADER_BYTES]);
        let mut writer = Writer::new(limit, out);
        let mut written = Written::default();
        if let Some(question) = &self.question {
            written.questions = u16::from(writer.question(question));
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
            bit(self.recursion_available, 0x80) | self.rcode.low(),
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

/// Writes what fits, whole.
struct Writer<'a> {
    out: &'a mut Vec<u8>,
    limit: usize,
    /// Something did not fit. Nothing is written after that: its names might point to bytes that were taken back.
    full: bool,
    /// The question's name, which lies behind the header. Most owners are the same, and no table is needed for them.
    asked: Option<&'a Name>,
    names: Option<Names>,
}

/// A pointer to the name of the question.
const TO_QUESTION: [u8; 2] = [0xc0, HEADER_BYTES as u8];

// === impl Writer ===

impl<'a> Writer<'a> {
    fn new(limit: usize, out: &'a mut Vec<u8>) -> Self {
        Self { out, limit, full: false, asked: None, names: None }
    }

    fn question(&mut self, question: &'a Question) -> bool {
        let asked = question.name();
        self.put(|writer| {
            for label in asked.iter() {
                writer.out.push(label.len() as u8); // at most 63 (RFC 1035 §2.3.4)
                writer.out.extend_from_slice(label);
            }
            writer.out.push(0);
            writer.u16(question.query_type().into());
            writer.u16(question.query_class().into());
            writer.asked = Some(asked).filter(|name| !name.is_root());
            Some(())
        })
    }

    /// Writes all that `item` does or nothing of it.
    fn put(&mut self, item: impl FnOnce(&mut Self) -> Option<()>) -> bool {
        let before = self.out.len();
        let fits = !self.full && item(self).is_some() && self.out.len() <= self.limit;
        if !fits {
            self.out.truncate(before);
            self.full = true;
        }
        fits
    }

    fn put_all(&mut self, records: &[Record]) -> u16 {
        // At least 11 bytes each within 65,535: the count fits.
        records.iter().take_while(|record| self.put(|writer| writer.record(record))).count() as u16
    }

    fn record(&mut self, record: &Record) -> Option<()> {
        self.name(&record.name, Pointers::Allowed);
        self.u16(record.record_type().into());
        self.u16(record.dns_class.into());
        self.u32(record.ttl);
        let len = self.out.len();
        self.u16(0);
        let data = self.out.len();
        self.data(&record.data)?;
        let bytes = u16::try_from(self.out.len() - data).ok()?;
        self.out[len..data].copy_from_slice(&bytes.to_be_bytes());
        Some(())
    }

    fn data(&mut self, data: &RData) -> Option<()> {
        match data {
            RData::A(address) => self.out.extend(address.octets()),
            RData::AAAA(address) => self.out.extend(address.octets()),
            RData::CNAME(target) => self.name(target, Pointers::Allowed),
            RData::NS(server) => self.name(server, Pointers::Allowed),
            RData::PTR(target) => self.name(target, Pointers::Allowed),
            RData::SOA(soa) => self.soa(soa),
            RData::SRV(srv) => {
                [srv.priority, srv.weight, srv.port].into_iter().for_each(|number| self.u16(number));
                self.name(&srv.target, Pointers::Forbidden);
            }
            other => {
                // As the library writes it: its pointers would be to places in a message of its own.
                let mut bytes = Vec::new();
                let mut encoder = BinEncoder::new(&mut bytes);
                encoder.set_name_encoding(NameEncoding::Uncompressed);
                other.emit(&mut encoder).ok()?;
                self.out.extend(bytes);
            }
        }
        Some(())
    }

    fn soa(&mut self, soa: &SOA) {
        self.name(&soa.mname, Pointers::Allowed);
        self.name(&soa.rname, Pointers::Allowed);
        self.u32(soa.serial);
        for seconds in [soa.refresh, soa.retry, soa.expire] {
            self.out.extend(seconds.to_be_bytes());
        }
        self.u32(soa.minimum);
    }

    fn name(&mut self, name: &Name, pointers: Pointers) {
        if pointers == Pointers::Allowed && self.asked.is_some_and(|asked| asked.eq_case(name)) {
            return self.out.extend(TO_QUESTION);
        }
        let asked = self.asked;
        let names = self.names.get_or_insert_with(|| {
            let mut names = Names::default();
            if let Some(asked) = asked {
                names.note(asked, HEADER_BYTES);
            }
            names
        });
        names.write(name, pointers, self.out);
    }

    fn u16(&mut self, number: u16) {
        self.out.extend(number.to_be_bytes());
    }

    fn u32(&mut self, number: u32) {
        self.out.extend(number.to_be_bytes());
    }
}
