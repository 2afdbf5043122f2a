//! The connection to a controller: one stream after the other, to the addresses in turn, as long as the agent runs.
//!
//! - `spoken`: what was said on a stream, and what is to be said next
//! - `pause`: between attempts

mod pause;
mod spoken;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use rollcall_health::confirmation::Vote;
use rollcall_health::probe::{Network, Probes};
use rollcall_vantage::answers::Answers;
use rollcall_vantage::wire;
use rollcall_xds::client::{Config, ConfigError, Dialer};
use rollcall_xds::proto::rollcall::v1::agent_reply::Reply;
use rollcall_xds::proto::rollcall::v1::agent_report::Report;
use rollcall_xds::proto::rollcall::v1::agents_client::AgentsClient;
use rollcall_xds::proto::rollcall::v1::{AgentReply, AgentReport, Beats, Found, Posted, Probe};
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep, sleep_until, timeout};
use tokio_stream::wrappers::ReceiverStream;
use tonic::metadata::{Ascii, MetadataValue};
use tonic::{Request, Streaming};
use tracing::{info, warn};

use self::pause::Pause;
use self::spoken::Spoken;
use crate::board::{Link, Shared};
use crate::clock::Clock;
use crate::config::Agent;

/// Where, and as whom.
pub struct Settings {
    /// The name of the machine.
    pub machine: String,
    /// What tells this agent from another of the same machine's name.
    pub agent_id: String,
    /// The token of a ServiceAccount, read at each connect.
    pub token_file: Option<PathBuf>,
    /// Whether it probes what replicas doubt.
    pub vantage: bool,
    dialers: Vec<(String, Dialer)>,
}

/// Reports that may wait for the transport.
const REPORTS_MAX: usize = 16;
/// Until a controller must have accepted the stream.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
/// A connection without traffic for this long is asked whether it lives; without beats there is none.
const KEEPALIVE: Duration = Duration::from_secs(10);
/// Between two beats until anything is known.
const BEAT: Duration = Duration::from_secs(2);
/// A token is no longer than this.
const TOKEN_BYTES_MAX: u64 = 64 << 10;
/// A stream that lived this long was a good one.
const GOOD: Duration = Duration::from_secs(30);

/// Why a stream ended.
struct Ended {
    words: String,
    /// Where the controller asked for it.
    retry: Option<Duration>,
}

// === impl Settings ===

impl Settings {
    /// Reads where controllers are, without touching the network.
    ///
    /// # Errors
    /// When an address cannot be used.
    pub fn new(agent: &Agent, agent_id: &str) -> Result<Self, ConfigError> {
        let mut config = Config::new(agent.controllers.clone(), agent.machine.clone());
        config.ca_file.clone_from(&agent.ca_file);
        config.own.clone_from(&agent.own);
        config.server_name.clone_from(&agent.server_name);
        config.keepalive = KEEPALIVE;
        config.connect_timeout = CONNECT_TIMEOUT;
        let dialer = |server: &String| Ok((server.clone(), Dialer::new(&config, server)?));
        Ok(Self {
            machine: agent.machine.clone(),
            agent_id: agent_id.to_owned(),
            token_file: agent.token_file.clone(),
            vantage: agent.vantage,
            dialers: agent.controllers.iter().map(dialer).collect::<Result<_, _>>()?,
        })
    }
}

/// Speaks to controllers until the board says that everything has left.
pub async fn run(settings: Settings, board: Shared) {
    let mut pause = Pause::default();
    // Not all agents begin with the first.
    let mut at = (crate::clock::fraction() * settings.dialers.len() as f64) as usize;
    loop {
        let (server, dialer) = &settings.dialers[at % settings.dialers.len()];
        let began = Instant::now();
        let ended = attend(&settings, server, dialer, &board).await;
        if began.elapsed() >= GOOD {
            pause.reset();
        }
        let wait = ended.retry.unwrap_or_else(|| pause.next(crate::clock::fraction()));
        warn!(server, reason = ended.words, ?wait, "no connection to the controller");
        board.send_modify(|board| {
            let since_ms = if board.link.server.is_some() { Clock::wall_ms() } else { board.link.since_ms };
            board.link = Link { server: None, since_ms, trouble: format!("{server}: {}", ended.words), ..board.link };
        });
        at += 1;
        sleep(wait).await;
    }
}

/// One stream from dial to end.
async fn attend(settings: &Settings, server: &str, dialer: &Dialer, board: &Shared) -> Ended {
    let (reports, outgoing) = mpsc::channel(REPORTS_MAX);
    let opened = timeout(CONNECT_TIMEOUT, open(settings, dialer, outgoing)).await;
    let replies = match opened {
        Ok(Ok(replies)) => replies,
        Ok(Err(words)) => return words.into(),
        Err(_) => return format!("no answer within {CONNECT_TIMEOUT:?}").into(),
    };
    info!(server, "connected");
    board.send_modify(|board| {
        let (server, since_ms) = (Some(server.to_owned()), Clock::wall_ms());
        board.link = Link { server, since_ms, trouble: String::new(), ..board.link };
    });
    let spoken = Spoken::new(&settings.machine, &settings.agent_id, settings.vantage);
    let answers = settings.vantage.then(|| Answers::new(Probes::new(Network)));
    Stream { reports, replies, spoken, board: Arc::clone(board), beat: None, answers }.follow().await
}

async fn open(
    settings: &Settings,
    dialer: &Dialer,
    reports: mpsc::Receiver<AgentReport>,
) -> Result<Streaming<AgentReply>, String> {
    let token = token(settings.token_file.as_ref()).await?;
    let channel = dialer.connect().await.map_err(|error| dialer.said().unwrap_or_else(|| causes(&error)))?;
    let mut request = Request::new(ReceiverStream::new(reports));
    if let Some(token) = token {
        request.metadata_mut().insert("authorization", token);
    }
    let replies = AgentsClient::new(channel).attend(request).await;
    Ok(replies.map_err(|status| dialer.said().unwrap_or_else(|| status.message().to_owned()))?.into_inner())
}

/// As it is now: kubelet and others replace it before it expires.
async fn token(file: Option<&PathBuf>) -> Result<Option<MetadataValue<Ascii>>, String> {
    let Some(file) = file else { return Ok(None) };
    let name = file.display();
    let read = async {
        let size = tokio::fs::metadata(file).await?.len();
        if size > TOKEN_BYTES_MAX {
            return Err(std::io::Error::other(format!("it has {size} bytes, which no token has")));
        }
        tokio::fs::read_to_string(file).await
    };
    let text = read.await.map_err(|error| {
        format!("token_file {name} cannot be read: {error}; put a token there, such as of kubectl create token NAME, readable for the agent")
    })?;
    let mut value: MetadataValue<Ascii> = format!("Bearer {}", text.trim())
        .parse()
        .map_err(|_| format!("token_file {name} holds no token: it has letters that no token has"))?;
    value.set_sensitive(true);
    Ok(Some(value))
}

struct Stream {
    reports: mpsc::Sender<AgentReport>,
    replies: Streaming<AgentReply>,
    spoken: Spoken,
    board: Shared,
    /// As the controller said.
    beat: Option<Duration>,
    /// What replicas doubt, where it lets itself be asked.
    answers: Option<Answers<Probes<Network>>>,
}

// === impl Stream ===

impl Stream {
    async fn follow(mut self) -> Ended {
        let mut changes = self.board.subscribe();
        changes.mark_changed();
        let mut next = Instant::now();
        loop {
            tokio::select! {
                changed = changes.changed() => {
                    if changed.is_err() {
                        return "the agent ends".to_owned().into();
                    }
                    let reports = self.spoken.next(&changes.borrow_and_update());
                    for report in reports {
                        if let Err(ended) = self.say(report).await {
                            return ended;
                        }
                    }
                }
                reply = self.replies.message() => match reply {
                    Ok(Some(AgentReply { reply: Some(Reply::Probe(probe)) })) => {
                        if let Some(Err(ended)) = self.asked(probe).await {
                            return ended;
                        }
                    }
                    Ok(Some(AgentReply { reply: Some(reply) })) => {
                        if let Some(ended) = self.heard(reply) {
                            return ended;
                        }
                        // What was registered just now beats at once.
                        next = next.min(Instant::now() + self.interval());
                    }
                    // Of a newer controller: what this version does not know says nothing.
                    Ok(Some(AgentReply { reply: None })) => {}
                    Ok(None) => return "the controller ended the stream".to_owned().into(),
                    Err(status) => return status.message().to_owned().into(),
                },
                found = found(&mut self.answers) => {
                    if let Err(ended) = self.say(Report::Found(found)).await {
                        return ended;
                    }
                }
                () = sleep_until(next) => {
                    next = Instant::now() + self.interval();
                    if self.board.borrow().is_silent() {
                        continue;
                    }
                    if let Err(ended) = self.say(Report::Beats(Beats::default())).await {
                        return ended;
                    }
                    self.board.send_if_modified(|board| {
                        board.link.beats += 1;
                        false
                    });
                }
            }
        }
    }

    /// Whoever does not let itself be asked, and is, could not find out.
    async fn asked(&mut self, probe: Probe) -> Option<Result<(), Ended>> {
        let found = match &mut self.answers {
            Some(answers) => answers.begin(probe)?,
            None => wire::found(probe.number, Vote::Abstained),
        };
        Some(self.say(Report::Found(found)).await)
    }

    fn interval(&self) -> Duration {
        let configured = || self.board.borrow().services.values().map(|held| held.service.beat).min();
        self.beat.or_else(configured).unwrap_or(BEAT)
    }

    async fn say(&self, report: Report) -> Result<(), Ended> {
        let said = self.reports.send(AgentReport { report: Some(report) }).await;
        said.map_err(|_| "the controller stopped reading".to_owned().into())
    }

    fn heard(&mut self, reply: Reply) -> Option<Ended> {
        match reply {
            Reply::Answers(answers) => {
                let about = self.spoken.about(answers);
                self.board.send_if_modified(|board| {
                    for (id, state, words) in about {
                        let Some(held) = board.services.get_mut(&id) else { continue };
                        info!(service = id, state = state.as_str_name(), words, "answer");
                        held.answer = Some((state, words));
                    }
                    true
                });
                None
            }
            Reply::Posted(Posted { is_asked: true, .. }) => {
                info!("policies may name this machine as a vantage point");
                None
            }
            Reply::Posted(posted) => {
                warn!(reason = posted.words, "no policy can name this machine as a vantage point");
                None
            }
            // Taken before.
            Reply::Probe(_) => None,
            Reply::Due(due) => {
                let within = Duration::from_millis(u64::from(due.within_ms));
                self.beat = Some(within.max(Duration::from_millis(100)));
                None
            }
            Reply::Leaving(leaving) => {
                let retry = Some(Duration::from_millis(u64::from(leaving.retry_in_ms)));
                Some(Ended { words: leaving.words, retry })
            }
        }
    }
}

// === impl Ended ===

impl From<String> for Ended {
    fn from(words: String) -> Self {
        Self { words, retry: None }
    }
}

/// Never, where nothing is asked.
async fn found(answers: &mut Option<Answers<Probes<Network>>>) -> Found {
    match answers {
        Some(answers) => answers.next().await,
        None => std::future::pending().await,
    }
}

/// An error with its causes, which tonic's own text leaves out.
fn causes(error: &dyn std::error::Error) -> String {
    let causes = std::iter::successors(Some(error), |error| error.source());
    causes.map(ToString::to_string).collect::<Vec<_>>().join(": ")
}
