//! The libraries that speak gRPC's xDS, and how a program of each is run.

use std::net::SocketAddr;
use std::path::Path;

use anyhow::Result;
use serde_json::{Value, json};

use crate::process::Program;
use crate::tools;

/// A library.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Family {
    /// Of Python, with the core of C++.
    Grpcio,
    /// Of Go.
    GrpcGo,
    /// Of Java.
    GrpcJava,
    /// Of Node.
    GrpcJs,
    /// Of Rust.
    TonicXds,
}

/// Where a client says that it runs.
#[derive(Clone, Copy, Debug)]
pub struct Seat<'a> {
    /// Its region.
    pub region: &'a str,
    /// Its zone.
    pub zone: &'a str,
}

// === impl Family ===

impl Family {
    /// All of them.
    pub const ALL: [Self; 5] = [Self::Grpcio, Self::GrpcGo, Self::GrpcJava, Self::GrpcJs, Self::TonicXds];

    /// The library's name, as its users know it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Grpcio => "grpcio (Python, C++)",
            Self::GrpcGo => "grpc-go",
            Self::GrpcJava => "grpc-java",
            Self::GrpcJs => "grpc-js (Node)",
            Self::TonicXds => "tonic-xds (Rust)",
        }
    }

    /// The library's package and version, as its lock file has them.
    pub fn package(self) -> &'static str {
        match self {
            Self::Grpcio => "grpcio 1.85.3",
            Self::GrpcGo => "google.golang.org/grpc v1.85.0",
            Self::GrpcJava => "io.grpc:grpc-xds 1.85.1",
            Self::GrpcJs => "@grpc/grpc-js 1.14.7, @grpc/grpc-js-xds 1.14.1",
            Self::TonicXds => "tonic-xds 0.1.0-alpha.4",
        }
    }

    /// The program that calls by it, after it has been built if it was not yet.
    pub(super) fn program(self, name: &str, folder: &Path) -> Result<Program> {
        let program = |path: &Path| Program::new(name, path, folder);
        let interpreted = |interpreter: &str| program(Path::new(interpreter));
        Ok(match self {
            Self::Grpcio => {
                let client = tools::xds_client_python()?;
                let modules = client.with_file_name("");
                interpreted("python3")
                    .args([client.display().to_string()])
                    .env("PYTHONPATH", modules.display().to_string())
            }
            Self::GrpcGo => program(&tools::xds_clients_go()?).args(["grpc"]),
            Self::GrpcJava => {
                let target = tools::xds_client_java()?;
                let classes = format!("{0}/client.jar:{0}/libraries/*", target.display());
                // Started for a minute: what makes a server fast later only delays it.
                interpreted("java")
                    .args(["-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-Xshare:auto", "-Xmx128m"])
                    .args(["-cp", &classes, "dev.rollcall.e2e.Client"])
            }
            Self::GrpcJs => interpreted("node").args([tools::xds_client_node()?.display().to_string()]),
            Self::TonicXds => program(&tools::xds_client_rust()?),
        })
    }

    /// Its bootstrap (gRFC A27), without TLS.
    pub fn bootstrap(self, node: &str, catalog: SocketAddr, seat: Seat<'_>) -> Value {
        let server = match self {
            Self::TonicXds => format!("http://{catalog}"), // a URI, unlike with the others
            Self::Grpcio | Self::GrpcGo | Self::GrpcJava | Self::GrpcJs => catalog.to_string(),
        };
        json!({
            "xds_servers": [{
                "server_uri": server,
                "channel_creds": [{"type": "insecure"}],
                "server_features": ["xds_v3"],
            }],
            // grpc-js refuses a node without id or locality.
            "node": {"id": node, "locality": {"region": seat.region, "zone": seat.zone}},
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::layout;

    #[test]
    fn the_versions_that_are_told_are_those_of_the_lock_files() {
        let read = |file: &str| std::fs::read_to_string(layout::root().join("e2e/clients").join(file)).unwrap();
        let told = |family: Family, file: &str, written: &[&str]| {
            let text = read(file);
            for (package, version) in family.package().split(", ").zip(written) {
                let number = package.rsplit(' ').next().unwrap();
                assert!(text.contains(&version.replace("{}", number)), "{file} has another version than {package}");
            }
        };
        told(Family::Grpcio, "python/requirements.txt", &["grpcio=={}\n"]);
        told(Family::GrpcGo, "go/go.mod", &["google.golang.org/grpc {}\n"]);
        told(Family::GrpcJava, "java/pom.xml", &["<grpc.version>{}</grpc.version>"]);
        told(Family::GrpcJs, "node/package.json", &["\"@grpc/grpc-js\": \"{}\"", "\"@grpc/grpc-js-xds\": \"{}\""]);
        told(Family::TonicXds, "rust/Cargo.toml", &["tonic-xds = \"={}\""]);
    }

    #[test]
    fn no_lock_file_names_a_registry() {
        let lock = layout::root().join("e2e/clients/node/package-lock.json");
        assert!(!std::fs::read_to_string(lock).unwrap().contains("\"resolved\""));
    }
}
