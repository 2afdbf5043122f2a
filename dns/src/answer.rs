//! A query's bytes in, the response's bytes out. Pure: the transport, the zone and the randomness are parameters.
//!
//! - [`query`]: what the bytes ask, or which error they deserve
//! - [`edns`]: the OPT record, kept in every response to a query that has one
//! - [`encode`]: whole records up to the limit, truth about the rest; [`names`]: compressed throughout
//! - [`wire`]: stepping over records that are not to be decoded
//! - [`foreign`]: which questions other servers are asked
//!
//! - [`fast`]: common questions, answered by copying bytes; everything else takes the way through the library

pub mod edns;
pub mod encode;
mod fast;
pub mod foreign;
mod names;
pub mod query;
pub mod wire;

use hickory_proto::op::ResponseCode;
use hickory_proto::rr::{DNSClass, Name, Record, RecordType};

use crate::zone::model::WhenStale;
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

/// What becomes of names that the catalog does not answer for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outside {
    /// REFUSED.
    Refused,
    /// Other servers are asked.
    Forwarded,
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

/// What became of a query.
#[derive(Debug)]
pub enum Outcome {
    /// The answer is written.
    Answered(Summary),
    /// Another server is to be asked.
    Foreign(Box<Foreign>),
    /// No answer may be given to these bytes, because they are shorter than a header, or a response themselves.
    Ignored,
}

/// A question for another server.
#[derive(Debug)]
pub struct Foreign {
    /// As received.
    pub query: Query,
    /// What to ask for: the name of the query, or the one that its chain of CNAMEs leads to.
    pub name: Name,
    /// That chain, in the order to be given.
    pub chain: Vec<Record>,
}

/// Answers `query` into `out`, which is cleared first.
pub fn answer(
    query: &[u8],
    transport: Transport,
    zone: &Zone,
    outside: Outside,
    rng: &mut Rng,
    out: &mut Vec<u8>,
) -> Outcome {
    out.clear();
    match fast::answer(query, transport, zone, outside, rng, out) {
        Some(summary) => Outcome::Answered(summary),
        None => slowly(query, transport, zone, outside, rng, out),
    }
}

/// As [`answer`], whatever the query: through the library. `out` is empty.
fn slowly(
    query: &[u8],
    transport: Transport,
    zone: &Zone,
    outside: Outside,
    rng: &mut Rng,
    out: &mut Vec<u8>,
) -> Outcome {
    let mut response = match Query::read(query) {
        Read::Ignore => return Outcome::Ignored,
        Read::Refuse(response) => response,
        Read::Query(query) => match respond(query, transport, zone, outside, rng) {
            Ok(response) => response,
            Err(foreign) => return Outcome::Foreign(foreign),
        },
    };
    response.recursion_available = outside == Outside::Forwarded;
    Outcome::Answered(response.write(transport, out))
}

/// The response, or the question for another server.
fn respond(
    query: Query,
    transport: Transport,
    zone: &Zone,
    outside: Outside,
    rng: &mut Rng,
) -> Result<Response, Box<Foreign>> {
    let response = query.response();
    let question = &query.question;
    if query.edns.as_ref().is_some_and(|edns| edns.version > 0) {
        return Ok(response.with_code(ResponseCode::BADVERS)); // RFC 6891 §6.1.3
    }
    // Zone transfers are for nobody here; other classes are for other servers.
    let transfer = matches!(question.query_type(), RecordType::AXFR | RecordType::IXFR);
    if transfer || question.query_class() != DNSClass::IN {
        return Ok(response.with_code(ResponseCode::Refused));
    }
    let most = usize::from(Edns::limit(query.edns.as_ref(), transport)) / RECORD_BYTES_MIN + 1;
    let found = zone.lookup(question.name(), question.query_type(), rng, most);
    if outside == Outside::Forwarded
        && let Some((name, chain)) = foreign::of(question, &found)
    {
        return Err(Box::new(Foreign { name, chain, query }));
    }
    Ok(match found {
        Lookup::NotReady => response.with_error(ResponseCode::ServFail, ExtendedError::NotReady),
        // A short name that no search domain completed. A resolver takes a refusal for a fault that passes, and asks again.
        Lookup::OutOfZone
            if outside == Outside::Forwarded && foreign::is_short_host(question.name(), question.query_type()) =>
        {
            let authorities = zone.soa_of_others().into_iter().collect();
            let found = Found { nx_domain: true, authorities, ..Found::default() };
            Response { found, ..response.with_code(ResponseCode::NXDomain) }
        }
        Lookup::OutOfZone => response.with_error(ResponseCode::Refused, ExtendedError::NotAuthoritative),
        Lookup::Found(Found { stale: Some(WhenStale::Refuse), .. }) => {
            response.with_error(ResponseCode::ServFail, ExtendedError::NoReachableAuthority)
        }
        Lookup::Found(found) => {
            let mut response = response;
            if let (Some(WhenStale::Serve), Some(edns)) = (found.stale, &mut response.edns) {
                edns.error = Some(ExtendedError::StaleAnswer);
            }
            let rcode = if found.nx_domain { ResponseCode::NXDomain } else { ResponseCode::NoError };
            Response { authoritative: true, found, ..response.with_code(rcode) }
        }
    })
}

// === impl Response ===

impl Response {
    fn with_code(self, rcode: ResponseCode) -> Self {
        Self { rcode, ..self }
    }

    /// A response that says no more than this.
    pub(crate) fn with_error(mut self, rcode: ResponseCode, error: ExtendedError) -> Self {
        if let Some(edns) = &mut self.edns {
            edns.error = Some(error);
        }
        Self { rcode, found: Found::default(), ..self }
    }

    /// Writes it behind what is in `out`, which is nothing, as long as its transport allows.
    pub(crate) fn write(&self, transport: Transport, out: &mut Vec<u8>) -> Summary {
        let truncated = self.encode(Edns::limit(self.edns.as_ref(), transport), out);
        let rtype = self.question.as_ref().map(hickory_proto::op::Query::query_type);
        Summary { rtype, rcode: self.rcode, truncated }
    }
}

#[cfg(test)]
mod tests;
