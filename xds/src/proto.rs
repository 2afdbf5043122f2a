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

/// Envoy's packages, as far as they are the transport protocol.
#[allow(missing_docs, unreachable_pub, rust_2018_idioms, clippy::all, clippy::use_self)]
#[allow(clippy::disallowed_methods, clippy::or_fun_call, clippy::semicolon_if_nothing_returned, clippy::unwrap_used)]
pub mod envoy {
    /// `envoy.service`.
    pub mod service {
        /// `envoy.service.discovery.v3`, with resources as shared bytes.
        pub mod discovery {
            /// Messages, and the aggregated service.
            pub mod v3 {
                tonic::include_proto!("envoy.service.discovery.v3");
            }
        }
        /// `envoy.service.cluster.v3`: CDS alone.
        pub mod cluster {
            /// The service.
            pub mod v3 {
                tonic::include_proto!("envoy.service.cluster.v3");
            }
        }
        /// `envoy.service.endpoint.v3`: EDS alone.
        pub mod endpoint {
            /// The service.
            pub mod v3 {
                tonic::include_proto!("envoy.service.endpoint.v3");
            }
        }
        /// `envoy.service.listener.v3`: LDS alone.
        pub mod listener {
            /// The service.
            pub mod v3 {
                tonic::include_proto!("envoy.service.listener.v3");
            }
        }
        /// `envoy.service.route.v3`: RDS alone.
        pub mod route {
            /// The service.
            pub mod v3 {
                tonic::include_proto!("envoy.service.route.v3");
            }
        }
    }
}

/// Istio's packages, as far as meshes read services by MCP-over-xDS.
#[allow(missing_docs, unreachable_pub, rust_2018_idioms, clippy::all, clippy::use_self)]
#[allow(clippy::disallowed_methods, clippy::or_fun_call, clippy::semicolon_if_nothing_returned, clippy::unwrap_used)]
pub mod istio {
    /// `istio.mcp`.
    pub mod mcp {
        /// The wrapper of each resource.
        pub mod v1alpha1 {
            tonic::include_proto!("istio.mcp.v1alpha1");
        }
    }
    /// `istio.networking`.
    pub mod networking {
        /// ServiceEntry.
        pub mod v1alpha3 {
            tonic::include_proto!("istio.networking.v1alpha3");
        }
    }
}

pub use self::envoy::service::discovery::v3 as discovery;
