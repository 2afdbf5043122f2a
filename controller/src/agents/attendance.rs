//! One agent's stream: what it says goes to the registrar and to the ears, what came of it goes back.
//!
//! Polled by the transport when it can write, so there is neither a task nor a buffer for each stream.

mod hello;
mod posted;
mod slot;
#[cfg(test)]
mod tests;

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use futures::{FutureExt, Stream};
use rollcall_admin::LogRate;
use rollcall_xds::proto::rollcall::v1::agent_reply::Reply;
use rollcall_xds::proto::rollcall::v1::agent_report::Report;
use rollcall_xds::proto::rollcall::v1::answer::State as WireState;
use rollcall_xds::proto::rollcall::v1::{AgentReply, AgentReport, Answer, Answers, Due, Leaving};
use tokio::sync::OwnedSemaphorePermit;
use tokio::time::{Instant, sleep_until};
use tokio_stream::StreamExt;
use tonic::Status;
use tracing::info;

use self::posted::Post;
use self::slot::Slot;
use super::admission::{Caller, Denial};
use super::desk::{Seat, State};
use super::metrics::{Connected, Refusal};
use super::outbox::Outbox;
use super::registrar::Message;
use super::service::Shared;
use crate::time::random;

/// One agent's stream.
pub(super) struct Attendance {
    shared: Arc<Shared>,
    caller: Arc<dyn Caller>,
    session: u64,
    outbox: Arc<Outbox>,
    agent: Box<str>,
    machine: Box<str>,
    revision: u32,
    slots: Vec<Slot>,
    post: Post,
    replies: VecDeque<Reply>,
    /// What the agent was told last of when it is to beat.
    interval: Option<Duration>,
    /// Until the first Hello, when it must have come; then when rights are looked at again.
    next: Instant,
    pace: Pace,
    _connected: (Connected, OwnedSemaphorePermit),
}

/// Messages of one agent, held to a rate: what comes faster waits in the transport.
struct Pace {
    window: Instant,
    messages: u32,
}

/// How long an agent may take to say what it is.
const HELLO_TIMEOUT: Duration = Duration::from_secs(10);
/// Rights are looked at again this often: one that was taken away ends what rests on it.
const RIGHTS_INTERVAL: Duration = Duration::from_secs(300);
/// Messages a second.
const MESSAGES_PER_SECOND: u32 = 50;
/// Instances of one agent.
const INSTANCES_MAX: usize = 64;
/// What an agent that is sent away waits for at most, so that a replica's agents do not come to the next one together.
const RETRY_MS_MAX: f64 = 2_000.0;
/// A few lines at once, then one in ten seconds, however many agents come and go.
static COMES: LogRate = LogRate::new(20, Duration::from_secs(10));

// === impl Attendance ===

impl Attendance {
    pub(super) fn new(
        shared: Arc<Shared>,
        caller: Arc<dyn Caller>,
        session: u64,
        outbox: Arc<Outbox>,
        connected: (Connected, OwnedSemaphorePermit),
    ) -> Self {
        let now = Instant::now();
        Self {
            shared,
            caller,
            session,
            outbox,
            agent: Box::default(),
            machine: Box::default(),
            revision: 0,
            slots: Vec::new(),
            post: Post::default(),
            replies: VecDeque::new(),
            interval: None,
            next: now + HELLO_TIMEOUT,
            pace: Pace { window: now, messages: 0 },
            _connected: connected,
        }
    }

    /// Replies until the agent leaves, or is to.
    pub(super) fn into_replies<R>(self, requests: R) -> impl Stream<Item = Result<AgentReply, Status>> + Send + 'static
    where
        R: Stream<Item = Result<AgentReport, Status>> + Send + Unpin + 'static,
    {
        // In a box: a block that awaits has room twice for what it is given.
        futures::stream::unfold(Some(Box::new((self, requests))), |both| async move {
            let mut both = both?;
            let (this, requests) = &mut *both;
            match this.next(requests).await? {
                Ok(reply @ Reply::Leaving(_)) => Some((Ok(AgentReply { reply: Some(reply) }), None)),
                Ok(reply) => Some((Ok(AgentReply { reply: Some(reply) }), Some(both))),
                Err(status) => Some((Err(status), None)),
            }
        })
    }

    async fn next<R>(&mut self, requests: &mut R) -> Option<Result<Reply, Status>>
    where
        R: Stream<Item = Result<AgentReport, Status>> + Send + Unpin + 'static,
    {
        loop {
            if let Some(reply) = self.replies.pop_front() {
                if self.replies.is_empty() {
                    self.replies = VecDeque::new(); // most of the time there are none
                }
                return Some(Ok(reply));
            }
            tokio::select! {
                // What is rare and large in boxes: most of the time a stream waits.
                report = requests.next() => match self.heard(report?).boxed().await {
                    Ok(()) => {}
                    Err(status) => return Some(Err(status)),
                },
                waiting = self.outbox.take() => {
                    self.replies.extend(waiting.probes.into_iter().map(Reply::Probe));
                    self.on_states(waiting.states);
                }
                () = self.shared.stop.cancelled() => return Some(Ok(leaving("this replica ends; go to another one"))),
                () = sleep_until(self.next) => {
                    if self.revision == 0 {
                        return Some(Err(Status::deadline_exceeded(format!("no Hello came within {HELLO_TIMEOUT:?}"))));
                    }
                    self.look_at_deferred().boxed().await;
                    self.look_at_rights().boxed().await;
                    self.look_at_post().boxed().await;
                    self.look_later();
                }
            }
        }
    }

    async fn heard(&mut self, report: Result<AgentReport, Status>) -> Result<(), Status> {
        let report = report?.report;
        self.pace.keep().await;
        match report {
            Some(Report::Hello(hello)) => {
                let is_first = self.revision == 0;
                self.on_hello(hello).await?;
                if is_first && let Some(unsaid) = COMES.permit() {
                    let (machine, user) = (&self.machine, self.caller.name());
                    info!(%machine, %user, instances = self.slots.len(), unsaid, "an agent has come");
                }
            }
            _ if self.revision == 0 => return Err(Status::failed_precondition("the first message has to be a Hello")),
            Some(Report::Beats(beats)) => self.on_beats(&beats.instances),
            Some(Report::Results(results)) => self.on_results(results.results)?,
            Some(Report::Goodbye(goodbye)) => self.on_goodbye(&goodbye.instances).await,
            Some(Report::Found(found)) => self.on_found(&found),
            // Of a newer agent: what this version does not know says nothing.
            None => {}
        }
        Ok(())
    }

    /// The registrar says what came of instances.
    fn on_states(&mut self, states: std::collections::BTreeMap<(u32, u32), State>) {
        let mut answers = Vec::with_capacity(states.len());
        for ((revision, index), state) in states {
            let Some(slot) = self.slots.get_mut(index as usize).filter(|_| revision == self.revision) else { continue };
            answers.extend(slot.on_state(&state, index));
        }
        self.answer(answers);
    }

    fn on_beats(&mut self, named: &[u32]) {
        let mut soonest: Option<Duration> = None;
        let (mut beats, mut answers) = (0, Vec::new());
        for index in self.indexes(named) {
            let slot = &mut self.slots[index as usize];
            match slot.beat(&*self.shared.ears) {
                Some(Ok(interval)) => {
                    beats += 1;
                    answers.extend(slot.is_heard(index));
                    soonest = Some(soonest.map_or(interval, |soonest| soonest.min(interval)));
                }
                Some(Err(words)) => answers.extend(slot.says(index, WireState::Waiting, &words)),
                None => {}
            }
        }
        self.shared.metrics.beats(beats);
        self.answer(answers);
        if let Some(soonest) = soonest.filter(|soonest| self.interval != Some(*soonest)) {
            self.interval = Some(soonest);
            let within_ms = u32::try_from(soonest.as_millis()).unwrap_or(u32::MAX);
            self.replies.push_back(Reply::Due(Due { within_ms }));
        }
    }

    /// First out of the answers, then out of the API.
    async fn on_goodbye(&mut self, named: &[u32]) {
        let mut answers = Vec::new();
        for index in self.indexes(named) {
            let (seat, slot) = (self.seat(index), &mut self.slots[index as usize]);
            let Some(key) = slot.key.clone() else { continue };
            answers.extend(slot.stop(&*self.shared.ears, index));
            let _ = self.shared.registrar.send(Message::Leave(seat, key)).await;
        }
        self.answer(answers);
    }

    /// A right that was taken away: what rests on it is not taken out of the API, which only its heartbeat does, but is heard
    /// no longer.
    async fn look_at_rights(&mut self) {
        let mut answers = Vec::new();
        for index in 0..self.slots.len() {
            let Some(key) = self.slots[index].key.clone() else { continue };
            if let Err(Denial::Refused(words)) = self.caller.may(&key.service).await {
                self.shared.metrics.refused(Refusal::Forbidden);
                let at = u32::try_from(index).unwrap_or(u32::MAX);
                let _ = self.shared.registrar.send(Message::Forget(self.seat(at), key)).await;
                answers.extend(self.slots[index].refuse(at, &words));
            }
        }
        self.answer(answers);
    }

    fn answer(&mut self, answers: Vec<Answer>) {
        if !answers.is_empty() {
            self.replies.push_back(Reply::Answers(Answers { revision: self.revision, answers }));
        }
    }

    fn seat(&self, index: u32) -> Seat {
        Seat { session: self.session, revision: self.revision, index }
    }

    /// Those that are named and exist; all if none is named.
    fn indexes(&self, named: &[u32]) -> Vec<u32> {
        let all = u32::try_from(self.slots.len()).unwrap_or(u32::MAX);
        match named {
            [] => (0..all).collect(),
            named => named.iter().copied().filter(|index| *index < all).take(INSTANCES_MAX).collect(),
        }
    }
}

impl Drop for Attendance {
    /// What it registered stays: its heartbeat decides. Only nobody wants it any more.
    fn drop(&mut self) {
        self.leave_post();
        let Ok(runtime) = tokio::runtime::Handle::try_current() else { return };
        let mut forget = Vec::with_capacity(self.slots.len() + 1);
        for (index, slot) in self.slots.iter().enumerate() {
            let Some(key) = slot.key.clone() else { continue };
            if self.shared.claims.give_back(&key, self.session) && !slot.left {
                let seat = self.seat(u32::try_from(index).unwrap_or(u32::MAX));
                forget.push(Message::Forget(seat, key));
            }
        }
        forget.push(Message::Ended(self.session));
        let registrar = self.shared.registrar.clone();
        runtime.spawn(async move {
            for message in forget {
                let _ = registrar.send(message).await;
            }
        });
    }
}

// === impl Pace ===

impl Pace {
    async fn keep(&mut self) {
        let end = self.window + Duration::from_secs(1);
        let now = Instant::now();
        if now >= end {
            (self.window, self.messages) = (now, 0);
        } else if self.messages >= MESSAGES_PER_SECOND {
            sleep_until(end).await;
            (self.window, self.messages) = (end, 0);
        }
        self.messages += 1;
    }
}

fn leaving(words: &str) -> Reply {
    let retry_in_ms = (random::fraction() * RETRY_MS_MAX) as u32;
    Reply::Leaving(Leaving { retry_in_ms, words: words.to_owned() })
}
