//! What a query's bytes ask, or which error they deserve.

use hickory_proto::op::{Query as Question, ResponseCode};
use hickory_proto::serialize::binary::{BinDecodable, BinDecoder};

use super::asker::{Asker, Manner};
use super::edns::{Edns, OPT_TYPE};
use super::encode::Response;
use super::wire::{ADDITIONAL, HEADER_BYTES, count, span};
use crate::zone::Found;

/// A query that can be looked up: opcode QUERY with one question.
#[derive(Debug)]
pub struct Query {
    /// As sent, with its case.
    pub question: Question,
    /// Its OPT record.
    pub edns: Option<Edns>,
    /// The rest.
    pub header: Header,
}

/// What to do with some bytes.
#[derive(Debug)]
pub enum Read {
    /// Look it up.
    Query(Query),
    /// Answer with this error.
    Refuse(Response),
    /// Say nothing.
    Ignore,
}

/// The fields of a query's header (RFC 1035 §4.1.1) that decide about the rest. They are read before anything else:
/// counts from the network size nothing.
#[derive(Clone, Copy, Debug)]
pub struct Header {
    /// The sender's.
    pub id: u16,
    is_response: bool,
    opcode: u8,
    /// RD.
    pub recursion_desired: bool,
    /// AD: the sender understands the bit (RFC 6840 §5.7).
    pub authentic_data: bool,
    /// CD (RFC 4035 §3.1.6).
    pub checking_disabled: bool,
    questions: u16,
}

const OPCODE_QUERY: u8 = 0;

// === impl Query ===

impl Query {
    /// Reads a message.
    pub fn read(bytes: &[u8], asker: &Asker, manner: &Manner) -> Read {
        let Some(header) = Header::read(bytes) else { return Read::Ignore };
        // Two servers that answer each other's responses would never stop (RUSTSEC-2023-0041).
        if header.is_response {
            return Read::Ignore;
        }
        if header.questions > 1 {
            // RFC 9619 §4; where the OPT record would be is then of no interest.
            return Read::Refuse(header.response(header.refusal(), None));
        }
        match body(bytes, header.questions, asker, manner) {
            Some((Some(question), edns)) if header.opcode == OPCODE_QUERY => {
                Read::Query(Self { question, edns, header })
            }
            // Only a cookie is asked for (RFC 7873 §5.4).
            Some((None, Some(edns))) if header.opcode == OPCODE_QUERY && edns.cookie.is_some() => {
                Read::Refuse(header.response(ResponseCode::NoError, Some(edns)))
            }
            Some((_, edns)) => Read::Refuse(header.response(header.refusal(), edns)),
            None => Read::Refuse(header.response(header.refusal(), None)),
        }
    }

    /// The beginning of a response: the header, the question and OPT.
    pub fn response(&self) -> Response {
        Response { question: Some(self.question.clone()), ..self.header.response(ResponseCode::NoError, self.edns) }
    }
}

/// What follows the header: the question, if there is one, and OPT; `None` when it is broken.
///
/// Records are stepped over and never decoded, options in OPT neither by the library, which would log a line for each that it
/// finds wrong.
fn body(bytes: &[u8], questions: u16, asker: &Asker, manner: &Manner) -> Option<(Option<Question>, Option<Edns>)> {
    let mut decoder = BinDecoder::new(bytes);
    decoder.read_slice(HEADER_BYTES).ok()?;
    let question = if questions == 0 { None } else { Some(Question::read(&mut decoder).ok()?) };
    let (mut at, mut edns) = (decoder.index(), None);
    for section in 1..=ADDITIONAL {
        for _ in 0..count(bytes, section)? {
            let record = span(bytes, at)?;
            if record.rtype == OPT_TYPE {
                let root = bytes.get(at) == Some(&0);
                if section != ADDITIONAL || edns.is_some() || !root {
                    return None; // RFC 6891 §6.1.1
                }
                edns = Some(Edns::read(&record, bytes.get(record.data..record.end)?, asker, manner)?);
            }
            at = record.end;
        }
    }
    Some((question, edns))
}

// === impl Header ===

impl Header {
    fn read(bytes: &[u8]) -> Option<Self> {
        let header: &[u8; HEADER_BYTES] = bytes.first_chunk()?;
        Some(Self {
            id: u16::from_be_bytes([header[0], header[1]]),
            is_response: header[2] & 0x80 != 0,
            opcode: header[2] >> 3 & 0x0f,
            recursion_desired: header[2] & 0x01 != 0,
            authentic_data: header[3] & 0x20 != 0,
            checking_disabled: header[3] & 0x10 != 0,
            questions: u16::from_be_bytes([header[4], header[5]]),
        })
    }

    fn refusal(self) -> ResponseCode {
        if self.opcode == OPCODE_QUERY { ResponseCode::FormErr } else { ResponseCode::NotImp }
    }

    /// A response without a question. RD is copied for the one opcode that it is defined for (RFC 8906 §3.1.4).
    fn response(self, rcode: ResponseCode, edns: Option<Edns>) -> Response {
        Response {
            id: self.id,
            opcode: self.opcode,
            recursion_desired: self.recursion_desired && self.opcode == OPCODE_QUERY,
            authoritative: false,
            recursion_available: false,
            rcode,
            question: None,
            found: Found::default(),
            edns,
        }
    }
}
