//! Answers over TLS as long as many others, so that their length does not say what was asked (RFC 7830, RFC 8467). Pure.

use super::{OPT_TYPE, PADDING_OPTION};
use crate::answer::wire::{ADDITIONAL, HEADER_BYTES, count, name_end, options, span};

/// Answers are as long as a multiple of this (RFC 8467 §4.1).
const PADDED_TO: usize = 468;
/// Code and length.
const OPTION_HEADER_BYTES: usize = 4;

/// Whether a query is padded, which its answer is to be then as well (RFC 7830 §4).
pub fn is_padded(query: &[u8]) -> bool {
    opt(query).is_some_and(|(data, end)| options(&query[data..end]).flatten().any(|(code, _)| code == PADDING_OPTION))
}

/// Makes an answer longer, if it has an OPT record, which is its last, and there is room.
pub fn pad(answer: &mut Vec<u8>) {
    let Some((data, end)) = opt(answer).filter(|(_, end)| *end == answer.len()) else { return };
    let len = (answer.len() + OPTION_HEADER_BYTES).next_multiple_of(PADDED_TO);
    if len > usize::from(u16::MAX) {
        return;
    }
    // Both are below 65,536, as the answer is.
    let padding = (len - answer.len() - OPTION_HEADER_BYTES) as u16;
    let options = (len - data) as u16;
    debug_assert!(end <= len);
    answer[data - 2..data].copy_from_slice(&options.to_be_bytes());
    answer.extend([PADDING_OPTION, padding].map(u16::to_be_bytes).concat());
    answer.resize(len, 0);
}

/// Where the data of a message's OPT record begin and end.
fn opt(message: &[u8]) -> Option<(usize, usize)> {
    let mut at = HEADER_BYTES;
    for _ in 0..u16::from_be_bytes(*message.get(4..)?.first_chunk()?) {
        at = name_end(message, at)? + 4;
    }
    let counts: Option<Vec<u16>> = (1..=ADDITIONAL).map(|section| count(message, section)).collect();
    for _ in 0..counts?.into_iter().map(usize::from).sum::<usize>() {
        let record = span(message, at)?;
        if record.rtype == OPT_TYPE {
            return Some((record.data, record.end));
        }
        at = record.end;
    }
    None
}

#[cfg(test)]
mod tests {
    use hickory_proto::op::{Edns, Message, Query};
    use hickory_proto::rr::rdata::opt::EdnsOption;
    use hickory_proto::rr::{Name, RecordType};

    use super::*;

    fn message(edns: Option<Edns>) -> Message {
        let mut message = Message::query();
        message.add_query(Query::query(Name::from_ascii("www.example.com.").unwrap(), RecordType::A));
        message.edns = edns;
        message
    }

    #[test]
    fn a_query_is_padded_by_its_option_alone() {
        let mut padded = Edns::new();
        padded.options_mut().insert(EdnsOption::Unknown(PADDING_OPTION, vec![0; 5]));
        assert!(is_padded(&message(Some(padded)).to_vec().unwrap()));
        assert!(!is_padded(&message(Some(Edns::new())).to_vec().unwrap()));
        assert!(!is_padded(&message(None).to_vec().unwrap()));
        assert!(!is_padded(b"") && !is_padded(&[0xff; 40]));
    }

    #[test]
    fn an_answer_becomes_a_multiple_of_468_bytes_and_says_the_same() {
        for options in 0..460 {
            let mut edns = Edns::new();
            edns.options_mut().insert(EdnsOption::Unknown(65_001, vec![1; options]));
            let mut bytes = message(Some(edns.clone())).to_vec().unwrap();
            pad(&mut bytes);
            assert_eq!(bytes.len() % PADDED_TO, 0, "{options}");
            let read = Message::from_vec(&bytes).unwrap();
            let kept = read.edns.as_ref().unwrap().option(65_001_u16.into());
            assert_eq!(kept, edns.option(65_001_u16.into()), "{options}");
        }
    }

    #[test]
    fn one_without_opt_or_without_room_stays_as_it_is() {
        let plain = message(None).to_vec().unwrap();
        let mut edns = Edns::new();
        edns.options_mut().insert(EdnsOption::Unknown(65_001, vec![1; 65_480]));
        let long = message(Some(edns)).to_vec().unwrap();
        for whole in [plain, long, b"short".to_vec()] {
            let mut padded = whole.clone();
            pad(&mut padded);
            assert!(padded == whole, "{} bytes", whole.len());
        }
    }
}
