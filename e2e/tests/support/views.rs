//! The four stations at which a caller may ask, and how long a change takes to each.

use std::collections::BTreeSet;
use std::fmt;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, anyhow, bail};
use rollcall_e2e::clock;
use serde_json::Value;

use super::BOUND;
use super::shop::{DIRECT, PAYMENTS, Shop};

/// When a change was seen, from a given moment on.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Stations {
    pub(crate) dns: Duration,
    pub(crate) envoy: Duration,
    pub(crate) slices: Duration,
    pub(crate) entry: Duration,
}

/// Within this an endpoint whose HTTP check runs each second has to be out of every answer. Told, not asserted: this
/// machine may be loaded.
const EVICTION: Duration = Duration::from_secs(3);

// === impl Stations ===

impl Stations {
    /// The last of them.
    pub(crate) fn last(&self) -> Duration {
        self.dns.max(self.envoy).max(self.slices).max(self.entry)
    }

    /// Says when it took longer than promised.
    pub(crate) fn tell_slow_eviction(&self) {
        if self.last() > EVICTION {
            println!("    WARNING: slower than the {} s that are promised: {self}", EVICTION.as_secs());
        }
    }
}

impl fmt::Display for Stations {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [dns, envoy, slices, entry] =
            [self.dns, self.envoy, self.slices, self.entry].map(|station| station.as_secs_f32());
        write!(f, "DNS {dns:.2} s, Envoy {envoy:.2} s, EndpointSlices {slices:.2} s, CatalogEntry {entry:.2} s")
    }
}

// === impl Shop ===

impl Shop {
    /// The addresses of ready endpoints in all EndpointSlices of a Service.
    pub(crate) fn slices(&self, service: &str) -> Result<BTreeSet<String>> {
        let slices = self.api.slices(service)?;
        let endpoints = slices.iter().flat_map(|slice| slice["endpoints"].as_array().into_iter().flatten());
        let ready = endpoints.filter(|endpoint| endpoint["conditions"]["ready"] == true);
        Ok(ready.flat_map(addresses).collect())
    }

    /// The addresses of callable endpoints in a CatalogEntry.
    pub(crate) fn entry(&self, service: &str) -> Result<BTreeSet<String>> {
        let entry = self.api.entry(service)?;
        let endpoints = entry["endpoints"].as_array().map(Vec::as_slice).unwrap_or_default();
        Ok(endpoints.iter().filter(|endpoint| endpoint["callable"] == true).flat_map(addresses).collect())
    }

    /// Waits until all four stations have exactly these addresses, for the Service with a cluster address and for the
    /// headless one, and tells how long each took from `since`.
    pub(crate) fn everywhere(&self, expected: &BTreeSet<String>, since: Instant) -> Result<Stations> {
        let until = |station: &str, view: &(dyn Fn() -> Result<BTreeSet<String>> + Sync)| {
            clock::wait_until(&format!("{station} to have {expected:?}"), BOUND, || {
                let seen = view()?;
                if seen == *expected { Ok(Some(since.elapsed())) } else { bail!("{seen:?}") }
            })
        };
        let both = |station: &str, view: &(dyn Fn(&str) -> Result<BTreeSet<String>> + Sync)| {
            let first = until(&format!("{station} of {PAYMENTS}"), &|| view(PAYMENTS))?;
            Ok(first.max(until(&format!("{station} of {DIRECT}"), &|| view(DIRECT))?))
        };
        std::thread::scope(|scope| {
            let dns = scope.spawn(|| until("DNS", &|| self.callers.dns(DIRECT)));
            let envoy = scope.spawn(|| both("Envoy's cluster", &|service| self.callers.envoy(service)));
            let slices = scope.spawn(|| both("EndpointSlices", &|service| self.slices(service)));
            let entry = scope.spawn(|| both("CatalogEntry", &|service| self.entry(service)));
            Ok(Stations { dns: joined(dns)?, envoy: joined(envoy)?, slices: joined(slices)?, entry: joined(entry)? })
        })
    }

    /// Waits until an endpoint's health in the status of `payments-vm` is as expected; its reason.
    pub(crate) fn await_health(&self, endpoint: &str, health: &str) -> Result<String> {
        clock::wait_until(&format!("{endpoint} to be {health} in the status"), BOUND, || {
            let said = self.api.endpoint_status("payments-vm", endpoint)?;
            if said["health"] != health {
                bail!("{said}");
            }
            Ok(Some(said["reason"].as_str().unwrap_or_default().to_owned()))
        })
    }

    /// Waits for an Event about `payments-vm` that holds all these parts.
    pub(crate) fn await_event(&self, parts: &[&str]) -> Result<String> {
        clock::wait_until(&format!("an Event with {parts:?}"), BOUND, || {
            let events = self.api.events("payments-vm")?;
            let found = events.iter().find(|event| parts.iter().all(|part| event.contains(part)));
            found.cloned().map(Some).with_context(|| format!("{events:#?}"))
        })
    }
}

fn addresses(endpoint: &Value) -> Vec<String> {
    let addresses = endpoint["addresses"].as_array().map(Vec::as_slice).unwrap_or_default();
    addresses.iter().filter_map(|address| address.as_str().map(str::to_owned)).collect()
}

fn joined(thread: std::thread::ScopedJoinHandle<'_, Result<Duration>>) -> Result<Duration> {
    thread.join().map_err(|_| anyhow!("a thread that looked at a station panicked"))?
}
