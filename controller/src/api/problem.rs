//! Refusals, as RFC 9457 words them: `application/problem+json`.

use std::time::Duration;

use bytes::Bytes;
use http::header::{ALLOW, RETRY_AFTER, WWW_AUTHENTICATE};
use http::{HeaderName, HeaderValue, StatusCode};
use serde_json::{Value, json};

use super::answer::Answer;
use crate::access::Denied;

/// Why a request is not answered as it was meant.
#[derive(Clone, Debug, PartialEq)]
pub struct Problem(Box<Said>);

#[derive(Clone, Debug, PartialEq)]
struct Said {
    kind: Kind,
    detail: String,
    more: Vec<(&'static str, Value)>,
    header: Option<(HeaderName, HeaderValue)>,
}

/// What kind of problem: the last word of its `type`, by which programs tell them apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A path, parameter, header or body that cannot be used.
    BadRequest,
    /// Who asks has not shown who they are.
    Unauthenticated,
    /// Who asks may not.
    Forbidden,
    /// There is no such thing.
    NotFound,
    /// The path is there and does not take this method.
    MethodNotAllowed,
    /// The request did not come to its end in time.
    RequestTimeout,
    /// What it is about is not in the state for it.
    Conflict,
    /// The body is too large.
    TooLarge,
    /// Too much at a time from this client.
    TooManyRequests,
    /// No endpoint can be called.
    NoneCallable,
    /// This replica cannot say now; another one, or a later try, may.
    Unavailable,
}

/// What a request does that helps on: the `action` of a problem's `remedy`, by which programs tell them apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    /// Lists the services of the namespace.
    ListServices,
    /// Tells the whole story of the service.
    ExplainService,
    /// Describes what this port answers.
    Describe,
}

/// What the `type` of each problem begins with. It names, and need not answer.
const TYPES: &str = "https://rollcall.dev/problems/";

// === impl Problem ===

impl Problem {
    /// With a sentence that says what is wrong and what to do.
    pub fn new(kind: Kind, detail: impl Into<String>) -> Self {
        Self(Box::new(Said { kind, detail: detail.into(), more: Vec::new(), header: None }))
    }

    /// A path, parameter, header or body that cannot be used.
    pub fn bad_request(detail: impl Into<String>) -> Self {
        Self::new(Kind::BadRequest, detail)
    }

    /// There is no such thing.
    pub fn not_found(detail: impl Into<String>) -> Self {
        Self::new(Kind::NotFound, detail)
    }

    /// This replica cannot say now; in about a second it may.
    pub fn unavailable(detail: impl Into<String>) -> Self {
        Self::new(Kind::Unavailable, detail).retry_after(Duration::from_secs(1))
    }

    /// The path takes only these methods.
    pub(super) fn method_not_allowed(method: &str, allowed: &str) -> Self {
        let problem = Self::new(Kind::MethodNotAllowed, format!("{method} is not answered here; use {allowed}"));
        problem.with_header(ALLOW, allowed)
    }

    /// With a further member, beside those that every problem has.
    pub fn with(mut self, name: &'static str, value: impl Into<Value>) -> Self {
        self.0.more.push((name, value.into()));
        self
    }

    /// With what to do next, where that is another request. `detail` says the rest.
    pub fn remedied(self, action: Action, path: impl Into<String>) -> Self {
        let path = path.into();
        let (word, words) = action.words();
        self.with("remedy", json!({ "action": word, "request": format!("GET {path}"), "words": words }))
    }

    /// What kind it is.
    pub fn kind(&self) -> Kind {
        self.0.kind
    }

    /// The sentence.
    pub fn detail(&self) -> &str {
        &self.0.detail
    }

    /// Says when to try again.
    pub fn retry_after(self, after: Duration) -> Self {
        let seconds = after.as_secs().max(1).to_string();
        self.with_header(RETRY_AFTER, &seconds)
    }

    fn with_header(mut self, name: HeaderName, value: &str) -> Self {
        if let Ok(value) = HeaderValue::from_str(value) {
            self.0.header = Some((name, value));
        }
        self
    }

    /// As it is sent; `instance` is the path that was asked for.
    pub(super) fn into_answer(self, instance: &str) -> Answer {
        let Said { kind, detail, more, header } = *self.0;
        let (status, title) = (kind.status(), kind.title());
        let mut body = json!({
            "type": format!("{TYPES}{}", kind.slug()),
            "title": title,
            "status": status.as_u16(),
            "detail": detail,
            "instance": instance,
        });
        for (name, value) in more {
            body[name] = value;
        }
        let answer = Answer::new(status, "application/problem+json", Bytes::from(format!("{body:#}\n")));
        match header {
            Some((name, value)) => answer.with_header(name, value),
            None => answer,
        }
    }
}

impl From<Denied> for Problem {
    fn from(denied: Denied) -> Self {
        let kind = match denied {
            Denied::NoCredential | Denied::Unknown(_) | Denied::Certificate(_) | Denied::Nameless => {
                Kind::Unauthenticated
            }
            Denied::Forbidden { .. } => Kind::Forbidden,
            Denied::Busy(..) => Kind::TooManyRequests,
            Denied::Unavailable(_) => Kind::Unavailable,
        };
        let problem = Self::new(kind, denied.to_string());
        match (kind, denied.retry_after()) {
            (Kind::Unauthenticated, _) => problem.with_header(WWW_AUTHENTICATE, "Bearer realm=\"rollcall\""),
            (_, Some(after)) => problem.retry_after(after),
            (_, None) => problem,
        }
    }
}

// === impl Action ===

impl Action {
    /// For programs, and for people.
    fn words(self) -> (&'static str, &'static str) {
        match self {
            Self::ListServices => ("list-services", "lists those that there are"),
            Self::ExplainService => ("explain-service", "says why, and lists all endpoints"),
            Self::Describe => ("describe", "lists what there is"),
        }
    }
}

// === impl Kind ===

impl Kind {
    /// Each of them.
    pub const ALL: [Self; 11] = [
        Self::BadRequest,
        Self::Unauthenticated,
        Self::Forbidden,
        Self::NotFound,
        Self::MethodNotAllowed,
        Self::RequestTimeout,
        Self::Conflict,
        Self::TooLarge,
        Self::TooManyRequests,
        Self::NoneCallable,
        Self::Unavailable,
    ];

    /// Its HTTP status.
    pub fn status(self) -> StatusCode {
        match self {
            Self::BadRequest => StatusCode::BAD_REQUEST,
            Self::Unauthenticated => StatusCode::UNAUTHORIZED,
            Self::Forbidden => StatusCode::FORBIDDEN,
            Self::NotFound => StatusCode::NOT_FOUND,
            Self::MethodNotAllowed => StatusCode::METHOD_NOT_ALLOWED,
            Self::RequestTimeout => StatusCode::REQUEST_TIMEOUT,
            Self::Conflict => StatusCode::CONFLICT,
            Self::TooLarge => StatusCode::PAYLOAD_TOO_LARGE,
            Self::TooManyRequests => StatusCode::TOO_MANY_REQUESTS,
            Self::NoneCallable | Self::Unavailable => StatusCode::SERVICE_UNAVAILABLE,
        }
    }

    /// The last word of its `type`.
    pub fn slug(self) -> &'static str {
        match self {
            Self::BadRequest => "bad-request",
            Self::Unauthenticated => "unauthenticated",
            Self::Forbidden => "forbidden",
            Self::NotFound => "not-found",
            Self::MethodNotAllowed => "method-not-allowed",
            Self::RequestTimeout => "request-timeout",
            Self::Conflict => "conflict",
            Self::TooLarge => "too-large",
            Self::TooManyRequests => "too-many-requests",
            Self::NoneCallable => "none-callable",
            Self::Unavailable => "unavailable",
        }
    }

    fn title(self) -> &'static str {
        match self {
            Self::BadRequest => "The request cannot be used",
            Self::Unauthenticated => "Who asks is not known",
            Self::Forbidden => "Who asks may not do this",
            Self::NotFound => "There is no such thing",
            Self::MethodNotAllowed => "The method is not answered here",
            Self::RequestTimeout => "The request did not come in time",
            Self::Conflict => "What it is about is not in a state for this",
            Self::TooLarge => "The body is too large",
            Self::TooManyRequests => "Too many requests",
            Self::NoneCallable => "No endpoint can be called",
            Self::Unavailable => "Not to be had at the moment",
        }
    }
}
