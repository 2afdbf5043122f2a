//! What a handler gives.

use bytes::Bytes;
use http::header::{CACHE_CONTROL, CONTENT_LENGTH, CONTENT_TYPE};
use http::{HeaderName, HeaderValue, Response, StatusCode};
use http_body_util::Full;
use hyper::body::Body;
use serde::Serialize;

/// An answer, whole in memory. Its bytes may be shared by many.
#[derive(Clone, Debug)]
pub struct Answer(Response<Full<Bytes>>);

// === impl Answer ===

impl Answer {
    /// Of that type.
    pub fn new(status: StatusCode, content_type: &'static str, body: Bytes) -> Self {
        let mut response = Response::new(Full::new(body));
        *response.status_mut() = status;
        let headers = response.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
        // Answers are for who asked, and of this moment.
        headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
        Self(response)
    }

    /// 200 with JSON that was encoded before.
    pub fn encoded(body: Bytes) -> Self {
        Self::new(StatusCode::OK, "application/json", body)
    }

    /// 200 with JSON; people read it, too.
    pub fn json(body: &impl Serialize) -> Self {
        // A struct of ours has no map whose keys are no text, which is all that could fail.
        let mut bytes = serde_json::to_vec_pretty(body).unwrap_or_default();
        bytes.push(b'\n');
        Self::encoded(bytes.into())
    }

    /// With a header.
    pub fn with_header(mut self, name: HeaderName, value: HeaderValue) -> Self {
        self.0.headers_mut().insert(name, value);
        self
    }

    /// The status.
    pub fn status(&self) -> StatusCode {
        self.0.status()
    }

    pub(super) fn into_response(self) -> Response<Full<Bytes>> {
        self.0
    }

    /// What answers HEAD: the length of the body in its place (RFC 9110 §9.3.2). hyper leaves bodies out over HTTP/1.1 alone.
    pub(super) fn into_head(self) -> Response<Full<Bytes>> {
        let (mut parts, body) = self.0.into_parts();
        if let Some(len) = body.size_hint().exact() {
            parts.headers.insert(CONTENT_LENGTH, len.into());
        }
        Response::from_parts(parts, Full::default())
    }
}
