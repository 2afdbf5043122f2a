use super::SessionError;
use crate::proto::discovery::DeltaDiscoveryRequest;

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
    /// Bytes of a resource name, version or type URL.
    pub name_bytes_max: usize,
    /// Distinct types asked for that this server does not serve.
    pub unserved_types_max: usize,
}

// === impl Limits ===

impl Limits {
    pub(super) fn check(&self, request: &DeltaDiscoveryRequest) -> Result<(), SessionError> {
        let limit = self.name_bytes_max;
        let names = || request.resource_names_subscribe.iter().chain(&request.resource_names_unsubscribe);
        let known = &request.initial_resource_versions;
        if request.type_url.is_empty() {
            return Err(SessionError::NoType);
        }
        short("type_url", &request.type_url, limit)?;
        self.check_count(request, names().count(), self.names_per_request_max)?;
        self.check_count(request, known.len(), self.versions_per_request_max)?;
        names().chain(known.keys()).try_for_each(|name| short("resource name", name, limit))?;
        known.values().try_for_each(|version| short("version", version, limit))
    }

    pub(super) fn check_stream(&self, count: usize) -> Result<(), SessionError> {
        let limit = self.names_per_stream_max;
        if count > limit { Err(SessionError::TooManyNames { count, limit }) } else { Ok(()) }
    }

    fn check_count(&self, request: &DeltaDiscoveryRequest, count: usize, limit: usize) -> Result<(), SessionError> {
        let type_url = || request.type_url.clone();
        if count > limit { Err(SessionError::RequestTooLarge { type_url: type_url(), count, limit }) } else { Ok(()) }
    }
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            names_per_request_max: 200_000,
            versions_per_request_max: 200_000,
            names_per_stream_max: 200_000,
            name_bytes_max: 2048,
            unserved_types_max: 16,
        }
    }
}

fn short(what: &'static str, text: &str, limit: usize) -> Result<(), SessionError> {
    if text.len() <= limit {
        return Ok(());
    }
    Err(SessionError::TooLong { what, text: text.chars().take(64).collect(), bytes: text.len(), limit })
}
