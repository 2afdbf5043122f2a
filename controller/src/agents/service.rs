//! The gRPC service: who may speak, and how many at a time.

use std::convert::Infallible;
use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::task::{Context, Poll};
use std::time::Duration;

use futures::StreamExt as _;
use futures::future::BoxFuture;
use futures::stream::BoxStream;
use rollcall_admin::LogRate;
use rollcall_xds::framed::{self, Limit, Messages, Parcel};
use rollcall_xds::proto::rollcall::v1::AgentReport;
use rollcall_xds::proto::rollcall::v1::agents_server::SERVICE_NAME;
use rollcall_xds::tls::Shown;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc};
use tokio_util::sync::CancellationToken;
use tonic::body::Body;
use tonic::codegen::http;
use tonic::server::NamedService;
use tonic::{Request, Status};
use tracing::warn;

use super::admission::{Admission, Caller, Denial, Ears};
use super::attendance::Attendance;
use super::claims::Claims;
use super::metrics::{Connected, Metrics, Refusal};
use super::outbox::Outbox;
use super::registrar::Message;
use crate::checks::lookouts::Lookouts;

/// The service. Clones share everything.
#[derive(Clone)]
pub struct Service(Arc<Shared>);

/// What all streams of agents share.
pub(super) struct Shared {
    pub(super) admission: Arc<dyn Admission>,
    pub(super) ears: Arc<dyn Ears>,
    pub(super) registrar: mpsc::Sender<Message>,
    pub(super) claims: Claims,
    pub(super) lookouts: Lookouts,
    pub(super) metrics: Arc<Metrics>,
    pub(super) stop: CancellationToken,
    agents: Arc<Semaphore>,
    agents_max: usize,
    sessions: AtomicU64,
}

/// What an agent is told.
type Parcels = BoxStream<'static, Result<Parcel, Status>>;

/// 64 instances with everything that one may have are 200 KiB.
const MESSAGE_MAX: Limit = Limit { bytes: 512 << 10, remedy: "let a second agent have some of the instances" };
/// A few lines at once, then one in ten seconds, whoever knocks.
static REFUSED: LogRate = LogRate::new(5, Duration::from_secs(10));

// === impl Service ===

impl Service {
    /// Hears `agents_max` agents at a time.
    pub fn new(
        admission: Arc<dyn Admission>,
        ears: Arc<dyn Ears>,
        (registrar, lookouts): (mpsc::Sender<Message>, Lookouts),
        metrics: Arc<Metrics>,
        agents_max: usize,
        stop: CancellationToken,
    ) -> Self {
        Self(Arc::new(Shared {
            admission,
            ears,
            registrar,
            lookouts,
            claims: Claims::default(),
            metrics,
            stop,
            agents: Arc::new(Semaphore::new(agents_max.min(Semaphore::MAX_PERMITS))),
            agents_max,
            sessions: AtomicU64::new(0),
        }))
    }

    /// A stream of an agent that is known.
    pub(super) async fn begin(
        &self,
        caller: Arc<dyn Caller>,
        permit: OwnedSemaphorePermit,
    ) -> Result<Attendance, Status> {
        let shared = &self.0;
        let session = shared.sessions.fetch_add(1, Relaxed);
        let outbox = Arc::<Outbox>::default();
        let begun = shared.registrar.send(Message::Begun(session, Arc::clone(&outbox))).await;
        begun.map_err(|_| Status::unavailable("this replica ends; go to another one"))?;
        let connected = (Connected::new(&shared.metrics), permit);
        Ok(Attendance::new(Arc::clone(shared), caller, session, outbox, connected))
    }

    /// A stream of an agent, as far as there is room, and it says who it is.
    async fn attend(&self, request: Request<Messages<AgentReport>>) -> Result<Parcels, Status> {
        let shared = &self.0;
        let (metadata, extensions, reports) = request.into_parts();
        let request = Request::from_parts(metadata, extensions, ());
        let Ok(permit) = Arc::clone(&shared.agents).try_acquire_owned() else {
            shared.metrics.refused(Refusal::Full);
            let limit = shared.agents_max;
            return Err(Status::resource_exhausted(format!(
                "{limit} agents are connected, which is this replica's limit (--agents-max); go to another replica"
            )));
        };
        let caller = self.identify(&request).await.inspect_err(|status| {
            shared.metrics.refused(Refusal::Unauthenticated);
            if let Some(unsaid) = REFUSED.permit() {
                let peer = request.remote_addr().map(|peer| peer.to_string());
                warn!(peer, unsaid, "an agent was refused: {}", status.message());
            }
        })?;
        let replies = self.begin(caller, permit).await?.into_replies(reports);
        Ok(replies.map(|reply| reply.map(|reply| Parcel::of(&reply))).boxed())
    }

    async fn identify(&self, request: &Request<()>) -> Result<Arc<dyn Caller>, Status> {
        let authorization = request.metadata().get("authorization").and_then(|value| value.to_str().ok());
        let shown = request.extensions().get::<Shown>().cloned().unwrap_or_default();
        // Without an address only in tests.
        let peer = request.remote_addr().map_or(IpAddr::V4(Ipv4Addr::UNSPECIFIED), |peer| peer.ip());
        match self.0.admission.identify(authorization, &shown, peer).await {
            Ok(caller) => Ok(caller),
            Err(Denial::Refused(words)) => Err(Status::unauthenticated(words)),
            Err(Denial::Unknown(words)) => Err(Status::unavailable(words)),
        }
    }
}

impl std::fmt::Debug for Service {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Service").field("agents_max", &self.0.agents_max).finish_non_exhaustive()
    }
}

impl NamedService for Service {
    const NAME: &'static str = SERVICE_NAME;
}

/// By hand, and not by what tonic generates: agents are many, and most of the time they are silent.
impl tonic::codegen::Service<http::Request<Body>> for Service {
    type Response = http::Response<Body>;
    type Error = Infallible;
    type Future = BoxFuture<'static, Result<Self::Response, Infallible>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: http::Request<Body>) -> Self::Future {
        let this = self.clone();
        Box::pin(async move {
            if request.uri().path().rsplit('/').next() != Some("Attend") {
                return Ok(Status::unimplemented(format!("{SERVICE_NAME} has no method of that name")).into_http());
            }
            Ok(framed::call(request, MESSAGE_MAX, |request| this.attend(request)).await)
        })
    }
}
