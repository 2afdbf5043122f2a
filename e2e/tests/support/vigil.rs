//! A thread that asks DNS and Envoy all the time and keeps the worst that it saw.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use anyhow::{Result, anyhow, ensure};
use rollcall_e2e::clock;

use super::shop::{Callers, DIRECT, OUTSIDE_PATH};

/// Asks until it is ended.
pub(crate) struct Vigil {
    stop: Arc<AtomicBool>,
    thread: JoinHandle<Seen>,
}

/// What callers saw.
#[derive(Debug, Default)]
pub(crate) struct Seen {
    /// How often each was asked.
    pub(crate) looks: usize,
    /// The smallest answer of DNS.
    pub(crate) dns: Option<BTreeSet<String>>,
    /// The smallest set of hosts in Envoy.
    pub(crate) envoy: Option<BTreeSet<String>>,
    /// Requests through Envoy that were not answered with 200, and questions without an answer.
    pub(crate) failures: Vec<String>,
}

const BETWEEN: Duration = Duration::from_millis(30);

// === impl Vigil ===

impl Vigil {
    pub(crate) fn start(callers: Callers) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = Arc::clone(&stop);
        let thread = std::thread::spawn(move || {
            let mut seen = Seen::default();
            while !stopped.load(Ordering::Relaxed) {
                seen.look(&callers);
                clock::pause(BETWEEN);
            }
            seen
        });
        Self { stop, thread }
    }

    /// Ends it and hands over what it saw.
    pub(crate) fn end(self) -> Result<Seen> {
        self.stop.store(true, Ordering::Relaxed);
        self.thread.join().map_err(|_| anyhow!("the thread that asked DNS and Envoy panicked"))
    }
}

// === impl Seen ===

impl Seen {
    fn look(&mut self, callers: &Callers) {
        self.looks += 1;
        match callers.dns_at_once(DIRECT) {
            Ok(answer) => keep_smallest(&mut self.dns, answer),
            Err(error) => self.failures.push(format!("DNS: {error:#}")),
        }
        match callers.envoy(DIRECT) {
            Ok(hosts) => keep_smallest(&mut self.envoy, hosts),
            Err(error) => self.failures.push(format!("Envoy: {error:#}")),
        }
        match callers.request(OUTSIDE_PATH) {
            Ok(answer) if answer.status == 200 => {}
            Ok(answer) => self.failures.push(format!("request: {} {}", answer.status, answer.body.trim())),
            Err(error) => self.failures.push(format!("request: {error:#}")),
        }
    }

    /// No answer was smaller than `expected`.
    pub(crate) fn expect_all(&self, expected: &BTreeSet<String>) -> Result<()> {
        ensure!(self.looks > 0, "nobody looked");
        ensure!(self.dns.as_ref() == Some(expected), "the smallest DNS answer was {:?}, not {expected:?}", self.dns);
        ensure!(self.envoy.as_ref() == Some(expected), "Envoy had {:?} only, not {expected:?}", self.envoy);
        Ok(())
    }

    /// Nobody was left without an answer.
    pub(crate) fn expect_no_failure(&self) -> Result<()> {
        let first = &self.failures[..self.failures.len().min(5)];
        ensure!(first.is_empty(), "{} of {} looks failed: {first:#?}", self.failures.len(), self.looks);
        Ok(())
    }
}

fn keep_smallest(smallest: &mut Option<BTreeSet<String>>, seen: BTreeSet<String>) {
    if smallest.as_ref().is_none_or(|smallest| seen.len() < smallest.len()) {
        *smallest = Some(seen);
    }
}
