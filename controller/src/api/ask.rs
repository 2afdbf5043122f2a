//! What a handler gets.

use std::net::IpAddr;

use bytes::Bytes;
use http::HeaderMap;

use super::path::Names;
use super::query::Query;
use crate::access::Identity;

/// A request that was let through: by its path, by access, and within its bounds.
#[derive(Clone, Debug)]
pub struct Ask {
    /// The names in the path.
    pub names: Names,
    /// The parameters.
    pub query: Query,
    /// The headers.
    pub headers: HeaderMap,
    /// The body, whole; empty where the route takes none.
    pub body: Bytes,
    /// Who asks; `None` on routes for everybody.
    pub who: Option<Identity>,
    /// Where they ask from.
    pub peer: IpAddr,
}

// === impl Ask ===

impl Ask {
    /// The name of that in the path: `namespace`, `service`.
    pub fn name(&self, of: &str) -> &str {
        self.names.get(of)
    }
}
