//! What one stream may ask for.

use super::SessionError;

/// What one stream may ask for. The defaults fit an Envoy that names each of 100,000 clusters, if their names are short: a
/// request is bounded in bytes as well ([`Server::REQUEST_BYTES_MAX`](crate::server::Server::REQUEST_BYTES_MAX)).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Names in one request, subscribed and unsubscribed together.
    pub names_per_request_max: usize,
    /// Versions that a client may bring on reconnect, in one request.
    pub versions_per_request_max: usize,
    /// Names that a stream is subscribed to, all types together.
    pub names_per_stream_max: usize,
    /// Memory for what only the client speaks of, in bytes: names that do not exist, answers that it has not read, its
    /// reasons for rejections. What exists is in the catalog already, and costs a stream some 50 bytes each.
    pub asked_bytes_max: usize,
    /// Bytes of a resource name, version or type URL.
    pub name_bytes_max: usize,
    /// Distinct types asked for that this server does not serve.
    pub unserved_types_max: usize,
}

// === impl Limits ===

impl Limits {
    pub(crate) fn check_names(&self, type_url: &str, count: usize) -> Result<(), SessionError> {
        within(type_url, count, self.names_per_request_max)
    }

    pub(crate) fn check_versions(&self, type_url: &str, count: usize) -> Result<(), SessionError> {
        within(type_url, count, self.versions_per_request_max)
    }

    /// A resource name, version or type URL.
    pub(crate) fn check_text(&self, what: &'static str, text: &str) -> Result<(), SessionError> {
        let limit = self.name_bytes_max;
        if text.len() <= limit {
            return Ok(());
        }
        Err(SessionError::TooLong { what, text: text.chars().take(64).collect(), bytes: text.len(), limit })
    }

    /// All that the stream is subscribed to.
    pub(crate) fn check_stream(&self, count: usize) -> Result<(), SessionError> {
        let limit = self.names_per_stream_max;
        if count > limit { Err(SessionError::TooManyNames { count, limit }) } else { Ok(()) }
    }

    /// All that is kept for the client's sake alone.
    pub(crate) fn check_bytes(&self, bytes: usize) -> Result<(), SessionError> {
        let limit = self.asked_bytes_max;
        if bytes > limit { Err(SessionError::TooManyBytes { bytes, limit }) } else { Ok(()) }
    }
}

fn within(type_url: &str, count: usize, limit: usize) -> Result<(), SessionError> {
    if count > limit { Err(SessionError::RequestTooLarge { type_url: type_url.into(), count, limit }) } else { Ok(()) }
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            names_per_request_max: 200_000,
            versions_per_request_max: 200_000,
            names_per_stream_max: 200_000,
            asked_bytes_max: 16 << 20,
            name_bytes_max: 2048,
            unserved_types_max: 16,
        }
    }
}
