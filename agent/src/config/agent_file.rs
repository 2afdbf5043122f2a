//! The agent's own settings.

use std::net::{IpAddr, SocketAddr};
use std::path::{Path, PathBuf};
use std::time::Duration;

use rollcall_admin::Filter;
use rollcall_admin::logs::Format;
use rollcall_xds::tls::Own;

use super::local::Scripts;
use super::reader::Table;
use super::service::{Defaults, good_addresses, label};

/// The agent's own settings.
#[derive(Clone, Debug, PartialEq)]
pub struct Agent {
    /// The name of the machine, a DNS label: the names of its endpoints are made of it.
    pub machine: String,
    /// Where controllers are: tried in turn.
    pub controllers: Vec<String>,
    /// The authorities that may have signed the controllers' certificates.
    pub ca_file: Option<PathBuf>,
    /// The name that those certificates must be for, if not the host of the URL.
    pub server_name: Option<String>,
    /// The token of a ServiceAccount, read at each connect.
    pub token_file: Option<PathBuf>,
    /// The certificate that is shown to controllers and its key, read at each connect.
    pub own: Option<Own>,
    /// A directory of service files, or one file.
    pub services: Option<PathBuf>,
    /// Where `status` and `maintenance` reach the agent.
    pub socket: PathBuf,
    /// What outlives a restart.
    pub state_file: PathBuf,
    /// Whether policies may have it probe what replicas of the controller doubt.
    pub vantage: bool,
    /// Whether scripts are run.
    pub scripts: Scripts,
    /// DNS for this machine.
    pub dns: Option<Dns>,
    /// Where metrics are read.
    pub metrics: Option<SocketAddr>,
    /// What is logged.
    pub log_level: String,
    /// How lines of the log look.
    pub log_format: Format,
}

/// DNS for this machine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Dns {
    /// Where it is answered.
    pub listen: Vec<SocketAddr>,
    /// Who is asked for other names: addresses, or a resolv.conf.
    pub forward: Vec<String>,
    /// Of all answers, in seconds.
    pub ttl: u32,
    /// Where what is known is kept over a restart; `None`: nowhere, which is written `off`.
    pub snapshot: Option<PathBuf>,
}

const SOCKET: &str = "/run/rollcall/agent.sock";
const STATE: &str = "/var/lib/rollcall/agent.json";
/// What DNS knows, beside the state.
const SNAPSHOT: &str = "catalog";
const DRAIN_MAX: Duration = Duration::from_secs(600);

// === impl Agent ===

impl Default for Agent {
    fn default() -> Self {
        Self {
            machine: String::new(),
            controllers: Vec::new(),
            ca_file: None,
            server_name: None,
            token_file: None,
            own: None,
            services: None,
            socket: SOCKET.into(),
            state_file: STATE.into(),
            vantage: false,
            scripts: Scripts::default(),
            dns: None,
            metrics: None,
            log_level: "info".to_owned(),
            log_format: Format::Text,
        }
    }
}

/// Reads them, and what services have that give nothing else. `None` when the agent cannot start like this.
pub(super) fn read(table: &mut Table<'_>, path: &Path) -> (Option<Agent>, Defaults) {
    let folder = path.parent().unwrap_or_else(|| Path::new("."));
    let file = |table: &mut Table<'_>, key| table.text(key).map(|text| folder.join(text));
    let machine = machine(table);
    let controllers = controllers(table);
    let scripts = scripts(table);
    let defaults = Defaults {
        namespace: table.parsed("namespace", label),
        addresses: addresses(table),
        zone: table.text("zone"),
        drain: table.duration("drain", Duration::ZERO, DRAIN_MAX),
        scripts,
    };
    let default = Agent::default();
    let line = table.line_of("ca_file");
    let ca_file = file(table, "ca_file");
    if ca_file.is_none() && controllers.iter().flatten().any(|url| url.starts_with("https:")) {
        table.wrong::<()>(line.max(1), "ca_file", "is missing; give the ca.crt of the controller's authority: kubectl get configmap rollcall-ca -n rollcall-system -o jsonpath='{.data.ca\\.crt}'");
        return (None, defaults);
    }
    let own = own(table, folder);
    let state_file = file(table, "state_file").unwrap_or(default.state_file);
    let rest = Agent {
        ca_file,
        server_name: table.text("server_name"),
        token_file: file(table, "token_file"),
        own,
        services: file(table, "services"),
        socket: file(table, "socket").unwrap_or(default.socket),
        vantage: table.flag("vantage").unwrap_or_default(),
        scripts,
        dns: dns(table, folder, &state_file),
        state_file,
        metrics: table.parsed("metrics", socket),
        log_level: table.parsed("log_level", filter).unwrap_or(default.log_level),
        log_format: table
            .parsed("log_format", |text| text.parse::<Format>().map_err(|error| error.to_string()))
            .unwrap_or_default(),
        ..Agent::default()
    };
    let both = machine.zip(controllers);
    (both.map(|(machine, controllers)| Agent { machine, controllers, ..rest }), defaults)
}

/// Both files or none.
fn own(table: &mut Table<'_>, folder: &Path) -> Option<Own> {
    let lines = [table.line_of("cert_file"), table.line_of("key_file")];
    let files = ["cert_file", "key_file"].map(|key| table.text(key).map(|text| folder.join(text)));
    match files {
        [Some(certificate), Some(key)] => Some(Own { certificate, key }),
        [None, None] => None,
        [Some(_), None] => {
            table.wrong(lines[0], "cert_file", "goes with key_file, which is missing; give the key of this certificate")
        }
        [None, Some(_)] => {
            table.wrong(lines[1], "key_file", "goes with cert_file, which is missing; give the certificate of this key")
        }
    }
}

/// The host's name, up to its first dot, unless another is given.
fn machine(table: &mut Table<'_>) -> Option<String> {
    let line = table.line_of("machine");
    if line > 0 && line != table.line() {
        return table.parsed("machine", label);
    }
    let _ = table.text("machine"); // it is known
    let host = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default().trim().to_ascii_lowercase();
    let first = host.split('.').next().unwrap_or_default();
    label(first).ok().or_else(|| {
        table.missing("machine", "give the machine a name, such as vm-17: the host's is none that Kubernetes takes")
    })
}

fn controllers(table: &mut Table<'_>) -> Option<Vec<String>> {
    let line = table.line_of("controllers");
    let Some(urls) = table.texts("controllers").filter(|urls| !urls.is_empty()) else {
        if line == table.line() {
            table.missing::<()>(
                "controllers",
                "give where controllers are, such as [\"https://rollcall.example.net:18000\"]",
            );
        }
        return None;
    };
    let is_url = |url: &&String| {
        let rest = url.strip_prefix("https://").or_else(|| url.strip_prefix("http://"));
        rest.is_some_and(|rest| {
            rest.rsplit_once(':').is_some_and(|(host, port)| !host.is_empty() && port.parse::<u16>().is_ok())
        })
    };
    match urls.iter().find(|url| !is_url(url)) {
        Some(url) => table.wrong(line, "controllers", &format!("{url:?}: give https:// (or http:// without TLS), a host and a port, such as https://rollcall.example.net:18000")),
        None => Some(urls),
    }
}

fn addresses(table: &mut Table<'_>) -> Vec<String> {
    let line = table.line_of("addresses");
    let addresses = table.texts("addresses").unwrap_or_default();
    if addresses.is_empty() {
        return addresses;
    }
    match good_addresses(&addresses) {
        Ok(()) => addresses,
        Err(words) => table.wrong(line, "addresses", &words).unwrap_or_default(),
    }
}

fn scripts(table: &mut Table<'_>) -> Scripts {
    let is_root = rustix::process::geteuid().is_root();
    let Some(mut scripts) = table.table("scripts") else { return Scripts { is_root, ..Scripts::default() } };
    let allow = scripts.flag("allow").unwrap_or_default();
    let allow_root = scripts.flag("allow_root").unwrap_or_default();
    scripts.finish();
    Scripts { allow, allow_root, is_root }
}

/// Beside the state unless another place is given: there the agent may write.
fn dns(table: &mut Table<'_>, folder: &Path, state_file: &Path) -> Option<Dns> {
    let mut dns = table.table("dns")?;
    let line = dns.line_of("listen");
    let listen = dns.texts("listen").unwrap_or_else(|| vec!["127.0.0.1:53".to_owned()]);
    let listen: Result<Vec<_>, _> = listen.iter().map(|text| socket(text)).collect();
    let listen = listen.map_err(|words| dns.wrong::<()>(line, "listen", &words)).ok();
    let line = dns.line_of("forward");
    let forward = dns.texts("forward").unwrap_or_default();
    let is_target =
        |text: &&String| text.starts_with('/') || text.parse::<IpAddr>().is_ok() || text.parse::<SocketAddr>().is_ok();
    if let Some(text) = forward.iter().find(|text| !is_target(text)) {
        dns.wrong::<()>(
            line,
            "forward",
            &format!("{text:?}: give an address such as 192.0.2.53, or the path of a resolv.conf"),
        );
    }
    let ttl = dns.number("ttl", 0..=3600).unwrap_or(5);
    let snapshot = match dns.text("snapshot") {
        None => Some(state_file.with_file_name(SNAPSHOT)),
        Some(text) if text == "off" => None,
        Some(text) => Some(folder.join(text)),
    };
    dns.finish();
    listen.map(|listen| Dns { listen, forward, ttl, snapshot })
}

fn socket(text: &str) -> Result<SocketAddr, String> {
    text.parse().map_err(|_| "give an address with its port, such as 127.0.0.1:9163".to_owned())
}

fn filter(text: &str) -> Result<String, String> {
    text.parse::<Filter>().map(|_| text.to_owned()).map_err(|error| error.to_string())
}
