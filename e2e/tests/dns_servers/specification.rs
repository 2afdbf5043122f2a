//! The cases of CoreDNS's plugin kubernetes by Services of a real control plane, as they are written for the tests of the server
//! itself; and what Kubernetes' own tests of DNS do with Services.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use anyhow::{Context, Error, Result, ensure};
use rollcall_e2e::dns::{Answer, Kdig, reverse};
use rollcall_e2e::{clock, layout};

use crate::support::{BOUND, Shop};

#[path = "../../../dns/src/answer/tests/table.rs"]
mod table;

const CASES: &str = "dns/src/answer/tests/coredns/cases.txt";
/// What virtual addresses are called in the cases; the control plane chooses others.
const VIRTUAL: [(&str, &[&str]); 5] = [
    ("svc1", &["10.0.0.1"]),
    ("svcempty", &["10.0.0.1"]),
    ("vip", &["192.168.1.100"]),
    ("svc6", &["1234:abcd::1"]),
    ("svc-dual-stack", &["10.0.0.3", "10::3"]),
];
const BELOW: &str = "testns.svc.cluster.local.";

/// A question, and what is told of it.
#[derive(Debug, PartialEq)]
struct Case {
    question: String,
    kind: String,
    code: String,
    records: BTreeSet<String>,
}

/// All of them are answered as they are written, and Services that change are followed.
pub(crate) fn holds(shop: &Shop) -> Result<()> {
    let manifest = include_str!("coredns.yaml");
    shop.kubectl.apply(manifest)?;
    let (kdig, addresses) = (&shop.callers.kdig, addresses(shop)?);
    let text = std::fs::read_to_string(layout::root().join(CASES)).context(CASES)?;
    let cases = read(&text, &addresses)?;
    ensure!(cases.len() > 60, "{} cases", cases.len());
    clock::wait_until("all cases are answered as they are written", BOUND, || {
        for case in &cases {
            let told = case.told(kdig)?;
            ensure!(told == *case, "{told:?}, not {case:?}");
        }
        Ok(Some(()))
    })?;
    println!("    {} cases", cases.len());
    follows(shop)
}

/// Kubernetes' `should provide DNS for ExternalName services` and `for pods for Hostname`, `for Subdomain`.
fn follows(shop: &Shop) -> Result<()> {
    let kdig = &shop.callers.kdig;
    clock::wait_until("a pod is found by its hostname and subdomain", BOUND, || {
        let found = kdig.data(&format!("dns-querier.dns-test.{BELOW}"), "A")?;
        ensure!(found.len() == 1 && found == kdig.data(&format!("dns-test.{BELOW}"), "A")?, "{found:?}");
        Ok(Some(()))
    })?;
    let patch = |patch: &str| {
        shop.kubectl.run(&["patch", "service", "external", "--namespace", "testns", "--patch", patch]).map(drop)
    };
    let name = format!("external.{BELOW}");
    let told = |kind: &str, wanted: &[&str]| {
        clock::wait_until("the changed Service is answered", BOUND, || {
            let answer = kdig.ask(&name, kind)?;
            let found: Vec<_> = answer.answer.iter().map(|record| format!("{} {}", record.kind, record.data)).collect();
            ensure!(found == wanted, "{kind}: {found:?}, not {wanted:?}");
            Ok(Some(()))
        })
    };
    patch(r#"{"spec": {"externalName": "bar.interwebs.test"}}"#)?;
    told("CNAME", &["CNAME bar.interwebs.test."])?;
    patch(r#"{"spec": {"type": "ClusterIP", "externalName": null, "ports": [{"name": "http", "port": 80}]}}"#)?;
    let service = shop.kubectl.get(&["service", "external", "--namespace", "testns"])?;
    let address = service["spec"]["clusterIP"].as_str().context("no virtual address")?;
    told("A", &[&format!("A {address}")])?;
    told("CNAME", &[])
}

/// For each name of a Service and virtual address of the cases, the one that the control plane chose.
fn addresses(shop: &Shop) -> Result<BTreeMap<(&'static str, &'static str), String>> {
    let mut all = BTreeMap::new();
    for (name, written) in VIRTUAL {
        let service = shop.kubectl.get(&["service", name, "--namespace", "testns"])?;
        let chosen = service["spec"]["clusterIPs"].as_array().context("no virtual addresses")?;
        ensure!(chosen.len() == written.len(), "{name} has {chosen:?}");
        let chosen = chosen.iter().map(|address| address.as_str().unwrap_or_default().to_owned());
        all.extend(written.iter().map(|written| (name, *written)).zip(chosen));
    }
    Ok(all)
}

/// Those without names of pods by their address, which need other flags; and not those of the apex, which has what the flags say.
fn read(text: &str, addresses: &BTreeMap<(&str, &str), String>) -> Result<Vec<Case>> {
    let (_, text) = text.split_once("[pods off]").context("no cases without names of pods")?;
    let lines = table::lines(text.split("[pods ").next().unwrap_or_default());
    let cases = (0..lines.len()).filter(|at| !lines[*at].starts_with(' '));
    let cases = cases.map(|at| Case::of(&table::Case::at(&lines, at).map_err(Error::msg)?, addresses));
    let mut cases = cases.collect::<Result<Vec<_>>>()?;
    cases.retain(|case| !case.records.iter().any(|record| record.contains(" soa ") || record.contains(" ns ")));
    Ok(cases)
}

// === impl Case ===

impl Case {
    /// With the addresses that were chosen in place of those that are written.
    fn of(written: &table::Case<'_>, addresses: &BTreeMap<(&str, &str), String>) -> Result<Self> {
        // Virtual addresses lead back as well.
        let of = |((_, address), chosen): (&(&str, &str), &String)| {
            (address.parse::<IpAddr>().is_ok() && reverse(address).is_ok_and(|name| name == written.question))
                .then(|| reverse(chosen))
        };
        let question = addresses.iter().find_map(of).transpose()?.unwrap_or_else(|| written.question.to_owned());
        let record = |record: &table::Record<'_>| {
            let record = match record.place {
                table::Place::Asked => format!("{question} {}", record.text),
                table::Place::Other => record.text.to_owned(),
                // It may be there or not, and is not asked for here.
                table::Place::Beside => return None,
            };
            let owner = record.split(['.', ' ']).next().unwrap_or_default().to_lowercase();
            let chosen = record
                .rsplit_once(' ')
                .and_then(|(before, address)| Some(format!("{before} {}", addresses.get(&(owner.as_str(), address))?)));
            Some(chosen.unwrap_or(record).to_lowercase())
        };
        let records = written.records.iter().filter_map(record).collect();
        Ok(Self { question, kind: written.kind.to_owned(), code: written.code.to_owned(), records })
    }

    /// As it is told.
    fn told(&self, kdig: &Kdig) -> Result<Self> {
        let answer = kdig.ask(&self.question, &self.kind)?;
        let records: BTreeSet<_> = records(&answer).collect();
        ensure!(records.is_empty() != answer.authority.is_empty(), "{}: {answer:?}", self.question);
        Ok(Self { question: self.question.clone(), kind: self.kind.clone(), code: answer.rcode, records })
    }
}

/// Without weights of SRV.
fn records(answer: &Answer) -> impl Iterator<Item = String> {
    answer.answer.iter().map(|record| {
        let mut data: Vec<_> = record.data.trim_matches('"').split(' ').collect();
        if record.kind == "SRV" {
            data.remove(1);
        }
        format!("{} {} {}", record.name, record.kind, data.join(" ")).to_lowercase()
    })
}
