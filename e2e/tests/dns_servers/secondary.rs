//! Knot: it holds a copy of the zone, by AXFR, and what it answers from that is what we answer; and it is asked for names of others,
//! with cookies and letters of both cases, which it bears.

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result, bail, ensure};
use rollcall_e2e::dns::{Answer, Kdig};
use rollcall_e2e::process::{Process, Program};
use rollcall_e2e::rollcall::Dns;
use rollcall_e2e::{clock, net, tools};

use crate::support::page::metric;
use crate::support::{BOUND, Shop};

const ZONE: &str = "cluster.local.";
const TYPES: [&str; 7] = ["A", "AAAA", "SRV", "TXT", "CNAME", "MX", "SOA"];

/// Both, side by side.
struct Pair {
    ours: Kdig,
    knot: Kdig,
}

/// Knot answers as we do, whatever is asked; and is asked by us.
pub(crate) fn answers_alike(shop: &mut Shop) -> Result<()> {
    let listen = net::free_loopback()?;
    let forward = listen.to_string();
    let flags = ["--transfer-to", "127.0.0.0/8", "--forward", &forward];
    let catalogs = shop.rollcall.catalogs();
    let mut dns = Dns::start(&shop.binaries, &shop.installation, "dns-of-knot", &catalogs, shop.folder(), &flags)?;
    let mut knot = start(listen, dns.listen, shop.folder())?;
    dns.wait_ready()?;
    let pair = Pair { ours: Kdig::new(dns.listen)?, knot: Kdig::new(listen)? };
    clock::wait_until("the same answers from Knot and from us", BOUND, || {
        let before = pair.serials()?;
        let asked = pair.compare(&names(listen)?);
        // What changed meanwhile is no difference.
        ensure!(before.0 == before.1 && pair.serials()? == before, "the zone changes: {before:?}");
        println!("    {} questions", asked?);
        Ok(Some(()))
    })?;
    let found = pair.ours.data("WWW.others.test.", "A")?;
    ensure!(found == ["192.0.2.7"], "by Knot: {found:?}");
    for reason in ["stranger", "malformed"] {
        let failures = metric(dns.http, "rollcall_dns_forward_failures_total", reason).unwrap_or(0.0);
        ensure!(failures == 0.0, "{failures} answers of Knot are {reason}");
    }
    shop.rollcall.dns.push(dns);
    knot.stop().map(|_| ())
}

// === impl Pair ===

impl Pair {
    fn serials(&self) -> Result<(String, String)> {
        let of = |kdig: &Kdig| Ok::<_, anyhow::Error>(kdig.data(ZONE, "SOA")?.join(" "));
        Ok((of(&self.ours)?, of(&self.knot)?))
    }

    /// Asks both for each of the names, their parents and names below them. How many questions that were.
    fn compare(&self, names: &BTreeSet<String>) -> Result<usize> {
        let mut all = names.clone();
        for name in names {
            all.insert(format!("nobody.{name}"));
            all.insert(name.to_ascii_uppercase());
            all.extend(name.split_once('.').map(|(_, parent)| parent.to_owned()).filter(|name| name.ends_with(ZONE)));
        }
        for name in &all {
            for kind in TYPES {
                let (ours, knots) = (told(&self.ours.ask(name, kind)?), told(&self.knot.ask(name, kind)?));
                if ours != knots {
                    bail!("{name} {kind}: {ours:?}, and Knot {knots:?}");
                }
            }
        }
        Ok(all.len() * TYPES.len())
    }
}

/// What both must say: code, AA, records, and whose SOA denies. Additional records are as each server likes.
fn told(answer: &Answer) -> (String, bool, BTreeSet<String>, BTreeSet<String>) {
    let lower = |text: &str| text.to_ascii_lowercase();
    let records = answer
        .answer
        .iter()
        .map(|record| format!("{} {} {} {}", lower(&record.name), record.ttl_s, record.kind, record.data));
    let denied = answer.authority.iter().filter(|record| record.kind == "SOA").map(|record| lower(&record.name));
    (answer.rcode.clone(), answer.authoritative, records.collect(), denied.collect())
}

/// The names of Knot's copy.
fn names(knot: SocketAddr) -> Result<BTreeSet<String>> {
    let output = Command::new(tools::kdig()?)
        .arg(format!("@{}", knot.ip()))
        .args(["-p", &knot.port().to_string(), "+noall", "+answer", "-t", "AXFR", ZONE])
        .output()
        .context("starting kdig")?;
    let text = String::from_utf8_lossy(&output.stdout);
    let names: BTreeSet<String> = text
        .lines()
        .filter(|line| !line.starts_with(';'))
        .filter_map(|line| line.split_whitespace().next())
        .filter(|name| name.ends_with(ZONE))
        .map(str::to_owned)
        .collect();
    ensure!(names.len() > 10, "Knot's copy has {} names: {text}", names.len());
    Ok(names)
}

fn start(listen: SocketAddr, ours: SocketAddr, folder: &Path) -> Result<Process> {
    let (file, state) = (folder.join("knot.conf"), folder.join("knot"));
    std::fs::create_dir_all(&state)?;
    let others = state.join("others.zone");
    std::fs::write(
        &others,
        "@ 60 SOA ns hostmaster 1 60 60 600 5\n@ 60 NS ns\nns 60 A 192.0.2.1\nwww 60 A 192.0.2.7\n",
    )?;
    let text = format!(
        "server:
    listen: {}@{}
    rundir: {state}
database:
    storage: {state}
control:
    listen: {state}/knot.sock
remote:
  - id: ours
    address: {}@{}
acl:
  - id: all
    address: 127.0.0.0/8
    action: transfer
template:
  - id: default
    storage: {state}
    global-module: mod-cookies
zone:
  - domain: {ZONE}
    master: ours
    acl: all
    refresh-max-interval: 2
    retry-max-interval: 2
  - domain: others.test.
    file: {}
",
        listen.ip(),
        listen.port(),
        ours.ip(),
        ours.port(),
        others.display(),
        state = state.display(),
    );
    std::fs::write(&file, text)?;
    Program::new("knot", tools::knotd()?, folder).args(["--config".to_owned(), file.display().to_string()]).start()
}
