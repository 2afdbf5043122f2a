//! Flags, each with its environment variable. Those of one subject are together: [`registry`], [`external`] here, others in their rooms.

pub mod external;
pub mod registry;

use std::net::{IpAddr, Ipv6Addr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

use clap::{Parser, Subcommand};
use rollcall_admin::logs::Format;
use rollcall_admin::{DebugAccess, Filter, traces};

use crate::clock;
use crate::diagnose;
use crate::forward::target::Target;
use crate::forward::{IN_FLIGHT_MAX, flags};
use crate::front::clients::ClientArgs;
use crate::front::tcp;
use crate::observe::flags::ObserveArgs;
use crate::zone::label::is_hostname_label;
use crate::zone::reading::pods::PodNames;
use external::ExternalArgs;
use registry::RegistryArgs;

/// Answers DNS for the services of a cluster from Rollcall's catalog.
// A flag that is given twice counts as given last: the chart's `dns.extraArgs` come behind its own flags.
#[derive(Clone, Debug, Parser)]
#[command(name = "rollcall-dns", version, args_override_self = true)]
pub struct Args {
    /// Catalog server, such as `https://rollcall-controller.rollcall-system:18000`. Repeat it for more: they are tried in
    /// this order. With `https` its certificate must be for that host; `http` is without TLS.
    #[arg(long = "catalog", env = "ROLLCALL_CATALOG", value_name = "URL", required = true, value_delimiter = ',')]
    #[arg(value_parser = catalog_url)]
    pub catalog: Vec<String>,

    /// With `https`: the authorities that may have signed the certificate of a catalog server, as PEM. May appear later,
    /// and is read again when it changes.
    #[arg(long = "catalog-ca-file", env = "ROLLCALL_CATALOG_CA_FILE", value_name = "PATH")]
    pub catalog_ca_file: Option<PathBuf>,

    /// With `https`: the name that the certificates must be for, if not the host of the URL: where that is an address
    /// which nobody knew when the certificates were made, such as a Service's.
    #[arg(long = "catalog-server-name", env = "ROLLCALL_CATALOG_SERVER_NAME", value_name = "NAME")]
    pub catalog_server_name: Option<String>,

    /// A bearer token that says who asks, such as that of a ServiceAccount with the audience `rollcall`. Read at each connect,
    /// and said over TLS alone.
    #[arg(long = "catalog-token-file", env = "ROLLCALL_CATALOG_TOKEN_FILE", value_name = "PATH")]
    pub catalog_token_file: Option<PathBuf>,

    /// The name of the node that this server is on. With it, and the right to `create` `vantages/dns` of this name, controllers have it
    /// probe endpoints before callers lose them, where a DiscoveryPolicy names the node. Without it nothing is probed.
    #[arg(long = "vantage-node", env = "ROLLCALL_VANTAGE_NODE", value_name = "NODE")]
    pub vantage_node: Option<String>,

    /// A client certificate that says who asks, as PEM, with --catalog-key-file. Read at each connect.
    #[arg(long = "catalog-cert-file", env = "ROLLCALL_CATALOG_CERT_FILE", value_name = "PATH")]
    #[arg(requires = "catalog_key_file")]
    pub catalog_cert_file: Option<PathBuf>,

    /// Its key, as PEM.
    #[arg(long = "catalog-key-file", env = "ROLLCALL_CATALOG_KEY_FILE", value_name = "PATH")]
    #[arg(requires = "catalog_cert_file")]
    pub catalog_key_file: Option<PathBuf>,

    /// Service of the catalog servers, as NAMESPACE/NAME. Its addresses and those of its pods, as the catalog says them, are
    /// tried after --catalog: those given there are gone when the Service was made anew.
    #[arg(long = "catalog-service", env = "ROLLCALL_CATALOG_SERVICE", value_name = "NAMESPACE/NAME")]
    #[arg(value_parser = service_key)]
    pub catalog_service: Option<String>,

    /// Address for DNS over UDP and TCP. Repeat it for more; `0.0.0.0` and `[::]` are given apart.
    #[arg(long = "listen", env = "ROLLCALL_LISTEN", value_name = "ADDR:PORT", default_value = "127.0.0.1:1053")]
    #[arg(value_delimiter = ',')]
    pub listen: Vec<SocketAddr>,

    /// Address to answer DNS over TLS on (RFC 7858), such as 0.0.0.0:853. Repeat it for more. Needs --tls-cert-file and
    /// --tls-key-file.
    #[arg(long = "tls-listen", env = "ROLLCALL_TLS_LISTEN", value_name = "ADDR:PORT", value_delimiter = ',')]
    #[arg(requires_all = ["tls_cert_file", "tls_key_file"])]
    pub tls_listen: Vec<SocketAddr>,

    /// Address to answer DNS over HTTPS on (RFC 8484, at /dns-query), such as 0.0.0.0:443, and what CoreDNS's plugin grpc asks.
    /// Repeat it for more. Needs --tls-cert-file and --tls-key-file.
    #[arg(long = "https-listen", env = "ROLLCALL_HTTPS_LISTEN", value_name = "ADDR:PORT", value_delimiter = ',')]
    #[arg(requires_all = ["tls_cert_file", "tls_key_file"])]
    pub https_listen: Vec<SocketAddr>,

    /// The certificate for --tls-listen and --https-listen with those that vouch for it, as PEM. May appear later, and is read again when it changes.
    #[arg(long, env = "ROLLCALL_TLS_CERT_FILE", value_name = "PATH")]
    pub tls_cert_file: Option<PathBuf>,

    /// Its key, as PEM.
    #[arg(long, env = "ROLLCALL_TLS_KEY_FILE", value_name = "PATH")]
    pub tls_key_file: Option<PathBuf>,

    /// Address under which clients reach this server: that of the zone's name server, ns.dns.DOMAIN. Repeat it for more.
    ///
    /// Default: those of --listen; where that is 0.0.0.0 or [::], the one that this machine has towards the catalog.
    #[arg(long = "advertise", env = "ROLLCALL_ADVERTISE", value_name = "ADDR", value_delimiter = ',')]
    pub advertise: Vec<IpAddr>,

    /// Address for /livez, /readyz and /metrics.
    #[arg(long, env = "ROLLCALL_HTTP_LISTEN", value_name = "ADDR:PORT", default_value = "127.0.0.1:9153")]
    pub http_listen: SocketAddr,

    /// What protects the pages below /debug/: token, a bearer token of somebody who may forward ports to the pods of the
    /// namespace; or loopback alone, for machines on which nothing forwards to this process.
    #[arg(long, env = "ROLLCALL_DEBUG_ACCESS", value_name = "HOW", default_value_t = DebugAccess::Token)]
    pub debug_access: DebugAccess,

    /// TTL of all answers, negative ones included, in seconds: 0 to 3600.
    #[arg(long, env = "ROLLCALL_TTL", value_name = "SECONDS", default_value_t = 5)]
    #[arg(value_parser = clap::value_parser!(u32).range(0..=3600))]
    pub ttl: u32,

    /// Whether pods have names by their address, such as 10-1-0-4.shop.pod.cluster.local: off; insecure, any address in any
    /// namespace, as in kubeadm's Corefile; or verified, those of endpoints of the namespace's Services.
    #[arg(long, env = "ROLLCALL_POD_NAMES", value_name = "MODE", default_value_t = PodNames::Off)]
    pub pod_names: PodNames,

    /// Names by the forms of a registry.
    #[command(flatten)]
    pub registry: RegistryArgs,

    /// Names of services that are reached from outside the cluster.
    #[command(flatten)]
    pub external: ExternalArgs,

    /// Server that is asked for names outside of the cluster: an address, or a resolv.conf that names some.
    ///
    /// Such as 192.0.2.53, [2001:db8::53]:5353 or /etc/resolv.conf, which is read again when it changes; over TLS
    /// tls://192.0.2.53#dns.example.com, with the name of its certificate. Repeat it for more: they are asked in this order.
    /// Without it such names are REFUSED.
    #[arg(
        long = "forward",
        env = "ROLLCALL_FORWARD",
        value_name = "ADDR[:PORT]|tls://ADDR[:PORT][#NAME]|PATH",
        value_delimiter = ','
    )]
    pub forward: Vec<Target>,

    /// File in which the catalog is kept, for a start while no controller can be reached; its folder must be writable.
    ///
    /// Such as /var/lib/rollcall/catalog. It is written when the catalog changed, at most each 10 s. Answers from it say that
    /// they may be stale. Without it a server that starts waits for a controller.
    #[arg(long, env = "ROLLCALL_SNAPSHOT", value_name = "PATH")]
    pub snapshot: Option<PathBuf>,

    /// What is kept of answers, and who is asked for some domains.
    #[command(flatten)]
    pub forwarding: flags::Flags,

    /// Answers in a second process, whose sockets this one holds: when it dies, another takes its place, and finds the queries
    /// that have come meanwhile. It knows the catalog at once with --snapshot.
    #[arg(long, env = "ROLLCALL_HOLD_SOCKETS")]
    pub hold_sockets: bool,

    /// TCP connections at once, for each address. For a further one that which idles longest is closed.
    #[arg(long, env = "ROLLCALL_TCP_CONNECTIONS", value_name = "NUMBER", default_value_t = tcp::CONNECTIONS_MAX as u32)]
    #[arg(value_parser = clap::value_parser!(u32).range(1..=65_536))]
    pub tcp_connections: u32,

    /// Queries at once that wait for the servers of --forward; fewer where this process may open few files. One client,
    /// and the names below one domain, have a part of them.
    #[arg(long, env = "ROLLCALL_FORWARD_IN_FLIGHT", value_name = "NUMBER", default_value_t = IN_FLIGHT_MAX as u32)]
    #[arg(value_parser = clap::value_parser!(u32).range(1..=65_536))]
    pub forward_in_flight: u32,

    /// How clients are treated.
    #[command(flatten)]
    pub clients: ClientArgs,

    /// What is written of queries.
    #[command(flatten)]
    pub observe: ObserveArgs,

    /// Threads that answer UDP, for each address. Default: one for each CPU.
    #[arg(long, env = "ROLLCALL_WORKERS", value_name = "NUMBER", value_parser = clap::value_parser!(u16).range(1..=256))]
    pub workers: Option<u16>,

    /// How log lines look: text or json.
    #[arg(long, env = "ROLLCALL_LOG_FORMAT", value_name = "FORMAT", default_value_t = Format::Text)]
    pub log_format: Format,

    /// What is logged: a level, or levels by target such as info,rollcall_dns::subscription=debug. RUST_LOG goes before
    /// it; PUT /debug/log-level changes it for a time.
    #[arg(long, env = "ROLLCALL_LOG_LEVEL", value_name = "FILTER", default_value = "info")]
    pub log_level: Filter,

    /// OTLP collector (gRPC) that traces are sent to, such as http://collector:4317. Default: no traces.
    #[arg(long, env = "ROLLCALL_OTLP_ENDPOINT", value_name = "URL", value_parser = traces::endpoint)]
    pub otlp_endpoint: Option<String>,

    /// How long to answer on after SIGTERM, not ready, so that resolvers turn to another server: 5s, 500ms or 1m.
    #[arg(long, env = "ROLLCALL_LAME_DUCK", value_name = "DURATION", default_value = "5s", value_parser = clock::duration)]
    pub lame_duck: Duration,
}

/// Answers DNS for the services of a cluster from Rollcall's catalog, or diagnoses a server that does.
#[derive(Clone, Debug, Parser)]
#[command(name = "rollcall-dns", version, subcommand_negates_reqs = true)]
#[command(override_usage = "rollcall-dns --catalog <URL> [OPTIONS]\n       rollcall-dns diagnose [OPTIONS]")]
pub struct CommandLine {
    /// Without a subcommand the program is the server.
    #[command(flatten)]
    pub serve: Args,
    /// Something else.
    #[command(subcommand)]
    pub command: Option<Command>,
}

/// What the program does besides being the server.
#[derive(Clone, Debug, Subcommand)]
pub enum Command {
    /// Asks a DNS server for names, and readiness pages, until all answer as they should: 0 if they do, else 1.
    #[command(alias = DIAGNOSE[1])]
    Diagnose(diagnose::Options),
}

/// How the subcommand is called: its name, and the one that it had before.
pub const DIAGNOSE: [&str; 2] = ["diagnose", "check"];

/// An IPv6 address may come without brackets: so Kubernetes gives it to pods, and in a pod's flags nobody can add them.
fn catalog_url(text: &str) -> Result<String, String> {
    let wrong = || "give a URL with scheme http or https, host and port, such as https://rollcall:18000".to_owned();
    let (scheme, rest) = text.split_once("://").ok_or_else(wrong)?;
    let (host, port) = rest.trim_end_matches('/').rsplit_once(':').ok_or_else(wrong)?;
    if !["http", "https"].contains(&scheme) || host.is_empty() || !port.parse::<u16>().is_ok_and(|port| port > 0) {
        return Err(wrong());
    }
    match host.parse::<Ipv6Addr>() {
        Ok(address) => Ok(format!("{scheme}://[{address}]:{port}")),
        Err(_) => Ok(text.to_owned()),
    }
}

fn service_key(text: &str) -> Result<String, String> {
    let labels = text.split_once('/').filter(|(a, b)| is_hostname_label(a) && is_hostname_label(b));
    labels
        .map(|_| text.to_owned())
        .ok_or_else(|| "give NAMESPACE/NAME, such as rollcall-system/rollcall-controller".to_owned())
}

#[cfg(test)]
mod tests {
    use hickory_proto::rr::Name;

    use super::*;
    use crate::answer::Transport;

    fn parse(args: &[&str]) -> Result<Args, String> {
        Args::try_parse_from([&["rollcall-dns"], args].concat()).map_err(|error| error.to_string())
    }

    #[test]
    fn the_server_needs_its_flags_and_a_diagnosis_none() {
        let line = |args: &[&str]| CommandLine::try_parse_from([&["rollcall-dns"], args].concat());
        assert!(line(&["--catalog", "http://a:1"]).unwrap().command.is_none());
        assert!(line(&[]).unwrap_err().to_string().contains("--catalog"));
        for word in DIAGNOSE {
            let Some(Command::Diagnose(options)) = line(&[word]).unwrap().command else { panic!("a diagnosis") };
            assert_eq!(
                (options.names, options.transport),
                (vec!["kubernetes.default.svc".to_owned()], Transport::ALL.to_vec())
            );
        }
        let error = line(&["diagnose", "--transport", "quic"]).unwrap_err().to_string();
        assert!(error.contains("use udp, tcp or udp,tcp"), "{error}");
    }

    #[test]
    fn the_help_of_the_server_names_the_diagnosis_and_that_of_the_diagnosis_its_flags() {
        use clap::CommandFactory;
        let mut line = CommandLine::command();
        let help = line.render_help().to_string();
        assert!(
            ["--catalog", "--forward", "diagnose", "Answers DNS for"].iter().all(|part| help.contains(part)),
            "{help}"
        );
        let help = line.find_subcommand_mut("diagnose").unwrap().render_help().to_string();
        assert!(["--server", "--ready", "--timeout"].iter().all(|part| help.contains(part)), "{help}");
        assert!(!help.contains("--catalog"), "{help}");
    }

    #[test]
    fn defaults_need_the_catalog_alone_and_lists_may_be_repeated() {
        let args = parse(&["--catalog", "http://a:1", "--catalog", "http://b:2"]).unwrap();
        assert_eq!(args.catalog, ["http://a:1", "http://b:2"]);
        let args_of_a_pod =
            parse(&["--catalog", "https://fd00::a:18000", "--catalog", "https://[fd00::b]:18000"]).unwrap();
        assert_eq!(args_of_a_pod.catalog, ["https://[fd00::a]:18000", "https://[fd00::b]:18000"]);
        assert_eq!((args.ttl, args.lame_duck, args.listen.len()), (5, Duration::from_secs(5), 1));
        assert_eq!(args.registry.registry_domain, [Name::from_ascii("rollcall.").unwrap()]);
        let args =
            parse(&["--catalog", "http://a:1", "--listen", "127.0.0.1:53,[::1]:53", "--lame-duck", "250ms"]).unwrap();
        assert_eq!((args.listen.len(), args.lame_duck), (2, Duration::from_millis(250)));
    }

    #[test]
    fn of_a_flag_given_twice_the_last_counts_and_lists_grow() {
        let chart = ["rollcall-dns", "--catalog=http://a:1", "--listen=127.0.0.1:53", "--ttl=5", "--lame-duck=5s"];
        let extra = ["--ttl=3", "--catalog=http://b:2", "--listen=[::1]:53", "--lame-duck=9s", "--log-format=json"];
        let both = || chart.iter().chain(&extra);
        let line = CommandLine::try_parse_from(both()).unwrap().serve;
        for args in [line, Args::try_parse_from(both()).unwrap()] {
            assert_eq!((args.ttl, args.lame_duck), (3, Duration::from_secs(9)));
            assert_eq!((args.catalog.len(), args.listen.len()), (2, 2));
        }
        let diagnose =
            ["rollcall-dns", "diagnose", "--server=10.0.0.1", "--name=a", "--server=[10.0.0.2]:53", "--name=b"];
        let Some(Command::Diagnose(options)) = CommandLine::try_parse_from(diagnose).unwrap().command else {
            panic!("a diagnosis")
        };
        assert_eq!((options.server, options.names.len()), (Some("10.0.0.2:53".parse().unwrap()), 2));
    }

    /// The text of a section of docs/operations.md.
    fn section(title: &str) -> String {
        let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/operations.md");
        let text = std::fs::read_to_string(&path).unwrap();
        let (_, rest) = text.split_once(&format!("## {title}\n")).unwrap_or_else(|| panic!("{title} is missing"));
        rest.split("\n## ").next().unwrap().to_owned()
    }

    fn flags(command: &clap::Command) -> Vec<(String, String)> {
        let arguments =
            command.get_arguments().filter(|argument| !["help", "version"].contains(&argument.get_id().as_str()));
        let flag = |argument: &clap::Arg| {
            let variable = argument.get_env().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
            Some((format!("`--{}`", argument.get_long()?), format!("`{variable}`")))
        };
        arguments.filter_map(flag).collect()
    }

    #[test]
    fn docs_operations_md_names_every_flag_with_its_variable_and_no_other() {
        use clap::CommandFactory;
        let table = section("Flags of rollcall-dns");
        let rows = table.lines().filter(|line| line.starts_with("| `--"));
        let mut documented: Vec<_> = rows
            .map(|row| {
                let mut cells = row.split('|').map(|cell| cell.trim().to_owned()).skip(1);
                (cells.next().unwrap(), cells.next().unwrap())
            })
            .collect();
        let mut command = CommandLine::command();
        command.build();
        let mut known = flags(&command);
        documented.sort();
        known.sort();
        assert_eq!(documented, known, "docs/operations.md (left) and --help (right) differ");
        let diagnose = section("rollcall-dns diagnose");
        for (flag, _) in flags(command.find_subcommand("diagnose").unwrap()) {
            assert!(
                diagnose.contains(flag.trim_matches('`')),
                "{flag} is missing in the section on rollcall-dns diagnose"
            );
        }
    }

    #[test]
    fn a_bad_flag_is_named_with_what_is_allowed() {
        let cases = [
            (&["--catalog", "a:1"][..], ["--catalog", "scheme http or https, host and port"]),
            (&["--catalog", "https://a"], ["--catalog", "host and port"]),
            (&["--catalog", "http://a:1", "--ttl", "9999"], ["--ttl", "0..=3600"]),
            (&["--catalog", "http://a:1", "--listen", "53"], ["--listen", "ADDR:PORT"]),
            (&["--catalog", "http://a:1", "--tcp-connections", "0"], ["--tcp-connections", "1..=65536"]),
            (&["--catalog", "http://a:1", "--catalog-service", "a"], ["--catalog-service", "give NAMESPACE/NAME"]),
            (&["--catalog", "http://a:1", "--pod-names", "on"], ["--pod-names", "use off, insecure or verified"]),
            (
                &["--catalog", "http://a:1", "--registry-domain", "a_b"],
                ["--registry-domain", "rollcall or consul, or none"],
            ),
            (&["--catalog", "http://a:1", "--external-domain", "."], ["--external-domain", "such as k8s.example.com"]),
            (&["--catalog", "http://a:1", "--external-service", "a"], ["--external-service", "give NAMESPACE/NAME"]),
            (&["--catalog", "http://a:1", "--allow", "10.0.0.1"], ["--allow", "ADDRESS/PREFIX"]),
            (&["--catalog", "http://a:1", "--answers-per-second", "0"], ["--answers-per-second", "1..=1000000"]),
            (&["--catalog", "http://a:1", "--nsid", ""], ["--nsid", "1 to 255 bytes"]),
            (
                &["--catalog", "http://a:1", "--registry-namespace", "A"],
                ["--registry-namespace", "name of a namespace"],
            ),
            (&["--catalog", "http://a:1", "--registry-datacenter", "a.b"], ["--registry-datacenter", "give one label"]),
            (&["--catalog", "http://a:1", "--log-format", "xml"], ["--log-format", "use text or json"]),
            (&["--catalog", "http://a:1", "--lame-duck", "1h"], ["--lame-duck", "up to 5m"]),
            (&["--catalog", "http://a:1", "--forward", "dns.example.com"], ["--forward", "give the IP address"]),
            (&["--catalog", "http://a:1", "--tls-listen", "127.0.0.1:853"], ["--tls-cert-file", "--tls-key-file"]),
            (&["--catalog", "http://a:1", "--stub-domain", "corp.example"], ["--stub-domain", "give a domain and"]),
            (&["--catalog", "http://a:1", "--cache-bytes=-1"], ["--cache-bytes", "-1"]),
            (&[], ["--catalog", "required"]),
        ];
        for (args, expected) in cases {
            let error = parse(args).unwrap_err();
            assert!(expected.iter().all(|part| error.contains(part)), "{args:?}: {error}");
        }
    }
}
