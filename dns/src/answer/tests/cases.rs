//! The cases of tables in which other servers' tests are written anew, and whether answers here are as they say.

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

// === impl Case ===

impl Case {
    /// The one that begins at a line of a table.
    pub(super) fn at(lines: &[&str], at: usize) -> Self {
        let written = table::Case::at(lines, at).unwrap();
        let record = |record: &table::Record<'_>| match record.place {
            table::Place::Asked => format!("{} {}", written.question, record.text),
            table::Place::Other => record.text.to_owned(),
            table::Place::Beside => format!("beside {}", record.text),
        };
        let mut records: Vec<_> = written.records.iter().map(record).collect();
        records.sort();
        if records.is_empty() {
            records.push("denied".to_owned());
        }
        let rtype = RecordType::from_str(written.kind).unwrap();
        Self { question: written.question.to_owned(), rtype, code: written.code.to_owned(), records }
    }

    /// How it is told otherwise here, if it is.
    pub(super) fn fault(&self, zone: &Zone, weights: Weights) -> Option<String> {
        let told = self.told(zone, weights);
        (told != *self).then(|| format!("{told:#?}\n   in place of {self:#?}"))
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
