//! A query's bytes in, the response's bytes out. Pure: the transport, the zone and the randomness are parameters.
//!
//! - [`asker`]: who asks, and how whoever does is treated
//! - [`query`]: what the bytes ask, or which error they deserve
//! - [`edns`]: the OPT record, kept in every response to a query that has one
//! - [`encode`]: whole records up to the limit, truth about the rest; [`names`]: compressed throughout
//! - [`wire`]: stepping over records that are not to be decoded
//! - [`foreign`]: which questions other servers are asked; [`kept`]: what they answered, where somebody has it at hand; [`completion`]: names that mean others
//! - [`transfer`]: a zone as a whole
//!
//! - [`fast`]: common questions, answered by copying bytes; everything else takes the way through the library

pub mod asker;
pub mod completion;
pub mod edns;
pub mod encode;
mod fast;
pub mod foreign;
pub mod kept;
mod names;
pub mod query;
pub mod transfer;
pub mod wire;

use hickory_proto::op::ResponseCode;
use hickory_proto::rr::{DNSClass, Name, Record, RecordType};

use crate::zone::model::WhenStale;
use crate::zone::{Found, Lookup, Rng, Zone};
pub use asker::{Asker, Manner, Networks};
use completion::Completed;
use edns::{Edns, ExtendedError};
use encode::{RECORD_BYTES_MIN, Response};
use query::{Query, Read};
use transfer::Transfer;

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
    /// The client has shown that it is at its address, by a cookie.
    pub known_client: bool,
}

/// What became of a query.
#[derive(Debug)]
pub enum Outcome {
    /// The answer is written.
    Answered(Summary),
    /// Another server's answer, which was kept, is written.
    Kept,
    /// Another server is to be asked.
    Foreign(Box<Foreign>),
    /// The answer is several messages, over a stream.
    Transfer(Box<Transfer>),
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
pub fn answer(query: &[u8], asker: &Asker, zone: &Zone, manner: &Manner, rng: &mut Rng, out: &mut Vec<u8>) -> Outcome {
    out.clear();
    match fast::answer(query, asker, zone, manner, rng, out) {
        Some(fast::Given::Ours(summary)) => Outcome::Answered(summary),
        Some(fast::Given::Others) => Outcome::Kept,
        None => slowly(query, asker, zone, manner, rng, out),
    }
}

/// Leaves of an answer no more than its question, TC, and an OPT record where there was one: to be asked again over TCP.
pub fn cut(out: &mut Vec<u8>) {
    const CLASS_AND_TYPE: usize = 4;
    let has_question = out.get(5) == Some(&1);
    let end = if has_question { wire::name_end(out, wire::HEADER_BYTES).map(|end| end + CLASS_AND_TYPE) } else { None };
    let end = end.unwrap_or(wire::HEADER_BYTES).min(out.len());
    let counts: Option<Vec<u16>> = (1..=wire::ADDITIONAL).map(|section| wire::count(out, section)).collect();
    let records = counts.into_iter().flatten().map(usize::from).sum::<usize>();
    let (mut at, mut opt) = (end, None);
    for _ in 0..records {
        let Some(record) = wire::span(out, at) else { break };
        if record.rtype == edns::OPT_TYPE {
            opt = out.get(at..record.end).map(<[u8]>::to_vec);
        }
        at = record.end;
    }
    out.truncate(end);
    if out.len() < wire::HEADER_BYTES {
        return;
    }
    out[2] |= 0x02;
    wire::write_counts([0, 0, u16::from(opt.is_some())], out);
    out.extend(opt.unwrap_or_default());
}

/// As [`answer`], whatever the query: through the library. `out` is empty.
fn slowly(query: &[u8], asker: &Asker, zone: &Zone, manner: &Manner, rng: &mut Rng, out: &mut Vec<u8>) -> Outcome {
    let mut response = match Query::read(query, asker, manner) {
        Read::Ignore => return Outcome::Ignored,
        Read::Refuse(response) => response,
        Read::Query(query) => match respond(query, asker, zone, manner, rng) {
            Ok(response) => response,
            Err(Else::Foreign(foreign)) => return Outcome::Foreign(foreign),
            Err(Else::Transfer(transfer)) => return Outcome::Transfer(transfer),
        },
    };
    response.recursion_available = manner.outside == Outside::Forwarded;
    Outcome::Answered(response.write(asker.transport, out))
}

/// What there is in place of a response.
enum Else {
    Foreign(Box<Foreign>),
    Transfer(Box<Transfer>),
}

/// A zone as a whole, for whom may have it; over UDP its SOA alone, after which it is asked for over TCP (RFC 1995 §2).
fn transferred(query: Query, asker: &Asker, zone: &Zone, manner: &Manner) -> Result<Response, Else> {
    let refused = |query: Query| Ok(query.response().with_code(ResponseCode::Refused));
    if !manner.transfer_to.contain(asker.from) {
        return refused(query);
    }
    match (asker.transport, query.question.query_type(), Transfer::of(query, zone)) {
        (_, _, Err(query)) => refused(*query),
        (Transport::Tcp, _, Ok(transfer)) => Err(Else::Transfer(Box::new(transfer))),
        (Transport::Udp, RecordType::IXFR, Ok(transfer)) => Ok(transfer.beginning()),
        (Transport::Udp, _, Ok(transfer)) => refused(transfer.refused()),
    }
}

/// The response, or what there is in place of one.
fn respond(query: Query, asker: &Asker, zone: &Zone, manner: &Manner, rng: &mut Rng) -> Result<Response, Else> {
    let (outside, response) = (manner.outside, query.response());
    let question = &query.question;
    if !manner.clients.contain(asker.from) {
        return Ok(response.with_error(ResponseCode::Refused, ExtendedError::Prohibited));
    }
    if query.edns.as_ref().is_some_and(|edns| edns.version > 0) {
        return Ok(response.with_code(ResponseCode::BADVERS)); // RFC 6891 §6.1.3
    }
    // Other classes are for other servers.
    if question.query_class() != DNSClass::IN {
        return Ok(response.with_code(ResponseCode::Refused));
    }
    if matches!(question.query_type(), RecordType::AXFR | RecordType::IXFR) {
        return transferred(query, asker, zone, manner);
    }
    let most = usize::from(Edns::limit(query.edns.as_ref(), asker.transport)) / RECORD_BYTES_MIN + 1;
    let found = zone.lookup(question.name(), question.query_type(), rng, most);
    let found = with_hosts(found, question, zone, manner, rng, most);
    if outside == Outside::Forwarded
        && let Some((name, chain)) = foreign::of(question, &found)
    {
        return Err(Else::Foreign(Box::new(Foreign { name, chain, query })));
    }
    let is_denied = matches!(&found, Lookup::Found(found) if found.nx_domain && found.answers.is_empty());
    let meant = if outside == Outside::Forwarded && is_denied {
        manner.completion.of(question, asker, zone, rng, most)
    } else {
        None
    };
    let found = match meant {
        Some(Completed::Elsewhere(name, chain)) => {
            return Err(Else::Foreign(Box::new(Foreign { name, chain, query })));
        }
        Some(Completed::Here(found)) => Lookup::Found(found),
        None => found,
    };
    Ok(told(response, found, question, outside, zone))
}

/// What the hosts file has, where the catalog has nothing: of the name that was asked for, or of that to which a chain of CNAMEs leads.
fn with_hosts(
    found: Lookup,
    question: &hickory_proto::op::Query,
    zone: &Zone,
    manner: &Manner,
    rng: &mut Rng,
    most: usize,
) -> Lookup {
    let (name, chain) = match &found {
        Lookup::OutOfZone | Lookup::NotReady => (question.name(), &[][..]),
        Lookup::Found(Found { elsewhere: Some(elsewhere), answers, .. }) if elsewhere.chain == answers.len() => {
            (&elsewhere.name, &answers[..])
        }
        Lookup::Found(_) => return found,
    };
    let Some(mut data) = manner.hosts.of(name, question.query_type()) else { return found };
    rng.choose(&mut data, most);
    let records = data.into_iter().map(|data| Record::from_rdata(name.clone(), zone.ttl(), data));
    let answers: Vec<_> = chain.iter().cloned().chain(records).collect();
    let authorities =
        if answers.len() == chain.len() { zone.soa_of_others().into_iter().collect() } else { Vec::new() };
    Lookup::Found(Found { answers, authorities, ..Found::default() })
}

/// The response by what was found.
fn told(
    response: Response,
    found: Lookup,
    question: &hickory_proto::op::Query,
    outside: Outside,
    zone: &Zone,
) -> Response {
    match found {
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
    }
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
        Summary { rtype, rcode: self.rcode, truncated, known_client: Edns::is_known(self.edns.as_ref()) }
    }
}

#[cfg(test)]
mod tests;
