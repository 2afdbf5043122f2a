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
//! - [`current`]: what both of them fill; [`tally`]: what is measured; [`flags`]: what is set
//!
//! Why it is made like this: `docs/decisions/015-own-authority.md`.

use std::sync::Arc;

use anyhow::Context;
use kube::Client;
use rollcall_admin::Readiness;
use rollcall_xds::tls::{Acceptor, Certificates, Limits};

use crate::time::clock::Clock;
use current::Current;
use flags::{Mode, TlsArgs};
use keeper::Keeper;
use plan::Settings;
use store::Objects;
use tally::Tally;

pub mod current;
pub mod files;
pub mod flags;
pub mod issue;
pub mod keeper;
pub mod model;
pub mod plan;
pub mod record;
pub mod store;
pub mod tally;
#[cfg(test)]
mod testing;

/// Starts what keeps the certificate. `None` when the stream is to go without TLS.
///
/// # Errors
/// When the flags do not fit each other. What is wrong with files and objects closes the gate `certificate` instead.
pub fn start(
    args: &TlsArgs,
    client: Client,
    namespace: &str,
    clock: Clock,
    readiness: &Readiness,
    tally: &Arc<Tally>,
) -> anyhow::Result<Option<Acceptor>> {
    args.check().map_err(anyhow::Error::msg)?;
    if args.tls == Mode::Off {
        return Ok(None);
    }
    let certificates = Arc::<Certificates>::default();
    let acceptor = Acceptor::new(Arc::clone(&certificates), Arc::clone(&tally.handshakes), Limits::default())?;
    let current = Current::new(certificates, readiness.gate("certificate"), Arc::clone(tally));
    if args.tls == Mode::Files {
        let file = |path: &Option<std::path::PathBuf>| {
            path.clone().context("--tls files needs --tls-cert-file and --tls-key-file")
        };
        let pair = files::Pair { certificate: file(&args.tls_cert_file)?, key: file(&args.tls_key_file)? };
        tokio::spawn(pair.keep(current, clock));
    } else {
        let objects = Objects::new(client, namespace, &args.tls_authority_secret, &args.tls_authority_configmap);
        let settings = Settings::new(args.tls_ca_lifetime, args.tls_leaf_lifetime);
        tokio::spawn(Keeper::new(objects, settings, args.tls_dns_names.clone(), current, clock).run());
    }
    Ok(Some(acceptor))
}
