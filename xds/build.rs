//! Compiles the protobufs without protoc.

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let own = [
        "proto/rollcall/v1/agents.proto",
        "proto/rollcall/v1/beats.proto",
        "proto/rollcall/v1/catalog.proto",
        "proto/rollcall/v1/federation.proto",
        "proto/rollcall/v1/replicas.proto",
        "proto/istio/mcp.proto",
        "proto/istio/service_entry.proto",
    ];
    let envoy = [
        "proto/envoy/service/cluster/v3/cluster.proto",
        "proto/envoy/service/discovery/v3/discovery.proto",
        "proto/envoy/service/endpoint/v3/endpoint.proto",
        "proto/envoy/service/listener/v3/listener.proto",
        "proto/envoy/service/route/v3/route.proto",
    ];
    let configure = || tonic_prost_build::configure().bytes(".").codec_path("crate::codec::Codec");
    configure().compile_fds(protox::compile(own, ["proto"])?)?;
    // Served by hand: `src/server/methods.rs`.
    configure().build_server(false).compile_fds(protox::compile(envoy, ["proto"])?)?;
    println!("cargo::rerun-if-changed=proto");
    Ok(())
}
