//! Which ConfigMaps are kept, and what the files in them say.

use std::path::PathBuf;
use std::str::FromStr;

use anyhow::bail;
use clap::Args;
use rollcall_authority::flags::{Mode, TlsArgs};

use super::files::{Settings, Trust};
use crate::api::bootstrap::Stream;

/// What clients of the stream are told, by the API port and in ConfigMaps.
#[derive(Clone, Debug, Args)]
pub struct BootstrapArgs {
    /// Where clients find the discovery stream, as /bootstrap/grpc and /bootstrap/envoy of the API port tell them. Default:
    /// rollcall-controller.NAMESPACE.svc, at the port of --grpc-listen.
    #[arg(long, env = "ROLLCALL_BOOTSTRAP_SERVER", value_name = "HOST:PORT")]
    pub bootstrap_server: Option<String>,

    /// Have services that Kubernetes knows no Service of on the stream as Istio's ServiceEntry too, for meshes that read
    /// MCP-over-xDS.
    #[arg(long, env = "ROLLCALL_SERVICE_ENTRIES", default_value_t = false, action = clap::ArgAction::Set, value_name = "BOOL")]
    #[arg(num_args = 0..=1, default_missing_value = "true")]
    pub service_entries: bool,

    /// ConfigMap that is kept filled with what pods of its namespace need to read the stream: `grpc.json` for gRPC,
    /// `envoy.json` for Envoy, and `ca.crt`. It must exist, and may be empty. Repeatable, or separated by commas.
    #[arg(long, env = "ROLLCALL_BOOTSTRAP_CONFIGMAPS", value_delimiter = ',', value_name = "NAMESPACE/NAME")]
    pub bootstrap_configmap: Vec<Place>,

    /// Where pods mount it, and with it the token by which they are known (`token`): the files name each other by this path.
    #[arg(long, env = "ROLLCALL_BOOTSTRAP_MOUNT_PATH", default_value = "/etc/rollcall", value_name = "PATH", value_parser = absolute)]
    pub bootstrap_mount_path: String,

    /// With --tls files: the authorities that clients of the stream are to trust, as PEM. Read again when it changes. With
    /// --tls authority they are its own.
    #[arg(long, env = "ROLLCALL_BOOTSTRAP_CA_FILE", value_name = "PATH")]
    pub bootstrap_ca_file: Option<PathBuf>,
}

/// A ConfigMap by namespace and name.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[allow(missing_docs)]
pub struct Place {
    pub namespace: String,
    pub name: String,
}

// === impl BootstrapArgs ===

impl BootstrapArgs {
    /// What is to be kept by a controller in `namespace`, of that stream; with `token` clients have to say who they are.
    ///
    /// # Errors
    /// When it is not known whom they are to trust.
    pub fn settings(&self, tls: &TlsArgs, namespace: &str, stream: Stream, token: bool) -> anyhow::Result<Settings> {
        let maps = self.bootstrap_configmap.clone();
        let trust = match (tls.tls, &self.bootstrap_ca_file) {
            (Mode::Off, _) => None,
            (_, Some(file)) => Some(Trust::File(file.clone())),
            (Mode::Authority, None) => {
                let name = tls.tls_authority_configmap.clone();
                Some(Trust::Own(Place { namespace: namespace.to_owned(), name }))
            }
            (Mode::Files, None) if maps.is_empty() => None,
            (Mode::Files, None) => bail!(
                "--bootstrap-configmap with --tls files needs --bootstrap-ca-file: the authorities that clients are to trust"
            ),
        };
        Ok(Settings { maps, path: self.bootstrap_mount_path.clone(), stream, token, trust })
    }
}

// === impl Place ===

impl FromStr for Place {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let good = |part: &str, dots: bool| {
            let inner =
                |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-' || (dots && byte == b'.');
            (1..=if dots { 253 } else { 63 }).contains(&part.len()) && part.bytes().all(inner)
        };
        match text.split_once('/') {
            Some((namespace, name)) if good(namespace, false) && good(name, true) => {
                Ok(Self { namespace: namespace.to_owned(), name: name.to_owned() })
            }
            _ => Err("write it as NAMESPACE/NAME, such as shop/rollcall-bootstrap".to_owned()),
        }
    }
}

impl std::fmt::Display for Place {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "ConfigMap {}/{}", self.namespace, self.name)
    }
}

fn absolute(text: &str) -> Result<String, String> {
    let path = text.trim_end_matches('/');
    if path.starts_with('/') && !path.contains("//") {
        Ok(path.to_owned())
    } else {
        Err("give an absolute path other than /, such as /etc/rollcall".to_owned())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_is_a_namespace_and_a_name() {
        let place: Place = "shop/rollcall-bootstrap".parse().expect("good");
        assert_eq!(place.to_string(), "ConfigMap shop/rollcall-bootstrap");
        for odd in ["", "shop", "/x", "shop/", "shop/a/b", "Shop/x", "shop/X", "s.hop/x"] {
            assert!(odd.parse::<Place>().is_err_and(|why| why.contains("NAMESPACE/NAME")), "{odd}");
        }
    }

    #[test]
    fn a_path_is_absolute_and_has_no_end_that_would_be_doubled() {
        assert_eq!(absolute("/etc/rollcall/").as_deref(), Ok("/etc/rollcall"));
        for odd in ["", "/", "etc/rollcall", "/etc//rollcall"] {
            assert!(absolute(odd).is_err(), "{odd}");
        }
    }
}
