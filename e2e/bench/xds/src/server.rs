//! A server as a process: how it is steered, and what it costs.

use std::io::{BufRead as _, BufReader, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::sync::mpsc;
use std::time::Duration;

use anyhow::{Context as _, Result, bail, ensure};

use crate::certificate;
use crate::load::{self, Way};

/// A server under measurement. It ends when dropped.
pub(crate) struct Server {
    child: Child,
    orders: Option<ChildStdin>,
    /// Lines of its output, read by a thread: a server that hangs must not hang the bench.
    answers: mpsc::Receiver<String>,
    pub(crate) way: Way,
}

/// Which one.
#[derive(Clone, Debug)]
pub(crate) struct Kind {
    /// As in the table.
    pub(crate) name: &'static str,
    pub(crate) program: PathBuf,
    pub(crate) argument: &'static str,
    /// It can be asked to speak TLS.
    pub(crate) has_tls: bool,
}

/// How long a server may take to start.
const START: Duration = Duration::from_secs(30);

// === impl Server ===

impl Server {
    /// Starts one. It says its address in its first line, and with TLS its certificate in the second.
    pub(crate) fn start(kind: &Kind, tls: bool) -> Result<Self> {
        let mut command = Command::new(&kind.program);
        command.arg(kind.argument).stdin(Stdio::piped()).stdout(Stdio::piped());
        if tls {
            command.arg("tls");
        }
        let mut child = command.spawn().with_context(|| format!("starting {}", kind.program.display()))?;
        let orders = child.stdin.take();
        let answers = lines(child.stdout.take().context("no output")?);
        let mut server = Self { child, orders, answers, way: Way { address: ([127, 0, 0, 1], 0).into(), tls: None } };
        let line = server.answers.recv_timeout(START).context("it says no address")?;
        server.way.address =
            line.trim().parse().with_context(|| format!("{} said {line:?}, not its address", kind.name))?;
        if tls {
            let line = server.answers.recv_timeout(START).context("it shows no certificate")?;
            server.way.tls = Some(certificate::trusting(&line)?);
        }
        Ok(server)
    }

    /// Gives an order and waits until it is done. Says what it came to.
    pub(crate) async fn order(&mut self, order: &str) -> Result<usize> {
        self.begin(order)?;
        self.ended().await
    }

    /// Gives an order.
    pub(crate) fn begin(&mut self, order: &str) -> Result<()> {
        writeln!(self.orders.as_mut().context("no orders any more")?, "{order}").context("giving an order")
    }

    /// Waits until the order is done, and lets the streams go on meanwhile. Whoever waits is bounded.
    pub(crate) async fn ended(&mut self) -> Result<usize> {
        let line = loop {
            match self.answers.try_recv() {
                Ok(line) => break line,
                Err(mpsc::TryRecvError::Empty) => load::pause(Duration::from_millis(1)).await,
                Err(mpsc::TryRecvError::Disconnected) => bail!("the server has ended: its own output says why"),
            }
        };
        let done = line.strip_prefix("ok ").and_then(|done| done.trim().parse().ok());
        ensure!(done.is_some(), "the server said {line:?}: its own output says why");
        Ok(done.unwrap_or(0))
    }

    /// CPU time so far, in seconds.
    pub(crate) fn cpu_s(&self) -> Result<f64> {
        const TICKS_PER_SECOND: f64 = 100.0; // USER_HZ, on Linux always
        let stat = std::fs::read_to_string(Path::new("/proc").join(self.child.id().to_string()).join("stat"))?;
        let after_name = stat.rsplit_once(')').context("no name in stat")?.1;
        let ticks: Vec<f64> =
            after_name.split_whitespace().skip(11).take(2).filter_map(|word| word.parse().ok()).collect();
        Ok(ticks.iter().sum::<f64>() / TICKS_PER_SECOND)
    }

    /// Resident memory, in bytes.
    pub(crate) fn memory(&self) -> Result<f64> {
        let status = std::fs::read_to_string(Path::new("/proc").join(self.child.id().to_string()).join("status"))?;
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).context("no VmRSS")?;
        let kib: f64 = line.trim().trim_end_matches(" kB").parse()?;
        Ok(kib * 1024.0)
    }
}

fn lines(output: ChildStdout) -> mpsc::Receiver<String> {
    let (said, heard) = mpsc::channel();
    std::thread::spawn(move || {
        for line in BufReader::new(output).lines().map_while(Result::ok) {
            if said.send(line).is_err() {
                break;
            }
        }
    });
    heard
}

impl Drop for Server {
    fn drop(&mut self) {
        self.orders = None;
        // It may have ended with its input.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
