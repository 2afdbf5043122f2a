//! Flags. Each can be given as an environment variable as well; a flag wins.

use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use clap::Parser;
use rollcall_admin::logs::Format;
use rollcall_admin::{DebugAccess, Filter, traces};
use rollcall_authority::files::Pair;
use rollcall_authority::flags::{Mode, TlsArgs};
use rollcall_catalog::guard::{Cidr, Guard, Reserved};
use rollcall_catalog::model::Name;
use rollcall_catalog::policy::Staleness;
use rollcall_xds::server::{BetweenReplicas, Readers};
use rollcall_xds::tls::Acceptor;

use crate::agents;
use crate::api;
use crate::bootstraps::files::Settings;
use crate::bootstraps::flags::BootstrapArgs;
use crate::federation::about::About;
use crate::federation::flags::FederationArgs;
use crate::federation::{self, Federation};
use crate::policy::flags::{BUILT_IN, DefaultPolicy};
use crate::readers::Who;
use crate::replicas;
use crate::serve;
use crate::sources::flags::SourceArgs;
use crate::writer::by_service::ServiceMetricsArgs;

/// The Rollcall controller: watches services, checks registered endpoints, and serves and writes the catalog.
///
/// A flag that is given twice counts as it was given last, so that the chart's `controller.extraArgs` can change what the
/// chart sets. Those that are repeatable add up.
#[derive(Clone, Debug, Parser)]
#[command(name = "rollcall-controller", version, args_override_self = true)]
pub struct Args {
    /// Address of the discovery stream (xDS over gRPC).
    #[arg(long, env = "ROLLCALL_GRPC_LISTEN", default_value = "127.0.0.1:18000", value_name = "IP:PORT")]
    pub grpc_listen: SocketAddr,

    /// Address of the API port: questions about the catalog and beats, over HTTPS with the certificate of the stream. With
    /// --tls off it speaks plain HTTP and must be a loopback address, since tokens are sent to it.
    #[arg(long, env = "ROLLCALL_API_LISTEN", default_value = "127.0.0.1:18443", value_name = "IP:PORT")]
    pub api_listen: SocketAddr,

    /// The certificate chain of the API port, as PEM, where it is to be another than the stream's. Read again when it changes.
    #[arg(long, env = "ROLLCALL_API_CERT_FILE", value_name = "PATH", requires = "api_key_file")]
    pub api_cert_file: Option<PathBuf>,

    /// The private key of --api-cert-file, as PEM. Read again when it changes.
    #[arg(long, env = "ROLLCALL_API_KEY_FILE", value_name = "PATH", requires = "api_cert_file")]
    pub api_key_file: Option<PathBuf>,

    /// What clients are told of the discovery stream.
    #[command(flatten)]
    pub bootstraps: BootstrapArgs,

    /// Connections to the API port at a time. For a further one, the client that has most gives up its oldest.
    #[arg(long, env = "ROLLCALL_API_CONNECTIONS_MAX", default_value_t = 10_000, value_parser = clap::value_parser!(u32).range(8..))]
    pub api_connections_max: u32,

    /// How long somebody whom the API server let through is let through while it cannot be asked again. Never beyond the
    /// end of their token. From 2m to 24h.
    #[arg(long, env = "ROLLCALL_ACCESS_GRACE", default_value = "1h", value_name = "DURATION", value_parser = grace)]
    pub access_grace: Duration,

    /// Who may read the stream: anyone; authenticated, whoever shows a token or a client certificate; authorized, of these
    /// whom RBAC lets `get streams`, and only the namespaces in which it does. Without it authenticated, and with --tls off
    /// anyone.
    #[arg(long, env = "ROLLCALL_READERS", value_name = "WHO")]
    pub readers: Option<Who>,

    /// After how long a connection of the stream takes no more streams, and those that it has end within as long again, so
    /// that clients spread over the replicas. From 1m to 24h; 0s for never.
    #[arg(long, env = "ROLLCALL_CONNECTION_AGE", default_value = "30m", value_name = "DURATION", value_parser = connection_age)]
    pub connection_age: Duration,

    /// Address of /livez, /readyz, /metrics and /debug.
    #[arg(long, env = "ROLLCALL_HTTP_LISTEN", default_value = "127.0.0.1:18080", value_name = "IP:PORT")]
    pub http_listen: SocketAddr,

    /// What protects the pages below /debug/: token, a bearer token of somebody who may forward ports to the pods of the
    /// namespace; or loopback alone, for machines on which nothing forwards to this process.
    #[arg(long, env = "ROLLCALL_DEBUG_ACCESS", value_name = "HOW", default_value_t = DebugAccess::Token)]
    pub debug_access: DebugAccess,

    /// DNS suffix of the cluster.
    #[arg(long, env = "ROLLCALL_CLUSTER_DOMAIN", default_value = "cluster.local", value_name = "DOMAIN", value_parser = domain)]
    pub cluster_domain: String,

    /// Name of this replica, unique among them: the holder of the Lease.
    #[arg(long, env = "ROLLCALL_IDENTITY", value_name = "NAME")]
    pub identity: Option<String>,

    /// Address at which other replicas reach the discovery stream of this one; its port is that of --grpc-listen. Default: the
    /// address of --grpc-listen, unless that is every address: then this replica stays alone, and checks everything itself.
    #[arg(long, env = "ROLLCALL_REPLICA_IP", value_name = "IP")]
    pub replica_ip: Option<IpAddr>,

    /// Who this cluster is to others.
    #[command(flatten)]
    pub federation: FederationArgs,

    /// Namespace of the Leases: where the controller is installed.
    #[arg(long, env = "ROLLCALL_NAMESPACE", default_value = "rollcall-system", value_name = "NAMESPACE")]
    pub namespace: String,

    /// Address block that no registration may claim, beside those of nodes (pods) and ServiceCIDRs (Services).
    /// Repeatable, or separated by commas.
    #[arg(long, env = "ROLLCALL_RESERVED_CIDRS", value_delimiter = ',', value_name = "CIDR")]
    pub reserved_cidr: Vec<Cidr>,

    /// Exception from the reserved blocks for the registrations of one namespace. Repeatable, or separated by commas.
    #[arg(long, env = "ROLLCALL_ALLOWED_CIDRS", value_delimiter = ',', value_name = "NAMESPACE=CIDR")]
    pub allow_cidr: Vec<Allowed>,

    /// Writes to the Kubernetes API per second at most; twice as many in a burst.
    #[arg(long, env = "ROLLCALL_WRITES_PER_SECOND", default_value_t = 100, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    pub writes_per_second: u32,

    /// Streams open at a time; more are refused.
    #[arg(long, env = "ROLLCALL_STREAMS_MAX", default_value_t = 10_000)]
    pub streams_max: usize,

    /// Agents on machines outside the cluster that are heard at a time, on the port of the stream; more are refused.
    #[arg(long, env = "ROLLCALL_AGENTS_MAX", default_value_t = 10_000, value_name = "NUMBER")]
    pub agents_max: usize,

    /// Seconds between a signal to stop and the end of the streams, in which readiness says so.
    #[arg(long, env = "ROLLCALL_LAME_DUCK_SECONDS", default_value_t = 2, value_parser = clap::value_parser!(u64).range(0..=300))]
    pub lame_duck_seconds: u64,

    /// text or json.
    #[arg(long, env = "ROLLCALL_LOG_FORMAT", default_value_t = Format::Text)]
    pub log_format: Format,

    /// What is logged: a level, or levels by target such as info,rollcall_controller::writeback=debug. RUST_LOG goes
    /// before it; PUT /debug/log-level changes it for a time.
    #[arg(long, env = "ROLLCALL_LOG_LEVEL", value_name = "FILTER", default_value = "info")]
    pub log_level: Filter,

    /// OTLP collector (gRPC) that traces are sent to, such as http://collector:4317. Default: no traces.
    #[arg(long, env = "ROLLCALL_OTLP_ENDPOINT", value_name = "URL", value_parser = traces::endpoint)]
    pub otlp_endpoint: Option<String>,

    /// TLS of the discovery stream.
    #[command(flatten)]
    pub tls: TlsArgs,

    /// What is in force where no DiscoveryPolicy says otherwise: the spec of one, as JSON. A section that it leaves out is
    /// the built-in one, which holds registered endpoints that fail all at once for some minutes, and is off otherwise.
    #[arg(long, env = "ROLLCALL_DEFAULT_POLICY", value_name = "JSON", default_value = BUILT_IN)]
    pub default_policy: DefaultPolicy,

    /// Which services have metrics of their own.
    #[command(flatten)]
    pub service_metrics: ServiceMetricsArgs,

    /// What is watched, and where.
    #[command(flatten)]
    pub sources: SourceArgs,
}

/// A block that the registrations of one namespace may claim.
#[derive(Clone, Debug)]
pub struct Allowed(Name, Cidr);

// === impl Args ===

impl Args {
    /// The address guard that the flags ask for.
    pub fn guard(&self) -> Guard {
        let reserved = self
            .reserved_cidr
            .iter()
            .map(|block| Reserved { block: *block, owner: "this cluster (--reserved-cidr)".into() });
        let allowed = self.allow_cidr.iter().map(|Allowed(namespace, block)| (Name::clone(namespace), *block));
        Guard::new(reserved.collect(), allowed.collect())
    }

    /// The discovery stream, as it is to be served, with who hears agents.
    pub fn stream(
        &self,
        agents: agents::Service,
        between: Option<BetweenReplicas>,
        federation: Option<&Federation>,
        readers: Option<Readers>,
    ) -> serve::start::Settings {
        serve::start::Settings {
            address: self.grpc_listen,
            streams_max: self.streams_max,
            connection_age: Some(self.connection_age).filter(|age| !age.is_zero()),
            cluster_domain: self.cluster_domain.clone(),
            entries: self.bootstraps.service_entries,
            across: federation.is_some_and(|federation| federation.imports.is_some()),
            agents,
            between,
            clusters: federation.map(Federation::between),
            readers,
        }
    }

    /// What clients of the stream are told of it.
    pub fn bootstrap(&self) -> api::bootstrap::Stream {
        let usual = || format!("rollcall-controller.{}.svc:{}", self.namespace, self.grpc_listen.port());
        let tls = self.tls.tls != Mode::Off;
        api::bootstrap::Stream { server: self.bootstraps.bootstrap_server.clone().unwrap_or_else(usual), tls }
    }

    /// The ConfigMaps with what pods need to read the stream.
    ///
    /// # Errors
    /// When it is not known whom they are to trust.
    pub fn bootstraps(&self) -> anyhow::Result<Settings> {
        let token = self.who_reads() != Who::Anyone;
        self.bootstraps.settings(&self.tls, &self.namespace, self.bootstrap(), token)
    }

    /// Who may read the stream.
    pub fn who_reads(&self) -> Who {
        let plain = self.tls.tls == Mode::Off;
        self.readers.unwrap_or(if plain { Who::Anyone } else { Who::Authenticated })
    }

    /// Who this cluster is to others, if there may be any.
    pub fn federation(&self, about: &About) -> Option<federation::Settings> {
        self.federation.settings(about, &self.namespace)
    }

    /// The files of the API port's own certificate, if it has one.
    pub fn api_files(&self) -> Option<Pair> {
        let (certificate, key) = self.api_cert_file.clone().zip(self.api_key_file.clone())?;
        Some(Pair { certificate, key })
    }

    /// What agents may take. Of writes half of what the write-back may: that is the leader's alone, and this each replica's.
    pub fn agents(&self) -> agents::Settings {
        agents::Settings { agents_max: self.agents_max, writes_per_second: (self.writes_per_second / 2).max(1) }
    }

    /// The API port, as it is to be served.
    pub fn api(&self) -> api::Settings {
        api::Settings { address: self.api_listen, connections_max: self.api_connections_max as usize }
    }

    /// What this replica is to the others, its stream being served by `acceptor`.
    pub fn member(&self, acceptor: Option<&Acceptor>) -> replicas::Settings {
        let ip = self.replica_ip.unwrap_or_else(|| self.grpc_listen.ip());
        let reachable = !ip.is_unspecified() && self.grpc_listen.port() != 0;
        replicas::Settings {
            identity: self.identity(),
            namespace: self.namespace.clone(),
            address: reachable.then(|| SocketAddr::new(ip, self.grpc_listen.port())),
            certificates: acceptor.map(Acceptor::certificates).cloned(),
        }
    }

    /// The bound of services that no DiscoveryPolicy is for.
    pub fn staleness(&self) -> Option<Staleness> {
        self.default_policy.policy().staleness
    }

    /// The name of this replica: as given, or the host's name, which is the pod's in a cluster, with the process id.
    pub fn identity(&self) -> String {
        let host = || std::fs::read_to_string("/proc/sys/kernel/hostname").map(|name| name.trim().to_owned());
        self.identity.clone().unwrap_or_else(|| format!("{}-{}", host().unwrap_or_default(), std::process::id()))
    }
}

// === impl Allowed ===

impl FromStr for Allowed {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (namespace, block) = text.split_once('=').ok_or("write it as NAMESPACE=CIDR, such as lab=10.244.9.0/24")?;
        let block = block.parse().map_err(|error| format!("{error}"))?;
        Ok(Self(namespace.into(), block))
    }
}

fn domain(text: &str) -> Result<String, String> {
    let domain = text.trim_end_matches('.').to_ascii_lowercase();
    let label = |label: &str| {
        (1..=63).contains(&label.len())
            && label.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
            && !label.starts_with('-')
            && !label.ends_with('-')
    };
    if domain.len() <= 200 && domain.split('.').all(label) {
        Ok(domain)
    } else {
        Err("give a DNS name of letters, digits and hyphens, such as cluster.local".to_owned())
    }
}

fn grace(text: &str) -> Result<Duration, String> {
    seconds(text, 120).ok_or_else(|| "give a whole number with unit, from 2m to 24h, such as 1h".to_owned())
}

fn connection_age(text: &str) -> Result<Duration, String> {
    let age = if text == "0s" { Some(Duration::ZERO) } else { seconds(text, 60) };
    age.ok_or_else(|| "give a whole number with unit, from 1m to 24h, such as 30m, or 0s for never".to_owned())
}

/// From so many seconds to a day.
fn seconds(text: &str, least: u64) -> Option<Duration> {
    let units = [("s", 1), ("m", 60), ("h", 3600)];
    let read = |(unit, seconds): (&str, u64)| text.strip_suffix(unit)?.parse::<u64>().ok()?.checked_mul(seconds);
    let seconds = units.into_iter().find_map(read).filter(|seconds| (least..=24 * 3600).contains(seconds));
    seconds.map(Duration::from_secs)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use clap::CommandFactory;

    use super::*;

    /// The words in code quotes in the first two columns of the table of this program's flags in docs/operations.md.
    fn documented() -> BTreeSet<String> {
        let file = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/operations.md");
        let text = std::fs::read_to_string(file).expect("docs/operations.md");
        let (_, section) = text.split_once("\n## Flags of rollcall-controller\n").expect("its section");
        let section = section.split("\n## ").next().expect("its section");
        let rows = section.lines().filter(|line| line.starts_with("| `--"));
        let columns = rows.flat_map(|row| row.split('|').skip(1).take(2));
        columns.flat_map(|column| column.split('`').skip(1).step_by(2)).map(str::to_owned).collect()
    }

    /// Each flag of `--help`, and its variable.
    fn offered() -> BTreeSet<String> {
        let command = Args::command();
        let flag = |arg: &clap::Arg| arg.get_long().map(|long| format!("--{long}"));
        let variable = |arg: &clap::Arg| arg.get_env().map(|name| name.to_string_lossy().into_owned());
        let shown = command.get_arguments().filter(|arg| !arg.is_hide_set());
        shown.flat_map(|arg| flag(arg).into_iter().chain(variable(arg))).collect()
    }

    #[test]
    fn docs_operations_md_names_each_flag_and_variable() {
        let (documented, offered) = (documented(), offered());
        let missing: Vec<_> = offered.difference(&documented).collect();
        assert!(missing.is_empty(), "not in the table of docs/operations.md: {missing:?}");
        let stale: Vec<_> = documented.difference(&offered).collect();
        assert!(stale.is_empty(), "docs/operations.md names what is no flag: {stale:?}");
        assert!(Args::command().get_arguments().all(|arg| arg.get_env().is_some()), "each has a variable");
    }

    #[test]
    fn a_flag_given_twice_counts_as_given_last_and_lists_add_up() {
        let args = Args::try_parse_from([
            "rollcall-controller",
            "--writes-per-second=100",
            "--tls=files",
            "--reserved-cidr=10.0.0.0/8",
            "--writes-per-second=50",
            "--tls=off",
            "--reserved-cidr=192.168.0.0/16,172.16.0.0/12",
            "--service-entries=false",
            "--service-entries",
        ]);
        let args = args.expect("accepted");
        assert_eq!((args.writes_per_second, args.tls.tls), (50, rollcall_authority::flags::Mode::Off));
        assert_eq!(args.reserved_cidr.len(), 3);
        assert!(args.bootstraps.service_entries, "a yes needs no word");
    }

    #[test]
    fn flags_name_what_is_wrong() {
        let said = |flags: &[&str]| {
            let all = ["rollcall-controller"].into_iter().chain(flags.iter().copied());
            Args::try_parse_from(all).expect_err("refused").to_string()
        };
        assert!(said(&["--reserved-cidr", "10.0.0.0"]).contains("write it as ADDRESS/PREFIX"));
        assert!(said(&["--allow-cidr", "10.0.0.0/8"]).contains("write it as NAMESPACE=CIDR"));
        assert!(said(&["--cluster-domain", "clu ster"]).contains("give a DNS name"));
        assert!(said(&["--log-format", "xml"]).contains("use text or json"));
    }
}
