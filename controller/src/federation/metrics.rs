//! What is measured about links and exports.

use std::collections::BTreeMap;
use std::fmt;

use prometheus_client::registry::Registry;
use rollcall_admin::page::{self, Page};
use rollcall_catalog::model::Name;
use rollcall_crds::LinkState;

use super::hall::Hall;
use super::report::{Report, Reports};
use crate::time::clock::Clock;

/// Reads how links are.
#[derive(Clone, Debug)]
pub struct Metrics {
    /// The links.
    pub reports: Reports,
    /// What is exported.
    pub hall: Hall,
    /// Time.
    pub clock: Clock,
}

const STATES: [LinkState; 4] = [LinkState::Connecting, LinkState::Connected, LinkState::Suspect, LinkState::Expired];

// === impl Metrics ===

impl Metrics {
    /// Registers `rollcall_link_…` and `rollcall_exports_…`.
    pub fn register(self, registry: &mut Registry) {
        page::register(registry, move |page| self.write(page));
    }

    fn write(&self, page: &mut Page<'_>) -> fmt::Result {
        let (reports, now_ms) = (self.reports.with(BTreeMap::clone), self.clock.wall_ms());
        let states = reports.iter().flat_map(|(link, report)| {
            let value = |state| f64::from(u8::from(report.state == state));
            STATES.map(|state| ([("link", &**link), ("state", state.as_str())], value(state)))
        });
        page.gauges(
            "rollcall_link_state",
            "1 for the state that the link to this cluster is in: Connected is normal, Suspect after ten seconds of silence, Expired later.",
            states,
        )?;
        let silence = reports.iter().map(|(link, report)| {
            let silence_ms = now_ms.saturating_sub(report.heard_ms.unwrap_or(report.since_ms)).max(0);
            ([("link", &**link)], silence_ms as f64 / 1_000.0)
        });
        page.gauges(
            "rollcall_link_silence_seconds",
            "Time since this cluster was heard. It speaks every three seconds: below 4 is normal. Before the first time, since the link began.",
            silence,
        )?;
        let endpoints = reports.iter().flat_map(|(link, report)| {
            let counted = [
                ("imported", report.imported.endpoints),
                ("held_back", report.held_back.endpoints),
                ("expired", report.expired.endpoints),
            ];
            counted.map(|(what, count)| ([("link", &**link), ("what", what)], f64::from(count)))
        });
        page.gauges(
            "rollcall_link_endpoints",
            "Endpoints of this cluster: imported, held back (other namespaces than the link names, or beyond its limits), expired with its silence.",
            endpoints,
        )?;
        let services = reports.iter().flat_map(|(link, report)| {
            let counted = [
                ("imported", report.imported.services),
                ("held_back", report.held_back.services),
                ("expired", report.expired.services),
            ];
            counted.map(|(what, count)| ([("link", &**link), ("what", what)], f64::from(count)))
        });
        page.gauges(
            "rollcall_link_services",
            "Services of this cluster: imported, held back, expired, as its endpoints.",
            services,
        )?;
        let problems = reports.iter().map(|(link, report)| ([("link", &**link)], report.problems.len() as f64));
        page.gauges(
            "rollcall_link_problems",
            "What is wrong with the link to this cluster, as its status says in words (kubectl get clusterlink NAME --output yaml). 0 is normal.",
            problems,
        )?;
        self.write_traffic(page, &reports)?;
        self.write_exports(page)
    }

    fn write_exports(&self, page: &mut Page<'_>) -> fmt::Result {
        let (exported, peers, unasked) = self.hall.counts();
        page.gauge("rollcall_exports_services", "Services that other clusters are told of.", exported as f64)?;
        page.gauge("rollcall_exports_peers", "Streams of other clusters that this replica serves.", peers as f64)?;
        page.gauge(
            "rollcall_exports_unasked_namespaces",
            "Namespaces with exports of which a peer is told nothing, because it has no right to all and they are beyond the 4096 that are asked about. 0 is normal.",
            unasked as f64,
        )
    }

    fn write_traffic(&self, page: &mut Page<'_>, reports: &BTreeMap<Name, Report>) -> fmt::Result {
        let each =
            |count: fn(&Report) -> u64| reports.iter().map(move |(link, report)| ([("link", &**link)], count(report)));
        page.counters(
            "rollcall_link_streams",
            "Streams that were opened to this cluster. One is normal, and one more for each change of the link or restart over there.",
            each(|report| report.traffic.streams),
        )?;
        page.counters(
            "rollcall_link_resources",
            "Resources that came from this cluster: one every three seconds, and those of what changed.",
            each(|report| report.traffic.resources),
        )?;
        page.counters(
            "rollcall_link_received_bytes",
            "Bytes of their content, without what the stream adds.",
            each(|report| report.traffic.bytes),
        )
    }
}
