//! A query's bytes in, the response's bytes out. Pure: the transport, the zone and the randomness are parameters.
//!
//! - [`query`]: what the bytes ask, or which error they deserve
//! - [`edns`]: the OPT record, kept in every response to a query that has one
//! - [`encode`]: whole records up to the limit, truth about the rest
//!
//! A faster way for common questions belongs in front of [`Query::read`](query::Query::read) in [`answer`], and must give
//! the same bytes; everything else takes the way through hickory.

pub mod edns;
pub mod encode;
pub mod query;

use hickory_proto::op::ResponseCode;
use hickory_proto::rr::{DNSClass, RecordType};

use crate::zone::{Found, Lookup, Rng, Zone};
use edns::{Edns, ExtendedError};
use encode::{RECORD_BYTES_MIN, Response};
use query::{Query, Read};

/// How a query came.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Transport {
    /// One datagram each way.
    Udp,
    /// A stream: nothing is too long.
    Tcp,
}

/// What was answered, for the metrics.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Summary {
    /// The type asked for; `None` when the question could not be read.
    pub rtype: Option<RecordType>,
    /// The answer's code.
    pub rcode: ResponseCode,
    /// Whether TC is set.
    pub truncated: bool,
}

/// Answers `query` into `out`, which is cleared first. `None`: no answer may be given to these bytes, because they are
/// shorter than a header, or a response themselves.
pub fn answer(query: &[u8], transport: Transport, zone: &Zone, rng: &mut Rng, out: &mut Vec<u8>) -> Option<Summary> {
    out.clear();
    let response = match Query::read(query) {
        Read::Ignore => return None,
        Read::Refuse(response) => response,
        Read::Query(query) => respond(query, transport, zone, rng),
    };
    let limit = Edns::limit(response.edns.as_ref(), transport);
    let truncated = response.encode(limit, out);
    let rtype = response.question.as_ref().map(hickory_proto::op::Query::query_type);
    Some(Summary { rtype, rcode: response.rcode, truncated })
}

fn respond(query: Query, transport: Transport, zone: &Zone, rng: &mut Rng) -> Response {
    let response = query.response();
    let question = &query.question;
    if query.edns.as_ref().is_some_and(|edns| edns.version > 0) {
        return response.with_code(ResponseCode::BADVERS); // RFC 6891 §6.1.3
    }
    // Zone transfers are for nobody here; other classes are for other servers.
    let transfer = matches!(question.query_type(), RecordType::AXFR | RecordType::IXFR);
    if transfer || question.query_class() != DNSClass::IN {
        return response.with_code(ResponseCode::Refused);
    }
    let most = usize::from(Edns::limit(query.edns.as_ref(), transport)) / RECORD_BYTES_MIN + 1;
    match zone.lookup(question.name(), question.query_type(), rng, most) {
        Lookup::NotReady => response.with_error(ResponseCode::ServFail, ExtendedError::NotReady),
        Lookup::OutOfZone => response.with_error(ResponseCode::Refused, ExtendedError::NotAuthoritative),
        Lookup::Found(found) => {
            let rcode = if found.nx_domain { ResponseCode::NXDomain } else { ResponseCode::NoError };
            Response { authoritative: true, found, ..response.with_code(rcode) }
        }
    }
}

// === impl Response ===

impl Response {
    fn with_code(self, rcode: ResponseCode) -> Self {
        Self { rcode, ..self }
    }

    fn with_error(mut self, rcode: ResponseCode, error: ExtendedError) -> Self {
        if let Some(edns) = &mut self.edns {
            edns.error = Some(error);
        }
        Self { rcode, found: Found::default(), ..self }
    }
}

#[cfg(test)]
mod tests;
