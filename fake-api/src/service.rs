//! HTTP in, HTTP out: what a client takes for its connection.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt, Full};
use kube::client::Body;
use serde_json::Value;
use tower_service::Service;

use crate::asked::{Asked, Verb};
use crate::fault::{Fault, Refusal};
use crate::server::FakeApi;
use crate::{read, watch, write};

/// A client's connection to the server.
#[derive(Clone, Debug)]
pub(crate) struct Connection(pub(crate) FakeApi);

pub(crate) type Error = Box<dyn std::error::Error + Send + Sync>;
pub(crate) type Answer = Response<UnsyncBoxBody<Bytes, Error>>;

// === impl Connection ===

impl Service<Request<Body>> for Connection {
    type Response = Answer;
    type Error = Error;
    type Future = Pin<Box<dyn Future<Output = Result<Answer, Error>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Error>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        let api = self.0.clone();
        Box::pin(async move {
            let (head, body) = request.into_parts();
            let body = body.collect().await?.to_bytes();
            let body = if body.is_empty() { Value::Null } else { serde_json::from_slice(&body)? };
            let Some(asked) = Asked::read(&head.method, &head.uri, body) else {
                return Ok(refused(&Refusal::not_served()));
            };
            let patch = head.headers.get(http::header::CONTENT_TYPE).and_then(|kind| kind.to_str().ok());
            match api.note(&asked) {
                None => Ok(answer(&api, &asked, patch)),
                Some(Fault::Refused(refusal)) => Ok(refused(&refusal)),
                Some(Fault::RequestLost) => Err("connection reset by peer".into()),
                Some(Fault::AnswerLost) => {
                    drop(answer(&api, &asked, patch));
                    Err("connection closed before message completed".into())
                }
                Some(Fault::Silent) => std::future::pending().await,
                Some(Fault::Late(by)) => {
                    tokio::time::sleep(by).await;
                    Ok(answer(&api, &asked, patch))
                }
            }
        })
    }
}

fn answer(api: &FakeApi, asked: &Asked, patch: Option<&str>) -> Answer {
    if let Some(reviewed) = api.review(asked) {
        return json(201, &reviewed);
    }
    let done = match asked.verb {
        Verb::Watch => return watch::watch(api, asked),
        Verb::Get => read::get(&api.store(), asked),
        Verb::List => read::list(&api.store(), asked),
        Verb::Create | Verb::Update | Verb::Patch | Verb::Delete => {
            let done = write::write(&mut api.store(), asked, patch);
            api.pulse();
            done
        }
    };
    match done {
        Ok((code, object)) => json(code, &object),
        Err(refusal) => refused(&refusal),
    }
}

fn refused(refusal: &Refusal) -> Answer {
    json(refusal.code, &refusal.status())
}

fn json(code: u16, body: &Value) -> Answer {
    let body = Full::from(body.to_string()).map_err(|never| match never {}).boxed_unsync();
    let mut response = Response::new(body);
    *response.status_mut() = http::StatusCode::from_u16(code).unwrap_or(http::StatusCode::INTERNAL_SERVER_ERROR);
    response.headers_mut().insert(http::header::CONTENT_TYPE, http::HeaderValue::from_static("application/json"));
    response
}
