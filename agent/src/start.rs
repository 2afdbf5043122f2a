//! Start-up, and the agent's life: files that change, signals, and the way out.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use anyhow::{Context, bail};
use rollcall_admin::{Filter, Readiness, Routes, Server, Telemetry};
use rollcall_xds::proto::rollcall::v1::answer::State as Answered;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::watch;
use tokio::time::{MissedTickBehavior, interval, sleep, timeout};
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use crate::board::{Board, Shared};
use crate::checks::Checks;
use crate::clock::Clock;
use crate::config::{Agent, Config};
use crate::notify::Notify;
use crate::state::State;
use crate::{control, dns, link, metrics, state};

/// An agent that runs.
struct Running {
    path: PathBuf,
    config: Config,
    print: Fingerprint,
    state: State,
    board: Shared,
    checks: Checks,
    notify: Notify,
    signals: Signals,
}

/// Why it ends.
enum End {
    /// Everything leaves the answers first.
    Drain,
    /// Nothing does: it is started anew.
    AtOnce,
}

struct Signals {
    terminate: Signal,
    interrupt: Signal,
    quit: Signal,
    hang_up: Signal,
}

/// What the files were when they were read.
type Fingerprint = Vec<(PathBuf, Option<SystemTime>, u64)>;

/// How often the files are looked at.
const LOOK: Duration = Duration::from_secs(5);
/// For everything to leave the answers, once a controller was told.
const LEAVE_TIMEOUT: Duration = Duration::from_secs(10);
/// For a connection through which it can be told.
const LINK_TIMEOUT: Duration = Duration::from_secs(5);
/// For DNS to end, and to write what it knows.
const DNS_TIMEOUT: Duration = Duration::from_secs(5);

/// Runs the agent until it is told to end.
///
/// # Errors
/// When its own settings cannot be used, or an address is not free.
pub async fn run(path: &Path) -> anyhow::Result<()> {
    let config = Config::load(path);
    let print = fingerprint(path, config.agent.services.as_deref());
    if config.is_unusable {
        let problems: Vec<_> = config.problems.iter().map(ToString::to_string).collect();
        bail!("the configuration cannot be used:\n  {}", problems.join("\n  "));
    }
    let agent = config.agent.clone();
    let filter: Filter = agent.log_level.parse().context("log_level")?;
    let (name, version) = (env!("CARGO_PKG_NAME"), env!("CARGO_PKG_VERSION"));
    let telemetry = Telemetry::start(agent.log_format, &filter, None, name, version)?;
    let signals = Signals::listen()?;
    let state = State::load(&agent.state_file);
    let board: Shared = Arc::new(watch::Sender::new(Board::default()));
    let socket = control::bind(&agent.socket).await;
    let socket = socket.with_context(|| format!("the control socket {}", agent.socket.display()))?;
    tokio::spawn(control::serve(socket, agent.machine.clone(), Arc::clone(&board)));
    let stop = CancellationToken::new();
    if let Some(address) = agent.metrics {
        let server = Server::bind(address).await.context("metrics")?;
        let registry = Arc::new(metrics::registry(&board, &telemetry));
        tokio::spawn(server.serve(Readiness::default(), registry, Routes::default(), stop.clone()));
    }
    let answering = match &agent.dns {
        Some(settings) => Some(dns::start(&agent, settings, stop.clone()).await?),
        None => None,
    };
    let clock = Clock::default();
    let checks = Checks::new(Arc::clone(&board), clock, &agent.machine);
    let link = link::Settings::new(&agent, &state.agent_id).context("controllers")?;
    let notify = Notify::of_environment();
    let mut running = Running { path: path.to_path_buf(), config, print, state, board, checks, notify, signals };
    running.configure();
    let agent_id = running.state.agent_id.clone();
    tokio::spawn(state::keep(agent.state_file.clone(), agent_id, Arc::clone(&running.board)));
    tokio::spawn(link::run(link, Arc::clone(&running.board)));
    running.notify.ready(&format!("{} services", running.config.services.len()));
    info!(machine = agent.machine, services = running.config.services.len(), "started");
    let end = running.live().await;
    running.leave(end).await;
    running.save();
    stop.cancel();
    if let Some(answering) = answering {
        // It writes what it knows, for the next start.
        let _ = timeout(DNS_TIMEOUT, answering).await;
    }
    telemetry.flush().await;
    Ok(())
}

// === impl Running ===

impl Running {
    /// The board, and the checks, as the files say.
    fn configure(&mut self) {
        for problem in &self.config.problems {
            warn!("{problem}");
        }
        let (services, state) = (&self.config.services, &self.state);
        let problems = self.config.problems.iter().map(ToString::to_string).collect();
        self.board.send_modify(|board| {
            board.configure(services, &|id| state.of(id));
            board.problems = problems;
        });
        self.checks.follow();
    }

    async fn live(&mut self) -> End {
        let mut look = interval(LOOK);
        look.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut watchdog = Notify::watchdog().map(interval);
        loop {
            tokio::select! {
                _ = self.signals.terminate.recv() => return End::Drain,
                _ = self.signals.interrupt.recv() => return End::Drain,
                _ = self.signals.quit.recv() => return End::AtOnce,
                _ = self.signals.hang_up.recv() => self.reload(),
                _ = look.tick() => {
                    if fingerprint(&self.path, self.config.agent.services.as_deref()) != self.print {
                        self.reload();
                    }
                }
                () = tick(&mut watchdog) => self.notify.alive(),
            }
        }
    }

    /// What was good before stays where the files cannot be used.
    fn reload(&mut self) {
        let config = Config::load(&self.path);
        self.print = fingerprint(&self.path, config.agent.services.as_deref());
        info!(services = config.services.len(), problems = config.problems.len(), "reading the files again");
        if config.is_unusable {
            for problem in &config.problems {
                warn!("{problem}");
            }
            let problems = config.problems.iter().map(ToString::to_string).collect();
            self.board.send_modify(|board| board.problems = problems);
            return self.notify.status("the files cannot be used; going on with what was good");
        }
        let (new, old) = (&config.agent, &self.config.agent);
        let same = Agent { services: old.services.clone(), scripts: old.scripts, ..new.clone() };
        if same != *old {
            warn!(
                "settings of the agent itself have changed: they count from its next start (SIGQUIT ends it without goodbye)"
            );
        }
        self.config = config;
        self.configure();
        self.notify.status(&format!("{} services", self.config.services.len()));
    }

    /// First out of the answers, then the time for callers to turn away.
    async fn leave(&mut self, end: End) {
        match end {
            End::AtOnce => return info!("ending at once; nothing is taken out"),
            End::Drain => self.notify.stopping("leaving the answers"),
        }
        let is_registered = self.board.borrow().services.values().any(|held| held.answer.is_some());
        if !is_registered {
            return info!("ending; nothing is registered");
        }
        info!("leaving the answers");
        self.board.send_modify(|board| board.leaving = true);
        let drain = self.config.services.values().map(|service| service.drain).max().unwrap_or_default();
        let mut changes = self.board.subscribe();
        let left = async {
            let linked = changes.wait_for(|board| board.link.server.is_some());
            if timeout(LINK_TIMEOUT, linked).await.is_err() {
                return warn!("no controller could be told: the heartbeats will take the instances out");
            }
            if timeout(LEAVE_TIMEOUT, changes.wait_for(has_left)).await.is_err() {
                return warn!("not everything has left the answers in time: the heartbeats will take it out");
            }
            info!(?drain, "out of the answers; waiting for callers to turn away");
            sleep(drain).await;
        };
        tokio::select! {
            () = left => {}
            _ = self.signals.terminate.recv() => info!("second signal: ending at once"),
            _ = self.signals.interrupt.recv() => info!("second signal: ending at once"),
        }
    }

    /// The last of what the state file is to have.
    fn save(&self) {
        let state = State::of_board(&self.state.agent_id, &self.board.borrow());
        if let Err(error) = state.save(&self.config.agent.state_file) {
            warn!(%error, "the state could not be written");
        }
    }
}

/// Whether nothing of it is in the answers any more.
fn has_left(board: &Board) -> bool {
    board.services.values().all(|held| match &held.answer {
        Some((Answered::Registered | Answered::Waiting, _)) => false,
        Some((Answered::Left | Answered::Refused, _)) | None => true,
    })
}

/// Never, where systemd does not ask.
async fn tick(watchdog: &mut Option<tokio::time::Interval>) {
    match watchdog {
        Some(interval) => drop(interval.tick().await),
        None => std::future::pending().await,
    }
}

/// Names, times and sizes of the files.
fn fingerprint(path: &Path, services: Option<&Path>) -> Fingerprint {
    let mut files = vec![path.to_path_buf()];
    if let Some(folder) = services {
        files.push(folder.to_path_buf());
        let entries = std::fs::read_dir(folder).into_iter().flatten().filter_map(Result::ok);
        files.extend(entries.map(|entry| entry.path()));
    }
    files.sort();
    let print = |file: PathBuf| {
        let metadata = std::fs::metadata(&file).ok();
        let size = metadata.as_ref().map_or(0, std::fs::Metadata::len);
        (file, metadata.and_then(|metadata| metadata.modified().ok()), size)
    };
    files.into_iter().map(print).collect()
}

// === impl Signals ===

impl Signals {
    fn listen() -> anyhow::Result<Self> {
        Ok(Self {
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
            quit: signal(SignalKind::quit())?,
            hang_up: signal(SignalKind::hangup())?,
        })
    }
}
