//! What is measured about the discovery stream.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;

use prometheus_client::registry::Registry;
use rollcall_admin::page::{self, Page, count};
use rollcall_xds::resource::ResourceType;
use rollcall_xds::server::{self, Refusal, TypeMetrics};
use rollcall_xds::tls::{self, Failure};

/// Reads what the stream counts.
#[derive(Clone, Debug)]
pub struct Metrics {
    /// The streams.
    pub streams: Arc<server::Metrics>,
    /// Their connections.
    pub connections: Arc<tls::Metrics>,
}

// === impl Metrics ===

impl Metrics {
    /// Registers `rollcall_xds_…` and `rollcall_tls_handshake_failures_total`.
    pub fn register(&self, registry: &mut Registry) {
        let metrics = self.clone();
        page::register(registry, move |page| {
            metrics.streams(page)?;
            metrics.refusals(page)?;
            metrics.types(page)?;
            metrics.connections(page)
        });
    }

    fn streams(&self, page: &mut Page<'_>) -> fmt::Result {
        let streams = &self.streams;
        page.gauge(
            "rollcall_xds_streams",
            "Discovery streams that are open: DNS servers, Envoys, gRPC clients. Spread over the replicas.",
            streams.streams_open() as f64,
        )?;
        page.counters(
            "rollcall_xds_streams_accepted",
            "Streams accepted. A high rate means that clients reconnect again and again.",
            [([], streams.streams_accepted())],
        )?;
        page.counters(
            "rollcall_xds_streams_refused",
            "Streams refused: above --streams-max, before the first sync, or while draining. Some at a start and an end.",
            [([], streams.streams_refused())],
        )?;
        page.counters(
            "rollcall_xds_streams_failed",
            "Streams ended because of what they asked. 0 is normal; the log says what it was.",
            [([], streams.streams_failed())],
        )
    }

    fn refusals(&self, page: &mut Page<'_>) -> fmt::Result {
        let streams = &self.streams;
        page.counters(
            "rollcall_xds_unserved_requests",
            "Requests for types that are not served, such as secrets. 0 with gRPC and Envoy set up as documented.",
            [([], streams.unserved())],
        )?;
        page.counters(
            "rollcall_xds_refused_requests",
            "Requests refused, by reason: no room beside others that had come by half (crowded), begun and not ended in time (late), too many names that do not exist or answers not read (memory), a method that is not served, such as polling (unimplemented), no room for its answer beside others that are not read (unread), no token or certificate that is known (unauthenticated), nothing that its sender may see, or no longer what they saw (forbidden), nobody can be asked who they are (unjudged). 0 is normal, but for some unauthenticated where tokens expire.",
            Refusal::ALL.map(|reason| ([("reason", reason.as_str())], streams.refused_requests(reason))),
        )?;
        page.gauge(
            "rollcall_xds_asked_bytes",
            "Memory for what only clients speak of: names that do not exist, answers that they have not read. Bounded for each stream, each address and all.",
            streams.asked_bytes() as f64,
        )
    }

    fn types(&self, page: &mut Page<'_>) -> fmt::Result {
        let streams = &self.streams;
        let each = |of: fn(&TypeMetrics) -> &AtomicU64| {
            ResourceType::ALL.into_iter().map(move |ty| ([("type", ty.type_url())], count(of(&streams.types()[ty]))))
        };
        page.counters(
            "rollcall_xds_requests",
            "Requests received, acknowledgements included, by type URL.",
            each(|of| &of.requests),
        )?;
        page.counters("rollcall_xds_acks", "Responses that clients acknowledged, by type URL.", each(|of| &of.acks))?;
        page.counters(
            "rollcall_xds_nacks",
            "Responses that clients rejected, by type URL; the log has their words. 0 is normal.",
            each(|of| &of.nacks),
        )?;
        page.counters("rollcall_xds_pushes", "Responses sent, by type URL.", each(|of| &of.pushes))?;
        page.counters("rollcall_xds_pushed_resources", "Resources sent, by type URL.", each(|of| &of.resources))?;
        page.counters("rollcall_xds_pushed_bytes", "Bytes of resources sent, by type URL.", each(|of| &of.bytes))?;
        page.counters(
            "rollcall_xds_coalesced_changes",
            "Changes merged into one that a slow reader had not been sent yet, by type URL. Some in bursts.",
            each(|of| &of.coalesced),
        )?;
        page.counters(
            "rollcall_xds_oversized_responses",
            "Responses above 3.5 MiB, which gRPC clients may refuse, by type URL. 0 is normal.",
            each(|of| &of.oversized),
        )?;
        page.gauges(
            "rollcall_xds_largest_response_bytes",
            "Resources of the largest response since the start, by type URL. gRPC reads 4 MiB; Listeners and Clusters of the state-of-the-world cannot be split, so see to it from 2 MiB on: give clients fewer namespaces, or the delta variant.",
            ResourceType::ALL.map(|ty| ([("type", ty.type_url())], page::read(&streams.types()[ty].largest))),
        )
    }

    fn connections(&self, page: &mut Page<'_>) -> fmt::Result {
        page.counters(
            "rollcall_tls_handshake_failures",
            "Connections that failed before HTTP/2 began, by reason: in their TLS handshake, without a preface in time (timeout), or closed because there were too many (crowded). Also those that flooded it with headers or frames that carry nothing (flooded), or broke its rules (malformed).",
            Failure::ALL.map(|reason| ([("reason", reason.as_str())], self.connections.failures(reason))),
        )
    }
}
