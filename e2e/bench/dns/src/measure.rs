//! One server under one kind of load.

use std::fmt;
use std::process::Command;

use anyhow::{Context, Result, bail};
use rollcall_e2e::tools;

use crate::load::{Load, Questions};
use crate::server::{Kind, Server};

/// How long each load takes, in seconds; before it, one of a second.
const SECONDS: u32 = 4;

/// Which questions, and how they come: as dnsperf calls it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Case {
    questions: Questions,
    transport: &'static str,
}

const UDP: &str = "udp";
const TCP: &str = "tcp";
const TLS: &str = "dot";

/// What a server did.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Measured {
    pub(crate) queries_s: f64,
    /// Of the server's threads, each query, in microseconds.
    pub(crate) cpu_us: f64,
    lost: f64,
}

/// Asks for `case`.
pub(crate) fn one(server: &Server, case: Case, load: &Load) -> Result<Measured> {
    ask(server, case, load, 1)?;
    let before = server.cpu_s()?;
    let (answered, queries_s, lost) = ask(server, case, load, SECONDS)?;
    let cpu_us = (server.cpu_s()? - before) * 1e6 / answered;
    Ok(Measured { queries_s, cpu_us, lost })
}

/// How many questions were answered, how many a second, and how many were lost.
fn ask(server: &Server, case: Case, load: &Load, seconds: u32) -> Result<(f64, f64, f64)> {
    let last_core = std::thread::available_parallelism().map_or(1, usize::from) - 1;
    let clients = if case.transport == UDP { "4" } else { "20" };
    let port = if case.transport == TLS { server.tls_port } else { server.listen.port() };
    let output = Command::new("taskset")
        .args(["--cpu-list", &last_core.to_string()])
        .arg(tools::dnsperf()?)
        .args(["-s", &server.listen.ip().to_string(), "-p", &port.to_string()])
        .args(["-m", case.transport, "-T", "1", "-c", clients, "-q", "200", "-t", "2", "-e"])
        .args(["-l", &seconds.to_string(), "-d"])
        .arg(load.file(case.questions))
        .output()
        .context("starting dnsperf")?;
    let text = String::from_utf8_lossy(&output.stdout);
    if !output.status.success() {
        bail!("dnsperf ended with {}: {}", output.status, String::from_utf8_lossy(&output.stderr).trim());
    }
    let figure = |name: &str| {
        let line = text.lines().find_map(|line| line.trim().strip_prefix(name));
        let value = line.and_then(|rest| rest.split_whitespace().next()?.parse::<f64>().ok());
        value.with_context(|| format!("dnsperf says nothing of {name:?}:\n{text}"))
    };
    Ok((figure("Queries completed:")?, figure("Queries per second:")?, figure("Queries lost:")?))
}

// === impl Case ===

impl Case {
    pub(crate) fn all() -> Vec<Self> {
        let over = |transport, questions| Self { questions, transport };
        let udp = Questions::OWN.map(|questions| over(UDP, questions));
        let others = [over(TCP, Questions::Mix), over(TLS, Questions::Mix), over(UDP, Questions::Outside)];
        udp.into_iter().chain(others).collect()
    }

    /// Whether a server can do so: Knot has no DNS over TLS in this version, and asks nobody.
    pub(crate) fn is_for(self, kind: Kind) -> bool {
        kind != Kind::Knot || (self.transport != TLS && self.questions != Questions::Outside)
    }
}

impl fmt::Display for Case {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = match self.questions {
            Questions::Hits => "A",
            Questions::NoData => "AAAA, no data",
            Questions::NxDomain => "NXDOMAIN",
            Questions::Srv => "SRV",
            Questions::Headless => "25 addresses",
            Questions::Mix => "mix",
            Questions::Outside => "kept names",
        };
        let transport = if self.transport == TLS { "TLS".to_owned() } else { self.transport.to_uppercase() };
        f.pad(&format!("{name}, {transport}"))
    }
}

impl fmt::Display for Measured {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:>9.0}/s {:>6.1} us", self.queries_s, self.cpu_us)?;
        if self.lost > 0.0 { write!(f, ", {:.0} lost", self.lost) } else { Ok(()) }
    }
}
