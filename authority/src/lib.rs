//! Where the certificate of the discovery stream comes from.
//!
//! ```text
//! --tls files:      certificate and key in files --> files ---+
//! --tls authority:  Secret <--> store <--> keeper ------------+--> Certificates (new connections) and the gate
//!                   ConfigMap <-+          | plan: what next  |    `certificate`
//!                                          | issue: keys, signatures
//! ```
//!
//! - [`plan`]: the phases of an authority's life, pure; [`model`]: what an authority is
//! - [`record`]: its form in the Secret; [`store`]: Secret and ConfigMap in the Kubernetes API
//! - [`issue`]: makes authorities and leaves
//! - [`keeper`]: carries the plan out; [`files`]: the other source
//! - [`clients`]: the authorities of clients, where they are others
//! - [`current`]: what both of them fill; [`metrics`]: what is measured; [`flags`]: what is set
//!
//! Why it is made like this: `docs/decisions/015-own-authority.md`.

use std::path::PathBuf;
use std::sync::Arc;

use anyhow::Context;
use kube::Client;
use prometheus_client::registry::Registry;
use rollcall_admin::{Gate, Readiness};
use rollcall_xds::tls::{self, Acceptor, Certificates, Limits};

use clients::ClientCa;
use current::Current;
use flags::{Mode, TlsArgs};
use keeper::Keeper;
use metrics::Metrics;
use plan::Settings;
use store::Objects;

pub mod clients;
pub mod current;
pub mod files;
pub mod flags;
pub mod issue;
pub mod keeper;
pub mod metrics;
pub mod model;
pub mod plan;
pub mod record;
pub mod store;
#[cfg(test)]
mod testing;

/// What the program lends: time, chance and words are its own.
#[derive(Clone)]
pub struct Surroundings {
    /// The API server.
    pub client: Client,
    /// Where the Secret and the ConfigMap are.
    pub namespace: String,
    /// Seconds since 1970.
    pub wall_s: fn() -> i64,
    /// A number in `0.0..1.0`, for jitter.
    pub random: fn() -> f64,
    /// Why a request failed, with the remedy.
    pub words: fn(&kube::Error) -> String,
}

/// Starts what keeps the certificate; handshakes that fail are told to `handshakes`. `None` when the stream is to go without
/// TLS.
///
/// # Errors
/// When the flags do not fit each other. What is wrong with files and objects closes the gate `certificate` instead.
pub fn start(
    args: &TlsArgs,
    surroundings: Surroundings,
    handshakes: Arc<tls::Metrics>,
    readiness: &Readiness,
    registry: &mut Registry,
) -> anyhow::Result<Option<Acceptor>> {
    args.check().map_err(anyhow::Error::msg)?;
    let metrics = Arc::<Metrics>::default();
    metrics.register(registry);
    if args.tls == Mode::Off {
        return Ok(None);
    }
    let Surroundings { client, namespace, wall_s, random, words } = surroundings;
    let clients = Arc::clone(&metrics.clients);
    let certificates = Arc::new(Certificates::asking(Arc::clone(&clients)));
    let acceptor = Acceptor::new(Arc::clone(&certificates), handshakes, Limits::default())?;
    let current = Current::new(certificates, readiness.gate("certificate"), metrics);
    if let Some(path) = &args.client_ca {
        let file = ClientCa::new(path.clone(), Arc::clone(&clients), readiness.gate("client-ca"));
        tokio::spawn(file.keep());
    }
    if args.tls == Mode::Files {
        let file =
            |path: &Option<PathBuf>| path.clone().context("--tls files needs --tls-cert-file and --tls-key-file");
        let pair = files::Pair { certificate: file(&args.tls_cert_file)?, key: file(&args.tls_key_file)? };
        tokio::spawn(pair.keep(current, wall_s));
    } else {
        let objects =
            Objects::new(client, &namespace, &args.tls_authority_secret, &args.tls_authority_configmap, words);
        let settings = Settings::new(args.tls_ca_lifetime, args.tls_leaf_lifetime);
        let keeper = Keeper::new(objects, settings, args.tls_dns_names.clone(), current, wall_s, random);
        let vouches_for = args.client_ca.is_none().then_some(clients);
        tokio::spawn(keeper.vouching_for(vouches_for).run());
    }
    Ok(Some(acceptor))
}

/// Starts what keeps a certificate of its own for another listener, from files alone. What is wrong with them closes the gate.
/// Clients are asked for the same certificates as at `stream`.
pub fn of_files(pair: files::Pair, stream: Option<&Acceptor>, gate: Gate, wall_s: fn() -> i64) -> Arc<Certificates> {
    let clients = stream.map(|stream| Arc::clone(stream.certificates().clients())).unwrap_or_default();
    let certificates = Arc::new(Certificates::asking(clients));
    tokio::spawn(pair.keep(Current::new(Arc::clone(&certificates), gate, Arc::default()), wall_s));
    certificates
}
