//! Questions and answers of DNS. Pure.

use std::collections::BTreeSet;
use std::net::IpAddr;

use hickory_proto::op::{Message, MessageType, Query, ResponseCode};
use hickory_proto::rr::{Name, RData, RecordType};

use super::hosts::Family;

/// What some bytes are to a question.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Reply {
    /// Its answer.
    Answer(Family),
    /// The answer did not fit: ask by TCP.
    Truncated,
    /// Not for it. Whoever sent it guesses.
    Stranger,
}

/// A negative answer without a SOA record holds for so long.
const NEGATIVE_TTL_S: u32 = 30;

/// A question for the addresses of one family.
pub(super) fn question(id: u16, host: &str, rtype: RecordType) -> Result<Vec<u8>, String> {
    let mut message = Message::query();
    message.metadata.id = id;
    message.metadata.recursion_desired = true;
    message.add_query(Query::query(absolute(host)?, rtype));
    message.to_vec().map_err(|error| error.to_string())
}

/// What some bytes are to the question of that id.
pub(super) fn read(bytes: &[u8], id: u16, host: &str, rtype: RecordType) -> Reply {
    let (Ok(message), Ok(name)) = (Message::from_vec(bytes), absolute(host)) else { return Reply::Stranger };
    let asked = message.queries.first().is_some_and(|query| *query.name() == name && query.query_type() == rtype);
    if message.metadata.id != id || message.metadata.message_type != MessageType::Response || !asked {
        return Reply::Stranger;
    }
    if message.metadata.truncation {
        return Reply::Truncated;
    }
    let negative_ttl = || {
        let soa = message.authorities.iter().find_map(|record| match &record.data {
            RData::SOA(soa) => Some(record.ttl.min(soa.minimum)),
            _ => None,
        });
        soa.unwrap_or(NEGATIVE_TTL_S)
    };
    Reply::Answer(match message.metadata.response_code {
        ResponseCode::NoError => {
            let (addresses, ttl_s) = addresses(&message);
            if addresses.is_empty() { Family::None(negative_ttl()) } else { Family::Found(addresses, ttl_s) }
        }
        ResponseCode::NXDomain => Family::NoName(negative_ttl()),
        code => Family::Failed(format!("the name server answered {code}")),
    })
}

/// All addresses, at the end of whatever chain of CNAMEs, for as long as the shortest of all records lasts.
fn addresses(message: &Message) -> (BTreeSet<IpAddr>, u32) {
    let addresses = message.answers.iter().filter_map(|record| match &record.data {
        RData::A(a) => Some(IpAddr::V4(a.0)),
        RData::AAAA(aaaa) => Some(IpAddr::V6(aaaa.0)),
        _ => None,
    });
    (addresses.collect(), message.answers.iter().map(|record| record.ttl).min().unwrap_or(0))
}

/// Never below a search domain: what a registration names is the same wherever it is read.
fn absolute(host: &str) -> Result<Name, String> {
    let mut name = Name::from_ascii(host).map_err(|error| format!("it is no name of DNS ({error})"))?;
    name.set_fqdn(true);
    Ok(name)
}

#[cfg(test)]
mod tests {
    use hickory_proto::rr::Record;
    use hickory_proto::rr::rdata::{A, CNAME};

    use super::*;

    fn answer(id: u16, code: ResponseCode, records: Vec<Record>) -> Vec<u8> {
        let mut message =
            Message::from_vec(&question(7, "db.example.net", RecordType::A).expect("bytes")).expect("read");
        message.metadata.id = id;
        message.metadata.message_type = MessageType::Response;
        message.metadata.response_code = code;
        message.add_answers(records);
        message.to_vec().expect("bytes")
    }

    fn told(bytes: &[u8]) -> Reply {
        read(bytes, 7, "db.example.net", RecordType::A)
    }

    #[test]
    fn addresses_come_from_the_end_of_a_chain_and_last_as_long_as_its_weakest() {
        let own = Name::from_ascii("db.example.net.").expect("a name");
        let other = Name::from_ascii("db-7.example.net.").expect("a name");
        let records = vec![
            Record::from_rdata(own, 20, RData::CNAME(CNAME(other.clone()))),
            Record::from_rdata(other.clone(), 60, RData::A(A::new(198, 51, 100, 7))),
            Record::from_rdata(other, 60, RData::A(A::new(198, 51, 100, 8))),
        ];
        let found = ["198.51.100.7", "198.51.100.8"].map(|ip| ip.parse().expect("an address")).into();
        assert_eq!(told(&answer(7, ResponseCode::NoError, records)), Reply::Answer(Family::Found(found, 20)));
    }

    #[test]
    fn denials_failures_and_strangers_are_told_apart() {
        assert_eq!(told(&answer(7, ResponseCode::NXDomain, Vec::new())), Reply::Answer(Family::NoName(NEGATIVE_TTL_S)));
        assert_eq!(told(&answer(7, ResponseCode::NoError, Vec::new())), Reply::Answer(Family::None(NEGATIVE_TTL_S)));
        let Reply::Answer(Family::Failed(words)) = told(&answer(7, ResponseCode::ServFail, Vec::new())) else {
            panic!("a failure")
        };
        assert!(words.starts_with("the name server answered"), "{words}");
        assert_eq!(told(&answer(8, ResponseCode::NoError, Vec::new())), Reply::Stranger);
        assert_eq!(told(b"no DNS at all"), Reply::Stranger);
        assert_eq!(told(&question(7, "db.example.net", RecordType::A).expect("bytes")), Reply::Stranger, "a question");
        assert!(question(7, &"a".repeat(300), RecordType::A).is_err());
    }
}
