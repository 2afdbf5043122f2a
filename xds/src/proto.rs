//! Generated messages. `xds/proto` holds their sources and comments.

/// Rollcall's own packages.
pub mod rollcall {
    /// `rollcall.v1`: Service, EndpointBucket, Zone.
    #[allow(missing_docs, unreachable_pub, rust_2018_idioms, clippy::all, clippy::use_self)]
    #[allow(
        clippy::disallowed_methods,
        clippy::or_fun_call,
        clippy::semicolon_if_nothing_returned,
        clippy::unwrap_used
    )]
    pub mod v1 {
        tonic::include_proto!("rollcall.v1");
    }
}

/// `envoy.service.discovery.v3`, the delta half, with resources as shared bytes.
#[allow(missing_docs, unreachable_pub, rust_2018_idioms, clippy::all, clippy::use_self)]
#[allow(clippy::disallowed_methods, clippy::or_fun_call, clippy::semicolon_if_nothing_returned, clippy::unwrap_used)]
pub mod discovery {
    tonic::include_proto!("envoy.service.discovery.v3");
}
