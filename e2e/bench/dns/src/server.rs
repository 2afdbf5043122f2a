//! The servers, each on the first core, and the one that is asked for names of others.

use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use rollcall_e2e::process::{Process, Program};
use rollcall_e2e::rollcall::Binaries;
use rollcall_e2e::{net, tools};

use crate::load::{Load, OUTSIDE};

/// Where servers run.
const FIRST_CORE: usize = 0;

/// What servers stand on.
pub(crate) struct Ground<'a> {
    pub(crate) binaries: &'a Binaries,
    /// Of the control plane.
    pub(crate) kubeconfig: &'a Path,
    /// Rollcall's controller.
    pub(crate) catalog: SocketAddr,
    /// Who is asked for names of others.
    pub(crate) upstream: SocketAddr,
    pub(crate) load: &'a Load,
    /// For files, among them the certificate and its key.
    pub(crate) folder: &'a Path,
}

const CERTIFICATE: &str = "certificate.pem";
const KEY: &str = "key.pem";

/// Whose server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Rollcall,
    CoreDns,
    Knot,
}

/// One that runs.
pub(crate) struct Server {
    pub(crate) process: Process,
    pub(crate) listen: SocketAddr,
    /// At the same address; of Knot nobody listens there.
    pub(crate) tls_port: u16,
}

// === impl Kind ===

impl Kind {
    pub(crate) const ALL: [Self; 3] = [Self::Rollcall, Self::CoreDns, Self::Knot];

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Rollcall => "Rollcall",
            Self::CoreDns => "CoreDNS",
            Self::Knot => "Knot",
        }
    }
}

// === impl Server ===

impl Server {
    /// Starts one; it need not answer yet.
    pub(crate) fn start(kind: Kind, ground: &Ground<'_>) -> Result<Self> {
        let (listen, tls_port) = (net::free_loopback()?, net::free_port()?);
        let words = match kind {
            Kind::Rollcall => ground.rollcall(listen, tls_port)?,
            Kind::CoreDns => {
                let file = ground.folder.join("Corefile");
                fs::write(&file, ground.corefile(listen, tls_port)?).context("writing the Corefile")?;
                vec![text(&tools::coredns()?), "-conf".into(), text(&file)]
            }
            Kind::Knot => {
                let conf = knot_conf(listen, "cluster.local", &ground.load.zone, &ground.folder.join("knot"))?;
                vec![text(&tools::knotd()?), "--config".into(), text(&conf)]
            }
        };
        let pinned = ["--cpu-list".to_owned(), FIRST_CORE.to_string()].into_iter().chain(words);
        let process = Program::new(kind.name(), "taskset", ground.folder).args(pinned).start()?;
        Ok(Self { process, listen, tls_port })
    }

    /// CPU time of all of its threads so far, in seconds: `/proc/PID/task/*/schedstat`.
    pub(crate) fn cpu_s(&self) -> Result<f64> {
        let mut nanoseconds = 0_u64;
        for task in fs::read_dir(format!("/proc/{}/task", self.pid()?)).context("reading /proc")? {
            // A thread may end in between.
            let Ok(text) = fs::read_to_string(task?.path().join("schedstat")) else { continue };
            nanoseconds += text.split(' ').next().and_then(|word| word.parse::<u64>().ok()).unwrap_or_default();
        }
        Ok(nanoseconds as f64 / 1e9)
    }

    /// `VmRSS` of `/proc/PID/status`.
    pub(crate) fn resident_mb(&self) -> Result<f64> {
        let status = fs::read_to_string(format!("/proc/{}/status", self.pid()?)).context("reading /proc")?;
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).context("no VmRSS in /proc")?;
        let kib: f64 = line.trim().trim_end_matches(" kB").parse().context("VmRSS is no number")?;
        Ok(kib * 1024.0 / 1e6)
    }

    /// taskset becomes the server.
    fn pid(&self) -> Result<u32> {
        self.process.pid().context("the server does not run")
    }
}

/// Another Knot, which has the names of others.
pub(crate) fn start_upstream(load: &Load, folder: &Path) -> Result<(Process, SocketAddr)> {
    let listen = net::free_loopback()?;
    let conf = knot_conf(listen, OUTSIDE, &load.outside, &folder.join("upstream"))?;
    let program = Program::new("upstream", text(&tools::knotd()?), folder);
    Ok((program.args(["--config".to_owned(), text(&conf)]).start()?, listen))
}

/// A certificate that nobody vouches for; dnsperf takes any.
pub(crate) fn write_certificate(folder: &Path) -> Result<()> {
    let rcgen::CertifiedKey { cert, signing_key } = rcgen::generate_simple_self_signed(vec!["localhost".to_owned()])?;
    fs::write(folder.join(CERTIFICATE), cert.pem()).context("writing the certificate")?;
    fs::write(folder.join(KEY), signing_key.serialize_pem()).context("writing its key")
}

fn text(path: &Path) -> String {
    path.display().to_string()
}

// === impl Ground ===

impl Ground<'_> {
    fn rollcall(&self, listen: SocketAddr, tls_port: u16) -> Result<Vec<String>> {
        let flag = |name: &str, value: String| format!("--{name}={value}");
        Ok(vec![
            text(&self.binaries.dns),
            flag("catalog", format!("http://{}", self.catalog)),
            flag("listen", listen.to_string()),
            flag("tls-listen", format!("{}:{tls_port}", listen.ip())),
            flag("tls-cert-file", text(&self.folder.join(CERTIFICATE))),
            flag("tls-key-file", text(&self.folder.join(KEY))),
            flag("forward", self.upstream.to_string()),
            flag("http-listen", net::free_loopback()?.to_string()),
            flag("workers", "1".to_owned()),
        ])
    }

    /// The stock one, at addresses of its own and with an administrator's rights; nothing else is asked.
    fn corefile(&self, listen: SocketAddr, tls_port: u16) -> Result<String> {
        let (health, ready, metrics) = (net::free_loopback()?, net::free_loopback()?, net::free_loopback()?);
        let (kubeconfig, upstream, address) = (self.kubeconfig.display(), self.upstream, listen.ip());
        let names = format!(
            "    bind {address}
    errors
    kubernetes cluster.local in-addr.arpa ip6.arpa {{
        kubeconfig {kubeconfig}
        pods insecure
        fallthrough in-addr.arpa ip6.arpa
        ttl 30
    }}
    forward . {upstream}
    cache 30
    loadbalance
"
        );
        Ok(format!(
            ".:{} {{
{names}    health {health} {{
        lameduck 5s
    }}
    ready {ready}
    prometheus {metrics}
    loop
}}
tls://.:{tls_port} {{
{names}    tls {} {}
}}
",
            listen.port(),
            self.folder.join(CERTIFICATE).display(),
            self.folder.join(KEY).display(),
        ))
    }
}

/// A configuration with one zone, and a folder for what it keeps: the file's path.
fn knot_conf(listen: SocketAddr, domain: &str, zone: &Path, state: &Path) -> Result<PathBuf> {
    fs::create_dir_all(state).with_context(|| format!("making {}", state.display()))?;
    let (path, shown) = (state.join("knot.conf"), state.display());
    let conf = format!(
        "server:
    listen: {}@{}
    rundir: {shown}
    udp-workers: 1
    tcp-workers: 1
    background-workers: 1
database:
    storage: {shown}
control:
    listen: {shown}/knot.sock
zone:
  - domain: {domain}
    file: {}
",
        listen.ip(),
        listen.port(),
        zone.display()
    );
    fs::write(&path, conf).context("writing knot.conf")?;
    Ok(path)
}
