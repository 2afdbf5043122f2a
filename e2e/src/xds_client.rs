//! Programs that call services as gRPC clients and Envoys in many languages do: `e2e/clients` has them, and the contract
//! that they share.

mod family;

use std::fs::File;
use std::io::{BufRead as _, BufReader, Seek as _, SeekFrom};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use serde::Deserialize;
use serde_json::Value;

use crate::process::{Process, Program};
use crate::tools;

pub use family::{Family, Seat};

/// How long a caller pauses between two calls of one target, in milliseconds, where there are many of them.
pub const PAUSE_MS: u32 = 150;

/// gRFC A97: without it `call_creds` are passed over.
const CREDENTIALS: &str = "GRPC_EXPERIMENTAL_XDS_BOOTSTRAP_CALL_CREDS";

/// One call as its caller saw it.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct Call {
    /// The name that the target was given.
    pub target: String,
    /// When it began, in milliseconds of unix time.
    pub at: u64,
    /// How long it took, in milliseconds.
    pub took: u64,
    /// The server that answered.
    pub backend: Option<String>,
    /// What the caller was told instead.
    pub error: Option<String>,
}

/// A program that calls targets all the time. It ends when dropped.
#[derive(Debug)]
pub struct Caller {
    process: Process,
    /// How much of its output has been read.
    read: u64,
    calls: Vec<Call>,
}

/// A gRPC and HTTP server that answers with its name. On SIGTERM it ends gracefully.
#[derive(Debug)]
pub struct Server {
    /// Its process.
    pub process: Process,
    /// Where it listens.
    pub address: SocketAddr,
}

// === impl Caller ===

impl Caller {
    /// Starts a client of `family` as `name`, that calls these (name, target), with this pause in milliseconds, and gets what it
    /// needs from the catalog there.
    pub fn start(
        family: Family,
        name: &str,
        (catalog, seat): (SocketAddr, Seat<'_>),
        pause_ms: u32,
        targets: &[(String, String)],
        folder: &Path,
    ) -> Result<Self> {
        let program = by_file(family, name, &family.bootstrap(name, catalog, seat), folder)?;
        Self::run(program.env(CREDENTIALS, "true"), pause_ms, targets)
    }

    /// The same with this bootstrap.
    pub fn start_by(
        family: Family,
        name: &str,
        bootstrap: &Value,
        targets: &[(String, String)],
        folder: &Path,
    ) -> Result<Self> {
        Self::start_trying(family, name, bootstrap, CREDENTIALS, targets, folder)
    }

    /// The same with what is behind that variable as long as it is an experiment.
    pub fn start_trying(
        family: Family,
        name: &str,
        bootstrap: &Value,
        experiment: &str,
        targets: &[(String, String)],
        folder: &Path,
    ) -> Result<Self> {
        Self::run(by_file(family, name, bootstrap, folder)?.env(experiment, "true"), PAUSE_MS, targets)
    }

    /// The same with a bootstrap in a variable, as a pod has it that says itself where it is.
    pub fn start_told(
        family: Family,
        name: &str,
        bootstrap: &str,
        targets: &[(String, String)],
        folder: &Path,
    ) -> Result<Self> {
        let program = family.program(name, folder)?.env("GRPC_XDS_BOOTSTRAP_CONFIG", bootstrap);
        Self::run(program.env(CREDENTIALS, "true"), PAUSE_MS, targets)
    }

    /// Starts a caller of plain HTTP, with this pause in milliseconds: what stands behind an Envoy.
    pub fn start_http(name: &str, pause_ms: u32, targets: &[(String, String)], folder: &Path) -> Result<Self> {
        Self::run(Program::new(name, tools::xds_clients_go()?, folder).args(["http"]), pause_ms, targets)
    }

    fn run(program: Program, pause_ms: u32, targets: &[(String, String)]) -> Result<Self> {
        let words = targets.iter().map(|(name, target)| format!("{name}={target}"));
        let process = program.args([pause_ms.to_string()]).args(words).start()?;
        Ok(Self { process, read: 0, calls: Vec::new() })
    }

    /// All calls so far that have ended, in the order of their ends.
    pub fn calls(&mut self) -> Result<&[Call]> {
        self.process.check()?;
        let log = PathBuf::from(self.process.log());
        let mut file = File::open(&log).with_context(|| format!("opening {}", log.display()))?;
        file.seek(SeekFrom::Start(self.read))?;
        let mut reader = BufReader::new(file);
        let mut line = Vec::new();
        while reader.read_until(b'\n', &mut line)? > 0 && line.last() == Some(&b'\n') {
            self.read += line.len() as u64;
            // A library may say things of its own.
            self.calls.extend(serde_json::from_slice::<Call>(&line).ok());
            line.clear();
        }
        Ok(&self.calls)
    }
}

/// A client that reads this bootstrap from a file.
fn by_file(family: Family, name: &str, bootstrap: &Value, folder: &Path) -> Result<Program> {
    let path = folder.join(format!("{name}.bootstrap.json"));
    std::fs::write(&path, format!("{bootstrap:#}\n")).with_context(|| format!("writing {}", path.display()))?;
    Ok(family.program(name, folder)?.env("GRPC_XDS_BOOTSTRAP", path.display().to_string()))
}

// === impl Server ===

impl Server {
    /// Starts a server.
    pub fn start(name: &str, address: SocketAddr, folder: &Path) -> Result<Self> {
        let program = Program::new(name, tools::xds_clients_go()?, folder);
        let process = program.args(["serve", name, &address.to_string()]).start()?;
        Ok(Self { process, address })
    }
}
