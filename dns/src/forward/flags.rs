//! Flags of forwarding, beside who is asked.

use std::path::PathBuf;
use std::time::Duration;

use super::cache;
use super::proof::Wanted;
use super::routes::Stub;
use super::target::{Server, Target};
use super::tls::Trust;
use crate::answer::completion::Completion;

/// What is kept of answers, and who is asked for some domains.
#[derive(Clone, Debug, clap::Args)]
pub struct Flags {
    /// Domain of which other servers than those of --forward are asked, such as corp.example=192.0.2.53,192.0.2.54.
    ///
    /// The names of the domain and all below it are; of several such domains the longest counts. Repeat it for more.
    #[arg(
        long = "stub-domain",
        env = "ROLLCALL_STUB_DOMAIN",
        value_name = "DOMAIN=ADDR[:PORT],…",
        value_delimiter = ';'
    )]
    pub stub_domain: Vec<Stub>,

    /// File of the authorities, as PEM, by which certificates of servers of tls:// are believed. Default: those of the system.
    #[arg(long, env = "ROLLCALL_FORWARD_TLS_CA", value_name = "PATH")]
    pub forward_tls_ca: Option<PathBuf>,

    /// Whether other servers are asked by names of mixed case (0x20), so that answers are harder to forge, where they keep case.
    #[arg(long, env = "ROLLCALL_FORWARD_MIXED_CASE", value_name = "true|false", default_value_t = true)]
    #[arg(action = clap::ArgAction::Set)]
    pub forward_mixed_case: bool,

    /// Whether cookies (RFC 7873) are sent to other servers, so that answers are harder to forge.
    #[arg(long, env = "ROLLCALL_FORWARD_COOKIES", value_name = "true|false", default_value_t = true)]
    #[arg(action = clap::ArgAction::Set)]
    pub forward_cookies: bool,

    /// File of names and addresses as in hosts(5), which are answered before others are asked; 1 MiB at most. It is read again when
    /// it changes. Names of the catalog's own zones go before it.
    #[arg(long, env = "ROLLCALL_HOSTS", value_name = "PATH")]
    pub hosts: Option<PathBuf>,

    /// Whose names are completed here as their resolvers would complete them by search domains: off, endpoints (of Services, for names
    /// below their own namespace), or all.
    ///
    /// An external name costs a pod two queries then, not eight or more. Names that a node's own search domains complete, or that
    /// nobody knows, cost what they cost before.
    #[arg(long, env = "ROLLCALL_SEARCH_COMPLETION", value_name = "WHOSE", default_value_t = Completion::Off)]
    pub search_completion: Completion,

    /// Bytes of answers for names outside of the cluster that are kept: 0 for none, up to 1 GiB.
    #[arg(long, env = "ROLLCALL_CACHE_BYTES", value_name = "BYTES", default_value_t = cache::BYTES_MAX as u32)]
    #[arg(value_parser = clap::value_parser!(u32).range(0..=1 << 30))]
    pub cache_bytes: u32,

    /// Seconds that such an answer is kept at most, whatever its TTL.
    #[arg(long, env = "ROLLCALL_CACHE_TTL", value_name = "SECONDS", default_value_t = cache::TTL_MAX)]
    #[arg(value_parser = clap::value_parser!(u32).range(0..=86_400))]
    pub cache_ttl: u32,

    /// Seconds that the absence of such a name is kept at most.
    #[arg(long, env = "ROLLCALL_CACHE_NEGATIVE_TTL", value_name = "SECONDS", default_value_t = cache::NEGATIVE_TTL_MAX)]
    #[arg(value_parser = clap::value_parser!(u32).range(0..=86_400))]
    pub cache_negative_ttl: u32,

    /// Seconds after its end for which such an answer is given on, marked as stale, while no server answers; 0 for none.
    #[arg(long, env = "ROLLCALL_CACHE_STALE", value_name = "SECONDS", default_value_t = cache::STALE.as_secs() as u32)]
    #[arg(value_parser = clap::value_parser!(u32).range(0..=604_800))]
    pub cache_stale: u32,
}

// === impl Flags ===

impl Flags {
    /// What is asked of servers to make forging hard.
    pub fn proofs(&self) -> Wanted {
        Wanted { mixed_case: self.forward_mixed_case, cookies: self.forward_cookies }
    }

    /// By whom servers of tls:// are believed, if there are any.
    pub fn trust(&self, forward: &[Target]) -> anyhow::Result<Trust> {
        let is_tls = |server: &Server| server.tls.is_some();
        let of_others = forward.iter().any(|target| matches!(target, Target::Server(server) if is_tls(server)));
        if of_others || self.stub_domain.iter().flat_map(|stub| &stub.servers).any(is_tls) {
            Trust::new(self.forward_tls_ca.as_deref()).map_err(anyhow::Error::msg)
        } else {
            Ok(Trust::default())
        }
    }

    /// What is kept of answers for names outside of the cluster.
    pub fn cache(&self) -> cache::Bounds {
        cache::Bounds {
            bytes: self.cache_bytes as usize,
            ttl_max: self.cache_ttl,
            negative_ttl_max: self.cache_negative_ttl,
            stale: Duration::from_secs(self.cache_stale.into()),
        }
    }
}
