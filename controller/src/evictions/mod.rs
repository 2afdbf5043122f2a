//! How long evictions really take, stage by stage, beside what was computed before.
//!
//! ```text
//!  checks --Decided--> task --handed to the streams? EndpointSlices written?--> histograms, and a warning where it took longer
//! ```
//!
//! - [`pending`]: what was decided and is not everywhere yet; [`metrics`]: what is counted; [`event`]: tells of one that was late

pub mod event;
pub mod metrics;
pub mod pending;

use std::sync::Arc;
use std::time::Duration;

use prometheus_client::registry::Registry;
use rollcall_admin::LogRate;
use rollcall_catalog::ServiceKey;
use rollcall_catalog::input::{Origin, OriginKind};
use rollcall_catalog::model::Name;
use rollcall_catalog::service::Member;
use rollcall_catalog::snapshot::{Revision, Snapshot};
use tokio::sync::{mpsc, watch};
use tracing::warn;

use crate::time::clock::Clock;
use crate::writer::Snapshots;
use event::Teller;
use metrics::Metrics;
use pending::{Measured, Pending, Whereabouts};

/// From a verdict to the answer in DNS and on the stream, generously.
pub const SERVE: Duration = Duration::from_millis(100);
/// From a verdict to the EndpointSlices: a turn in the queue, and a write that takes as long as it usually does at most.
pub const WRITE: Duration = Duration::from_secs(1);

/// An endpoint that callers had was found dead.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Decided {
    /// Its registration.
    pub origin: Arc<Origin>,
    /// The service that it was in.
    pub service: ServiceKey,
    /// Its name.
    pub endpoint: Name,
    /// When it was last seen alive, in milliseconds of the monotonic clock.
    pub alive_ms: u64,
    /// When the first of the results in a row came that decided.
    pub failed_ms: u64,
    /// When that was decided.
    pub decided_ms: u64,
    /// How long that may take at the longest, where it is not what the registration says: another witness is the quicker one, but
    /// this one saw it.
    pub longest: Option<Duration>,
}

/// Where evictions are told. Nobody waits for it: what does not fit is not measured.
#[derive(Clone, Debug, Default)]
pub struct Evictions(Option<mpsc::Sender<News>>);

#[derive(Debug)]
enum News {
    Decided(Decided),
    /// EndpointSlices of a service were written.
    Written(ServiceKey),
}

/// News that wait at most.
const QUEUE: usize = 1024;
/// What is not out by now is held by a policy, or came back.
const LOOK_AGAIN: Duration = Duration::from_secs(10);

static LATE: LogRate = LogRate::new(5, Duration::from_secs(10));

/// Starts measuring: by what `snapshots` has, and what of it was `handed` to the streams. `teller` says what was late.
pub fn start(
    teller: Teller,
    snapshots: Snapshots,
    handed: watch::Receiver<Revision>,
    clock: Clock,
    registry: &mut Registry,
) -> Evictions {
    let metrics = Metrics::default();
    metrics.register(registry);
    let (sender, news) = mpsc::channel(QUEUE);
    tokio::spawn(run(news, snapshots, handed, clock, (metrics, teller)));
    Evictions(Some(sender))
}

// === impl Evictions ===

impl Evictions {
    /// An endpoint was found dead.
    pub fn decided(&self, decided: Decided) {
        self.say(News::Decided(decided));
    }

    /// EndpointSlices of a service were written.
    pub fn written(&self, service: &ServiceKey) {
        self.say(News::Written(service.clone()));
    }

    fn say(&self, news: News) {
        if let Some(sender) = &self.0 {
            // Full or closed: a measurement less.
            let _ = sender.try_send(news);
        }
    }
}

async fn run(
    mut news: mpsc::Receiver<News>,
    snapshots: Snapshots,
    mut handed: watch::Receiver<Revision>,
    clock: Clock,
    (metrics, teller): (Metrics, Teller),
) {
    let mut pending = Pending::default();
    loop {
        tokio::select! {
            said = news.recv() => match said {
                Some(News::Decided(decided)) => {
                    metrics.decided(&decided);
                    pending.decided(decided);
                }
                Some(News::Written(service)) => {
                    for took in pending.written(&service, clock.monotonic_ms()) {
                        metrics.written(took);
                    }
                }
                None => return,
            },
            changed = handed.changed() => if changed.is_err() { return },
            () = tokio::time::sleep(LOOK_AGAIN), if !pending.is_empty() => pending.forget(clock.monotonic_ms()),
        }
        let handed = *handed.borrow_and_update();
        let snapshot = snapshots.borrow().clone().filter(|snapshot| snapshot.revision() <= handed);
        let Some(snapshot) = snapshot.filter(|_| !pending.is_empty()) else { continue };
        for measured in pending.served(clock.monotonic_ms(), |decided| whereabouts(&snapshot, decided)) {
            metrics.served(&measured);
            if let Some(computed) = late(&snapshot, &measured) {
                metrics.late();
                tell(&teller, measured, computed, &clock);
            }
        }
    }
}

/// Whether callers still get it.
fn whereabouts(snapshot: &Snapshot, decided: &Decided) -> Whereabouts {
    let Some(service) = snapshot.get(&decided.service) else { return Whereabouts::Out };
    let is_of = |member: &Member| match decided.origin.kind {
        // A pod, which is checked under its Service and comes from an EndpointSlice.
        OriginKind::Service => member.is_pod_there,
        OriginKind::EndpointSlice | OriginKind::ServiceRegistration | OriginKind::Import => {
            member.origin == decided.origin
        }
    };
    let mut same =
        service.endpoints.iter().filter(|member| is_of(member) && *member.endpoint.name() == *decided.endpoint);
    match same.find(|member| service.gives(member)) {
        None => Whereabouts::Out,
        Some(member) if member.treatment.as_ref().is_some_and(|treatment| treatment.held) => Whereabouts::Held,
        Some(_) => Whereabouts::In,
    }
}

/// What was computed, where it took longer than that.
fn late(snapshot: &Snapshot, measured: &Measured) -> Option<Duration> {
    let decided = &measured.decided;
    let service = snapshot.get(&decided.service)?;
    let registered = service.registrations.iter().find(|registered| registered.origin == decided.origin);
    let computed = decided.longest.map_or_else(|| registered?.time_to_evict.map(|terms| terms.total()), Some)? + SERVE;
    (measured.took > computed).then_some(computed)
}

/// Says that one was late: as often as the log has room, each time by an Event as well.
fn tell(teller: &Teller, measured: Measured, computed: Duration, clock: &Clock) {
    let Some(unsaid) = LATE.permit() else { return };
    let Origin { namespace, name, .. } = &*measured.decided.origin;
    warn!(
        unsaid, %namespace, registration = %name, endpoint = %measured.decided.endpoint,
        took_ms = measured.took.as_millis(), computed_ms = computed.as_millis(),
        "an eviction took longer than its registration's timeToEvict says; look at rollcall_checks_lateness_seconds and \
         rollcall_evictions_seconds for the stage"
    );
    tokio::spawn(event::tell(teller.clone(), measured, computed, clock.timestamp()));
}
