//! What a DNS server answers, as kdig sees it.

use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context, Result, bail};
use serde_json::Value;

/// kdig for one server.
#[derive(Clone, Debug)]
pub struct Kdig {
    binary: PathBuf,
    server: SocketAddr,
}

/// An answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    /// The response code, such as `NOERROR`.
    pub rcode: String,
    /// TC: it did not fit.
    pub truncated: bool,
    /// AA: the server owns the name.
    pub authoritative: bool,
    /// The answer section.
    pub answer: Vec<Record>,
    /// The authority section.
    pub authority: Vec<Record>,
    /// The additional section, without OPT.
    pub additional: Vec<Record>,
    /// The codes of its extended errors (RFC 8914).
    pub extended_errors: Vec<u16>,
}

/// A resource record.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Record {
    /// Its owner, with the final dot.
    pub name: String,
    /// Its type, such as `SRV`.
    pub kind: String,
    /// Its time to live in seconds.
    pub ttl_s: u64,
    /// Its data in presentation format.
    pub data: String,
}

// === impl Kdig ===

impl Kdig {
    /// kdig for the server at `server`.
    pub fn new(server: SocketAddr) -> Result<Self> {
        Ok(Self { binary: crate::tools::kdig()?, server })
    }

    /// Asks over UDP, and over TCP when that was truncated; again after 5 s without an answer, three times.
    pub fn ask(&self, name: &str, kind: &str) -> Result<Answer> {
        self.ask_with(name, kind, &[])
    }

    /// Asks with more of kdig's options, such as `+tcp`, `+ignore` or `+bufsize=4096`.
    pub fn ask_with(&self, name: &str, kind: &str, options: &[&str]) -> Result<Answer> {
        let output = Command::new(&self.binary)
            .arg(format!("@{}", self.server.ip()))
            .args(["-p", &self.server.port().to_string(), "+json", "+timeout=5", "+retry=3"])
            .args(options)
            .args(["-q", name, "-t", kind])
            .output()
            .context("starting kdig")?;
        let text = String::from_utf8_lossy(&output.stdout);
        if !output.status.success() {
            let said = String::from_utf8_lossy(&output.stderr);
            bail!("kdig {name} {kind} at {}: {}", self.server, said.trim().lines().last().unwrap_or("no answer"));
        }
        parse(&text).with_context(|| format!("kdig {name} {kind} at {}: {text}", self.server))
    }

    /// The data of the records of type `kind` in the answer, sorted; an error for any code but NOERROR.
    pub fn data(&self, name: &str, kind: &str) -> Result<Vec<String>> {
        self.data_with(name, kind, &[])
    }

    /// The same, asked once only: a lost question is an error, however busy the machine is.
    pub fn data_at_once(&self, name: &str, kind: &str) -> Result<Vec<String>> {
        self.data_with(name, kind, &["+timeout=30", "+retry=0"])
    }

    fn data_with(&self, name: &str, kind: &str, options: &[&str]) -> Result<Vec<String>> {
        let answer = self.ask_with(name, kind, options)?;
        if answer.rcode != "NOERROR" {
            bail!("{name} {kind}: {}", answer.rcode);
        }
        Ok(answer.data(kind))
    }
}

// === impl Answer ===

impl Answer {
    /// The data of the answer's records of one type, sorted.
    pub fn data(&self, kind: &str) -> Vec<String> {
        let mut data: Vec<String> =
            self.answer.iter().filter(|record| record.kind == kind).map(|record| record.data.clone()).collect();
        data.sort();
        data
    }
}

/// RFC 8427 as kdig writes it.
fn parse(text: &str) -> Result<Answer> {
    // One object for each attempt; that of an attempt without a reply is empty.
    let attempts = serde_json::Deserializer::from_str(text).into_iter::<Value>();
    let message = attempts.last().context("no reply")??;
    let flag = |name: &str| message[name].as_u64().unwrap_or(0) != 0;
    let rcode = match message["RCODE"].as_u64().context("no RCODE")? {
        0 => "NOERROR".into(),
        1 => "FORMERR".into(),
        2 => "SERVFAIL".into(),
        3 => "NXDOMAIN".into(),
        4 => "NOTIMP".into(),
        5 => "REFUSED".into(),
        16 => "BADVERS".into(),
        other => format!("RCODE{other}"),
    };
    Ok(Answer {
        rcode,
        truncated: flag("TC"),
        authoritative: flag("AA"),
        answer: records(&message["answerRRs"]),
        authority: records(&message["authorityRRs"]),
        additional: records(&message["additionalRRs"]),
        extended_errors: extended_errors(&message["additionalRRs"]),
    })
}

/// Of the options of OPT (RFC 6891 §6.1.2) those of code 15: two bytes of code, and a text.
fn extended_errors(additional: &Value) -> Vec<u16> {
    let opt = additional.as_array().into_iter().flatten().find(|record| record["TYPE"] == 41);
    let hex = opt.and_then(|opt| opt["RDATAHEX"].as_str()).unwrap_or_default();
    let mut rest: Vec<u8> = (0..hex.len() / 2).filter_map(|at| hex.get(2 * at..2 * at + 2)).filter_map(byte).collect();
    let mut codes = Vec::new();
    while let [code_high, code_low, high, low, data @ ..] = &*rest {
        let (option, length) = (u16::from_be_bytes([*code_high, *code_low]), u16::from_be_bytes([*high, *low]));
        let (data, after) = data.split_at(usize::from(length).min(data.len()));
        if let (15, [high, low, ..]) = (option, data) {
            codes.push(u16::from_be_bytes([*high, *low]));
        }
        rest = after.to_vec();
    }
    codes
}

fn byte(hex: &str) -> Option<u8> {
    u8::from_str_radix(hex, 16).ok()
}

fn records(section: &Value) -> Vec<Record> {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let record = |record: &Value| {
        let kind = text(&record["TYPEname"]);
        Record {
            name: text(&record["NAME"]),
            ttl_s: record["TTL"].as_u64().unwrap_or(0),
            data: text(&record[format!("rdata{kind}")]),
            kind,
        }
    };
    let records = section.as_array().map(Vec::as_slice).unwrap_or_default();
    records.iter().map(record).filter(|record| record.kind != "OPT").collect()
}

/// The name of the PTR records of an address (RFC 1035 §3.5, RFC 3596 §2.5).
///
/// # Errors
/// When it is no address.
pub fn reverse(ip: &str) -> Result<String> {
    let labels: Vec<String> = match ip.parse()? {
        IpAddr::V4(v4) => v4.octets().iter().rev().map(ToString::to_string).collect(),
        IpAddr::V6(v6) => v6
            .octets()
            .iter()
            .rev()
            .flat_map(|octet| [format!("{:x}", octet & 15), format!("{:x}", octet >> 4)])
            .collect(),
    };
    let zone = if ip.contains(':') { "ip6.arpa." } else { "in-addr.arpa." };
    Ok(format!("{}.{zone}", labels.join(".")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_is_read() {
        let answer = parse(
            r#"{} {"RCODE": 0, "TC": 0, "AA": 1, "answerRRs": [
                {"NAME": "a.test.", "TYPE": 1, "TYPEname": "A", "CLASS": 1, "TTL": 5, "rdataA": "192.0.2.7"},
                {"NAME": "a.test.", "TYPE": 1, "TYPEname": "A", "CLASS": 1, "TTL": 5, "rdataA": "192.0.2.5"}],
                "additionalRRs": [{"NAME": ".", "TYPE": 41, "TYPEname": "OPT", "RDATAHEX": "000A0002ABCD000F000800037374616C6521"}]}"#,
        )
        .unwrap();
        assert_eq!(answer.data("A"), ["192.0.2.5", "192.0.2.7"]);
        assert!(answer.authoritative && !answer.truncated && answer.additional.is_empty());
        assert_eq!(answer.extended_errors, [3], "beside a cookie");
        assert_eq!(answer.answer[0].ttl_s, 5);
    }
}
