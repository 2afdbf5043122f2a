//! The flags of the sources.

use std::collections::BTreeSet;
use std::path::PathBuf;

use clap::{ArgAction, Args};

use crate::kubernetes::freshness::Source;

/// What is watched, and where.
#[derive(Clone, Debug, Args)]
pub struct SourceArgs {
    /// Namespace to watch, serve and write in; all if none is given. Repeatable, or separated by commas.
    #[arg(long, env = "ROLLCALL_WATCH_NAMESPACES", value_delimiter = ',', value_name = "NAMESPACE", value_parser = namespace)]
    pub watch_namespace: Vec<String>,

    /// Whether nodes are watched: for the zones of endpoints that do not name their own, and to keep registrations off
    /// the pods' addresses. Without them give the pods' ranges by --reserved-cidr.
    #[arg(long, env = "ROLLCALL_NODE_ZONES", default_value_t = true, action = ArgAction::Set, value_name = "BOOL")]
    pub node_zones: bool,

    /// Whether ServiceCIDRs are watched, to keep registrations off the Services' addresses. Without them give the
    /// Services' ranges by --reserved-cidr.
    #[arg(long, env = "ROLLCALL_SERVICE_CIDRS", default_value_t = true, action = ArgAction::Set, value_name = "BOOL")]
    pub service_cidrs: bool,

    /// Whether Leases with the label rollcall.dev/registration are watched: each renewal is a heartbeat of an endpoint. Without
    /// them endpoints beat over HTTP and by agents alone.
    #[arg(long, env = "ROLLCALL_LEASE_BEATS", default_value_t = true, action = ArgAction::Set, value_name = "BOOL")]
    pub lease_beats: bool,

    /// The resolver configuration that is compared with --cluster-domain.
    #[arg(long, env = "ROLLCALL_RESOLV_CONF", default_value = "/etc/resolv.conf", value_name = "PATH", hide = true)]
    pub resolv_conf: PathBuf,
}

// === impl SourceArgs ===

impl SourceArgs {
    /// The namespaces to watch, each once; none means all.
    pub fn namespaces(&self) -> BTreeSet<String> {
        self.watch_namespace.iter().cloned().collect()
    }

    /// What the catalog is made of: nothing is served before each has been listed once.
    pub fn catalog(&self) -> BTreeSet<Source> {
        let wanted = |source: &Source| match source {
            Source::Nodes => self.node_zones,
            Source::ServiceCidrs => self.service_cidrs,
            _ => true,
        };
        Source::CATALOG.into_iter().filter(wanted).collect()
    }
}

/// A namespace's name is a DNS label (RFC 1123 §2.1).
fn namespace(text: &str) -> Result<String, String> {
    let inner = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    if (1..=63).contains(&text.len()) && text.bytes().all(inner) && !text.starts_with('-') && !text.ends_with('-') {
        Ok(text.to_owned())
    } else {
        Err("give names of namespaces, such as shop,billing".to_owned())
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use crate::args::Args;
    use crate::kubernetes::freshness::Source;

    fn parsed(flags: &[&str]) -> Args {
        Args::try_parse_from(["rollcall-controller"].into_iter().chain(flags.iter().copied())).expect("good flags")
    }

    #[test]
    fn namespaces_may_be_repeated_or_listed() {
        let given = parsed(&["--watch-namespace", "shop,billing", "--watch-namespace", "shop"]).sources.namespaces();
        assert_eq!(given.into_iter().collect::<Vec<_>>(), ["billing", "shop"]);
        assert!(parsed(&[]).sources.namespaces().is_empty());
        let error = Args::try_parse_from(["rollcall-controller", "--watch-namespace", "Shop"]).expect_err("refused");
        assert!(error.to_string().contains("give names of namespaces"), "{error}");
    }

    #[test]
    fn what_is_not_watched_is_not_waited_for() {
        let waited = parsed(&["--node-zones", "false", "--service-cidrs=false"]).sources.catalog();
        assert!(
            !waited.contains(&Source::Nodes)
                && !waited.contains(&Source::ServiceCidrs)
                && waited.len() == Source::CATALOG.len() - 2
        );
        assert_eq!(parsed(&[]).sources.catalog().len(), Source::CATALOG.len());
    }
}
