//! Questions and their answers as lines of text, in which other servers' tests are written anew.

use std::str::FromStr;

use super::*;

/// A question, and what is told of it here.
#[derive(Debug, PartialEq)]
pub(super) struct Case {
    question: String,
    rtype: RecordType,
    code: String,
    records: Vec<String>,
}

/// Whether those of SRV are looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Weights {
    Hidden,
    Shown,
}

/// The lines of a table that say something.
pub(super) fn lines(table: &str) -> Vec<&str> {
    table.lines().filter(|line| !line.is_empty() && !line.starts_with('#')).collect()
}

// === impl Case ===

impl Case {
    /// The one that begins at a line of a table; the indented lines below are its records.
    pub(super) fn at(lines: &[&str], at: usize) -> Self {
        let records = lines[at + 1..].iter().take_while(|line| line.starts_with(' ')).map(|line| line.trim());
        Self::read(lines[at], &records.collect::<Vec<_>>())
    }

    /// How it is told otherwise here, if it is.
    pub(super) fn fault(&self, zone: &Zone, weights: Weights) -> Option<String> {
        let told = self.told(zone, weights);
        (told != *self).then(|| format!("{told:#?}\n   in place of {self:#?}"))
    }

    /// By its line, and those of its records, which are sorted.
    fn read(line: &str, records: &[&str]) -> Self {
        let (line, _) = line.split_once(" differs: ").unwrap_or((line, ""));
        let (line, other) = line.split_once(" but ").map_or((line, None), |(line, other)| (line, Some(other)));
        let [question, rtype, code] = line.split(' ').collect::<Vec<_>>()[..] else { panic!("{line}") };
        let code = other.and_then(|other| other.split_once(':')).map_or(code, |(code, why)| {
            assert!(why.len() > 10, "without a reason: {line}");
            code
        });
        let at_name = |record: &&str| match record.split_at(2) {
            ("+ ", record) => format!("beside {record}"),
            ("& ", record) => record.to_owned(),
            _ => format!("{question} {record}"),
        };
        let mut records: Vec<_> = records.iter().map(at_name).collect();
        records.sort();
        if records.is_empty() {
            records.push("denied".to_owned());
        }
        let rtype = RecordType::from_str(rtype).unwrap();
        Self { question: question.to_owned(), rtype, code: code.to_owned(), records }
    }

    /// As it is told here.
    fn told(&self, zone: &Zone, weights: Weights) -> Self {
        let message = ask(zone, &query(&self.question, self.rtype), Transport::Udp);
        let record = |record: &hickory_proto::rr::Record| {
            let mut data: Vec<_> = record.data.to_string().split(' ').map(str::to_owned).collect();
            if record.record_type() == RecordType::SRV && weights == Weights::Hidden {
                data.remove(1);
            }
            let (name, data) = (&record.name, data.join(" "));
            format!("{name} {} {}", record.record_type(), data.trim_matches(|c: char| "\" ".contains(c)))
        };
        let mut records: Vec<_> = message.answers.iter().map(record).collect();
        records.extend(message.additionals.iter().map(|beside| format!("beside {}", record(beside))));
        records.extend(message.authorities.iter().map(|soa| {
            assert_eq!(soa.record_type(), RecordType::SOA, "{}", self.question);
            "denied".to_owned()
        }));
        records.sort();
        let code = message.metadata.response_code;
        let code = match code {
            ResponseCode::NoError => "NOERROR".to_owned(),
            ResponseCode::NXDomain => "NXDOMAIN".to_owned(),
            other => other.to_string(),
        };
        Self { question: self.question.clone(), rtype: self.rtype, code, records }
    }
}
