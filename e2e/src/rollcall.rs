//! Rollcall itself: controllers and DNS servers as processes, each with the rules of its ServiceAccount.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result, bail};

use crate::cargo::cargo;
use crate::install::{Installation, NAMESPACE};
use crate::process::{Process, Program};
use crate::{http, layout, net};

/// The domain of the test cluster's names.
pub const CLUSTER_DOMAIN: &str = "cluster.local";

/// How long a program may take until `/readyz` says yes.
const READY_BOUND: Duration = Duration::from_secs(180);

/// The binaries.
#[derive(Clone, Debug)]
pub struct Binaries {
    /// `rollcall-controller`.
    pub controller: PathBuf,
    /// `rollcall-dns`.
    pub dns: PathBuf,
    /// `rollcall-agent`.
    pub agent: PathBuf,
    /// `kubectl-rollcall`.
    pub cli: PathBuf,
}

/// How the binaries are compiled.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Profile {
    /// Quick to build.
    Dev,
    /// Quick to run.
    Release,
}

/// A controller replica.
#[derive(Debug)]
pub struct Controller {
    /// Its process.
    pub process: Process,
    /// Where it serves the stream.
    pub grpc: SocketAddr,
    /// Where it serves its admin pages.
    pub http: SocketAddr,
    /// Where it answers questions and takes beats.
    pub api: SocketAddr,
}

/// A DNS server.
#[derive(Debug)]
pub struct Dns {
    /// Its process.
    pub process: Process,
    /// Where it answers, UDP and TCP.
    pub listen: SocketAddr,
    /// Where it serves its admin pages.
    pub http: SocketAddr,
}

/// Flags beside those that every run has.
#[derive(Clone, Copy, Debug, Default)]
pub struct Flags<'a> {
    /// Of controllers.
    pub controller: &'a [&'a str],
    /// Of DNS servers.
    pub dns: &'a [&'a str],
}

/// The arguments of cargo that select them. Out of the whole workspace, and with its examples, of which there are none: cargo
/// chooses the features of the unit tests then, which have built nearly all that they need.
pub const PROGRAMS: [&str; 10] = [
    "--workspace",
    "--examples",
    "--bin",
    "rollcall-controller",
    "--bin",
    "rollcall-dns",
    "--bin",
    "rollcall-agent",
    "--bin",
    "kubectl-rollcall",
];

/// Controllers and DNS servers on one cluster.
#[derive(Debug)]
pub struct Rollcall {
    /// The replicas, `controller-0` first.
    pub controllers: Vec<Controller>,
    /// The DNS servers, the first called `dns`.
    pub dns: Vec<Dns>,
}

// === impl Binaries ===

impl Binaries {
    /// Builds them with cargo, which is quick when nothing has changed.
    ///
    /// `ROLLCALL_E2E_BINARIES` may name a folder that has them already.
    pub fn build(profile: Profile) -> Result<Self> {
        if let Some(folder) = std::env::var_os("ROLLCALL_E2E_BINARIES") {
            return Ok(Self::of(Path::new(&folder)));
        }
        let mut build = cargo();
        build.args(["build", "--quiet"]).args(PROGRAMS);
        if profile == Profile::Release {
            build.arg("--release");
        }
        let output = build.current_dir(layout::root()).output().context("starting cargo")?;
        if !output.status.success() {
            bail!("Rollcall does not build:\n{}", String::from_utf8_lossy(&output.stderr).trim());
        }
        Ok(Self::of(&layout::cargo_target().join(profile.folder())))
    }

    fn of(folder: &Path) -> Self {
        Self {
            controller: folder.join("rollcall-controller"),
            dns: folder.join("rollcall-dns"),
            agent: folder.join("rollcall-agent"),
            cli: folder.join("kubectl-rollcall"),
        }
    }
}

// === impl Profile ===

impl Profile {
    fn folder(self) -> &'static str {
        match self {
            Self::Dev => "debug",
            Self::Release => "release",
        }
    }
}

// === impl Rollcall ===

impl Rollcall {
    /// Starts replicas of the controller and one DNS server, and waits until all are ready. Logs go to `folder`.
    pub fn start(binaries: &Binaries, installation: &Installation, replicas: usize, folder: &Path) -> Result<Self> {
        Self::start_with(binaries, installation, replicas, folder, Flags::default())
    }

    /// The same with more flags.
    pub fn start_with(
        binaries: &Binaries,
        installation: &Installation,
        replicas: usize,
        folder: &Path,
        flags: Flags<'_>,
    ) -> Result<Self> {
        let start =
            |index| Controller::start(binaries, installation, &format!("controller-{index}"), folder, flags.controller);
        let mut controllers = (0..replicas).map(start).collect::<Result<Vec<_>>>()?;
        let catalogs: Vec<SocketAddr> = controllers.iter().map(|controller| controller.grpc).collect();
        let mut dns = Dns::start(binaries, installation, "dns", &catalogs, folder, flags.dns)?;
        for controller in &mut controllers {
            controller.wait_ready()?;
        }
        dns.wait_ready()?;
        Ok(Self { controllers, dns: vec![dns] })
    }

    /// Where the stream is served.
    pub fn catalogs(&self) -> Vec<SocketAddr> {
        self.controllers.iter().map(|controller| controller.grpc).collect()
    }

    /// All processes, DNS servers last.
    pub fn processes(&mut self) -> impl Iterator<Item = &mut Process> {
        let controllers = self.controllers.iter_mut().map(|controller| &mut controller.process);
        controllers.chain(self.dns.iter_mut().map(|dns| &mut dns.process))
    }

    /// Stops everything, all at once and gracefully. Returns the names of those that had to be killed.
    pub fn stop(&mut self) -> Result<Vec<String>> {
        self.processes().for_each(|process| process.terminate());
        let mut killed = Vec::new();
        for process in self.processes() {
            if !process.join(crate::process::STOP_BOUND)? {
                killed.push(process.name().to_owned());
            }
        }
        Ok(killed)
    }
}

// === impl Controller ===

impl Controller {
    /// Starts a replica; it need not be ready on return.
    pub fn start(
        binaries: &Binaries,
        installation: &Installation,
        identity: &str,
        folder: &Path,
        more: &[&str],
    ) -> Result<Self> {
        let (grpc, http, api) = (net::free_loopback()?, net::free_loopback()?, net::free_loopback()?);
        let program = Program::new(identity, &binaries.controller, folder)
            .args(["--grpc-listen", &grpc.to_string(), "--http-listen", &http.to_string()])
            .args(["--api-listen", &api.to_string()])
            .args(["--cluster-domain", CLUSTER_DOMAIN, "--identity", identity, "--namespace", NAMESPACE])
            .args(["--log-format", "text", "--debug-access", "loopback"])
            .args(more.iter().copied())
            .env("KUBECONFIG", installation.controller.display().to_string());
        Ok(Self { process: program.start()?, grpc, http, api })
    }

    /// Waits until it is ready.
    pub fn wait_ready(&mut self) -> Result<()> {
        wait_ready(&mut self.process, self.http)
    }

    /// Starts it again after a stop, at the same addresses; it need not be ready on return.
    pub fn start_again(&mut self) -> Result<()> {
        self.process.start()
    }
}

// === impl Dns ===

impl Dns {
    /// Starts a DNS server for the catalogs of these controllers; it need not be ready on return.
    pub fn start(
        binaries: &Binaries,
        installation: &Installation,
        name: &str,
        catalogs: &[SocketAddr],
        folder: &Path,
        more: &[&str],
    ) -> Result<Self> {
        let (listen, http) = (net::free_loopback()?, net::free_loopback()?);
        let scheme = if more.contains(&"--catalog-ca-file") { "https" } else { "http" };
        let program = Program::new(name, &binaries.dns, folder)
            .args(catalogs.iter().flat_map(|catalog| ["--catalog".to_owned(), format!("{scheme}://{catalog}")]))
            .args(["--listen", &listen.to_string(), "--http-listen", &http.to_string(), "--debug-access", "loopback"])
            .args(more.iter().copied())
            .env("KUBECONFIG", installation.dns.display().to_string());
        Ok(Self { process: program.start()?, listen, http })
    }

    /// Waits until it is ready.
    pub fn wait_ready(&mut self) -> Result<()> {
        wait_ready(&mut self.process, self.http)
    }

    /// Starts it again after a stop, at the same addresses; it need not be ready on return.
    pub fn start_again(&mut self) -> Result<()> {
        self.process.start()
    }
}

fn wait_ready(process: &mut Process, http: SocketAddr) -> Result<()> {
    process.wait_until("/readyz to answer 200", READY_BOUND, || {
        let answer = http::get(http, "/readyz")?;
        if answer.status == 200 {
            return Ok(Some(()));
        }
        bail!("{}: {}", answer.status, answer.body.trim())
    })
}
