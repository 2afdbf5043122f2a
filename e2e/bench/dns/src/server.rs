//! The servers, each on the first core.

use std::fs;
use std::net::SocketAddr;
use std::path::Path;

use anyhow::{Context, Result};
use rollcall_e2e::process::{Process, Program};
use rollcall_e2e::rollcall::Binaries;
use rollcall_e2e::{net, tools};

use crate::load::Load;

/// Where servers run.
const FIRST_CORE: usize = 0;

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
    pub(crate) fn start(
        kind: Kind,
        binaries: &Binaries,
        kubeconfig: &Path,
        catalog: SocketAddr,
        load: &Load,
        folder: &Path,
    ) -> Result<Self> {
        let listen = net::free_loopback()?;
        let (port, text) = (listen.port().to_string(), |path: &Path| path.display().to_string());
        let words: Vec<String> = match kind {
            Kind::Rollcall => {
                let (catalog, listen) = (format!("http://{catalog}"), listen.to_string());
                let http = net::free_loopback()?.to_string();
                let program = text(&binaries.dns);
                [&*program, "--catalog", &*catalog, "--listen", &*listen, "--http-listen", &*http, "--workers", "1"]
                    .map(str::to_owned)
                    .into()
            }
            Kind::CoreDns => {
                let file = folder.join("Corefile");
                fs::write(&file, corefile(listen, kubeconfig)?).context("writing the Corefile")?;
                vec![text(&tools::coredns()?), "-conf".into(), text(&file), "-dns.port".into(), port]
            }
            Kind::Knot => {
                let (file, state) = (folder.join("knot.conf"), folder.join("knot"));
                fs::create_dir_all(&state)?;
                fs::write(&file, knot_conf(listen, &state, &load.zone)).context("writing knot.conf")?;
                vec![text(&tools::knotd()?), "--config".into(), text(&file)]
            }
        };
        let pinned = ["--cpu-list".to_owned(), FIRST_CORE.to_string()].into_iter().chain(words);
        let process = Program::new(kind.name(), "taskset", folder).args(pinned).start()?;
        Ok(Self { process, listen })
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

/// The stock one, at addresses of its own and with an administrator's rights. Nothing is forwarded, and nothing else asked.
fn corefile(listen: SocketAddr, kubeconfig: &Path) -> Result<String> {
    let health = net::free_loopback()?;
    let (ready, metrics) = (net::free_loopback()?, net::free_loopback()?);
    Ok(format!(
        ".:{} {{
    bind {}
    errors
    health {health} {{
        lameduck 5s
    }}
    ready {ready}
    kubernetes cluster.local in-addr.arpa ip6.arpa {{
        kubeconfig {}
        pods insecure
        fallthrough in-addr.arpa ip6.arpa
        ttl 30
    }}
    prometheus {metrics}
    cache 30
    loop
    loadbalance
}}
",
        listen.port(),
        listen.ip(),
        kubeconfig.display(),
    ))
}

fn knot_conf(listen: SocketAddr, state: &Path, zone: &Path) -> String {
    let state = state.display();
    format!(
        "server:
    listen: {}@{}
    rundir: {state}
    udp-workers: 1
    tcp-workers: 1
    background-workers: 1
database:
    storage: {state}
control:
    listen: {state}/knot.sock
zone:
  - domain: cluster.local
    file: {}
",
        listen.ip(),
        listen.port(),
        zone.display()
    )
}
