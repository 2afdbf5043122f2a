//! What is measured about the API port.

use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::Relaxed;

use prometheus_client::registry::Registry;
use rollcall_admin::page::{self, count, read};

use super::problem::Kind;
use super::routes::Routes;

/// What is counted.
#[derive(Debug)]
pub struct Metrics {
    /// By route, and one for what is no route.
    requests: Vec<Count>,
    pub(super) connections: AtomicU64,
    pub(super) crowded: AtomicU64,
    pub(super) handshakes_failed: AtomicU64,
    waiting: Arc<AtomicU64>,
}

#[derive(Debug)]
struct Count {
    method: String,
    path: &'static str,
    /// First those that went well, then each [`Kind`].
    by: [AtomicU64; Kind::ALL.len() + 1],
}

// === impl Metrics ===

impl Metrics {
    pub(super) fn new(routes: &Routes) -> Self {
        let count = |method: &str, path| Count { method: method.to_owned(), path, by: Default::default() };
        let mut requests: Vec<_> = routes.iter().map(|route| count(route.method().as_str(), route.path())).collect();
        requests.push(count("", ""));
        let zero = AtomicU64::default;
        let waiting = Arc::clone(routes.waiting());
        Self { requests, connections: zero(), crowded: zero(), handshakes_failed: zero(), waiting }
    }

    /// A request was answered; `at` is the place of its route, if it had one.
    pub(super) fn answered(&self, at: Option<usize>, problem: Option<Kind>) {
        let by = problem.map_or(0, |kind| 1 + kind as usize);
        self.requests[at.unwrap_or(self.requests.len() - 1)].by[by].fetch_add(1, Relaxed);
    }

    /// Registers `rollcall_api_…`.
    pub(super) fn register(self: &Arc<Self>, registry: &mut Registry) {
        let metrics = Arc::clone(self);
        page::register(registry, move |page| {
            let words = || ["ok"].into_iter().chain(Kind::ALL.into_iter().map(Kind::slug));
            let each = metrics.requests.iter().flat_map(|of| {
                let labels = move |answer| [("method", &*of.method), ("path", of.path), ("answer", answer)];
                // What goes well has its series from the start, at 0: a rate over the first one is not lost.
                let counted = words().zip(&of.by).filter(|(answer, by)| *answer == "ok" || count(by) > 0);
                counted.map(move |(answer, by)| (labels(answer), count(by)))
            });
            page.counters(
                "rollcall_api_requests",
                "Requests to the API port, by route and by answer: ok, or the kind of problem. Without a path: nothing is there.",
                each,
            )?;
            page.gauge(
                "rollcall_api_connections",
                "Connections to the API port that are open.",
                read(&metrics.connections),
            )?;
            page.gauge(
                "rollcall_api_waiting",
                "Requests that wait for an answer to change (long polls).",
                read(&metrics.waiting),
            )?;
            page.counters(
                "rollcall_api_connections_refused",
                "Connections to the API port that ended before their first request, by reason: the handshake failed (handshake), or another one took their place (crowded). Some failed handshakes are normal.",
                [
                    ([("reason", "handshake")], count(&metrics.handshakes_failed)),
                    ([("reason", "crowded")], count(&metrics.crowded)),
                ],
            )
        });
    }
}
