//! One request on its way: the route, who asks, whether they may, the body, the handler.

use std::net::IpAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use futures::FutureExt;
use futures::future::BoxFuture;
use http::header::AUTHORIZATION;
use http::{HeaderMap, Method, Request, Response};
use http_body_util::{BodyExt, Full, LengthLimitError, Limited};
use hyper::body::Body;
use rollcall_xds::tls::Shown;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::answer::Answer;
use super::ask::Ask;
use super::metrics::Metrics;
use super::problem::{Action, Kind, Problem};
use super::query::Query;
use super::routes::{Admits, Found, Reply, Route, Routes};
use crate::access::{Access, Denied, Identity, Right};

/// What answers requests, whatever connection they come by.
#[derive(Debug)]
pub(super) struct Api {
    pub(super) routes: Routes,
    pub(super) access: Access,
    pub(super) metrics: Arc<Metrics>,
    pub(super) places: Arc<Semaphore>,
}

/// Who is at the other end of a connection.
#[derive(Clone, Debug)]
pub(super) struct Peer {
    pub(super) address: IpAddr,
    /// In the handshake.
    pub(super) shown: Shown,
}

/// A request under way. Thousands wait at a time: what the way to the handler needs is let go before, and this has room for nothing
/// but what is needed at the end.
pub(super) struct Answering {
    api: Arc<Api>,
    stage: Stage,
    path: Box<str>,
    /// Its route's place in the table.
    at: Option<u16>,
    is_head: bool,
    _place: Option<OwnedSemaphorePermit>,
}

/// How far a request is.
enum Stage {
    /// There was no place for it.
    Crowded,
    /// On its way to the handler.
    Prepared(BoxFuture<'static, Result<Reply, Problem>>),
    /// With the handler.
    Handled(Reply),
}

/// Requests at a time, those that wait for a change included.
pub(super) const REQUESTS_MAX: usize = 32_768;
/// For a body to come.
const BODY_TIMEOUT: Duration = Duration::from_secs(10);

/// The body of a request, whatever protocol it came by.
pub(super) trait Asking:
    Body<Data = Bytes, Error: Into<Box<dyn std::error::Error + Send + Sync>>> + Send + 'static
{
}

impl<B> Asking for B where B: Body<Data = Bytes, Error: Into<Box<dyn std::error::Error + Send + Sync>>> + Send + 'static {}

// === impl Api ===

impl Api {
    /// Answers.
    pub(super) fn respond<B: Asking>(self: Arc<Self>, request: Request<B>, peer: Peer) -> Answering {
        let path: Box<str> = request.uri().path().into();
        let is_head = request.method() == Method::HEAD;
        let found = self.routes.find(request.method(), &path);
        let at = if let Found::Route(at, _) = &found { u16::try_from(*at).ok() } else { None };
        let place = Arc::clone(&self.places).try_acquire_owned().ok();
        let stage = match &place {
            Some(_) => Stage::Prepared(Arc::clone(&self).prepare(found, request, peer).boxed()),
            None => Stage::Crowded,
        };
        Answering { api: self, stage, path, at, is_head, _place: place }
    }

    async fn prepare<B: Asking>(
        self: Arc<Self>,
        found: Found,
        request: Request<B>,
        peer: Peer,
    ) -> Result<Reply, Problem> {
        let (parts, body) = request.into_parts();
        let (method, path) = (&parts.method, parts.uri.path());
        let (route, names) = match found {
            Found::Route(at, names) => (self.routes.at(at), names),
            Found::OtherMethods(allowed) => return Err(Problem::method_not_allowed(method.as_str(), &allowed)),
            Found::Nothing => {
                let problem = Problem::not_found(format!("nothing is at {path}"));
                return Err(problem.remedied(Action::Describe, "/openapi.json"));
            }
        };
        let who = match route.who() {
            Admits::Everybody => None,
            Admits::Known => Some(self.who(&parts.headers, &peer).await?),
            Admits::Right { verb, resource, of } => {
                let who = self.who(&parts.headers, &peer).await?;
                let right = Right { verb, resource, namespace: names.get("namespace"), name: names.get(of) };
                self.access.may(&who, right).await?;
                Some(who)
            }
        };
        let query = Query::read(parts.uri.query().unwrap_or_default())?;
        let body = read(body, route).await?;
        Ok((route.handler())(Ask { names, query, headers: parts.headers, body, who, peer: peer.address }))
    }

    async fn who(&self, headers: &HeaderMap, peer: &Peer) -> Result<Identity, Denied> {
        let authorization = headers.get(AUTHORIZATION).and_then(|value| value.to_str().ok());
        self.access.caller(authorization, &peer.shown, peer.address).await
    }
}

// === impl Answering ===

impl Answering {
    fn end(&self, outcome: Result<Answer, Problem>) -> Response<Full<Bytes>> {
        self.api.metrics.answered(self.at.map(usize::from), outcome.as_ref().err().map(Problem::kind));
        let answer = outcome.unwrap_or_else(|problem| problem.into_answer(&self.path));
        if self.is_head { answer.into_head() } else { answer.into_response() }
    }
}

impl Future for Answering {
    type Output = Response<Full<Bytes>>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.get_mut();
        let outcome = loop {
            match &mut this.stage {
                Stage::Crowded => {
                    let words = format!("{REQUESTS_MAX} requests are under way; ask another replica");
                    break Err(Problem::unavailable(words));
                }
                Stage::Prepared(prepared) => match ready!(prepared.as_mut().poll(cx)) {
                    Ok(reply) => this.stage = Stage::Handled(reply),
                    Err(problem) => break Err(problem),
                },
                Stage::Handled(reply) => break ready!(reply.as_mut().poll(cx)),
            }
        };
        Poll::Ready(this.end(outcome))
    }
}

async fn read(body: impl Asking, route: &Route) -> Result<Bytes, Problem> {
    let most = route.body_bytes_max();
    let read = Limited::new(body, most).collect();
    match tokio::time::timeout(BODY_TIMEOUT, read).await {
        Ok(Ok(body)) => Ok(body.to_bytes()),
        Ok(Err(error)) if error.is::<LengthLimitError>() => {
            let detail = match most {
                0 => format!("{} {} takes no body", route.method(), route.path()),
                most => format!("the body has more than {most} bytes"),
            };
            Err(Problem::new(Kind::TooLarge, detail))
        }
        Ok(Err(error)) => Err(Problem::bad_request(format!("the body cannot be read: {error}"))),
        Err(_) => {
            let detail = format!("the body did not come within {} s", BODY_TIMEOUT.as_secs());
            Err(Problem::new(Kind::RequestTimeout, detail))
        }
    }
}
