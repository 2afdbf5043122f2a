//! What is due by time: the preface, pings and their answers, progress of what is written, age.

use std::{
    pin::Pin,
    task::{Context, Poll, ready},
};

use tokio::time::{Duration, Instant, Sleep, sleep_until};

use crate::{Error, Limits};

/// One timer for all of it.
#[derive(Debug)]
pub(super) struct Watch {
    timer: Pin<Box<Sleep>>,
    /// When the client has to have begun.
    preface: Instant,
    /// When something came from the client.
    heard: Instant,
    /// When it was asked whether it is there, and has not answered yet.
    asked: Option<Instant>,
    /// Since when it takes nothing of what is written.
    stuck: Option<Instant>,
    /// When the connection is to go a step towards its end.
    leave: Option<Instant>,
}

/// For ever.
const AGES: Duration = Duration::from_secs(10 * 365 * 24 * 3600);

/// What is to be done now.
#[derive(Debug)]
pub(super) enum Due {
    Ping,
    Leave,
    Over(Error),
}

// === impl Watch ===

impl Watch {
    pub(super) fn new(limits: &Limits, now: Instant) -> Self {
        let (preface, leave) = (after(now, limits.preface), limits.age.map(|age| after(now, age)));
        Self { timer: Box::pin(sleep_until(preface)), preface, heard: now, asked: None, stuck: None, leave }
    }

    /// Something came.
    pub(super) fn heard(&mut self, now: Instant, limits: &Limits) {
        (self.heard, self.asked) = (now, None);
        self.ring_by(after(now, limits.ping_after));
    }

    /// The network takes nothing.
    pub(super) fn stuck(&mut self, limits: &Limits) {
        if self.stuck.is_none() {
            let now = Instant::now();
            self.stuck = Some(now);
            self.ring_by(after(now, limits.stall));
        }
    }

    /// The client was told that we leave.
    pub(super) fn leave(&mut self, limits: &Limits) {
        let heard = after(Instant::now(), limits.ping_timeout);
        self.leave = Some(heard);
        self.ring_by(heard);
    }

    /// Something is due then. It is noticed as it happens that the timer would be late, and not that it would be early.
    fn ring_by(&mut self, due: Instant) {
        if due < self.timer.deadline() {
            self.timer.as_mut().reset(due);
        }
    }

    /// The network has taken something.
    pub(super) fn moves(&mut self) {
        self.stuck = None;
    }

    /// What is due. The timer rings no later than that, and mostly earlier, so that it is seldom set.
    pub(super) fn poll_due(&mut self, cx: &mut Context<'_>, limits: &Limits, greeted: bool) -> Poll<Due> {
        loop {
            ready!(self.timer.as_mut().poll(cx));
            let now = Instant::now();
            if let Some(due) = self.due(now, limits, greeted) {
                return Poll::Ready(due);
            }
            let next = self.next(limits, greeted);
            self.timer.as_mut().reset(next);
        }
    }

    fn due(&mut self, now: Instant, limits: &Limits, greeted: bool) -> Option<Due> {
        if !greeted {
            return (now >= self.preface).then_some(Due::Over(Error::Late));
        }
        if self.stuck.is_some_and(|since| now >= after(since, limits.stall)) {
            return Some(Due::Over(Error::Stalled));
        }
        if self.asked.is_some_and(|asked| now >= after(asked, limits.ping_timeout)) {
            return Some(Due::Over(Error::Dead));
        }
        if self.leave.take_if(|leave| now >= *leave).is_some() {
            return Some(Due::Leave);
        }
        if self.asked.is_none() && now >= after(self.heard, limits.ping_after) {
            self.asked = Some(now);
            return Some(Due::Ping);
        }
        None
    }

    fn next(&self, limits: &Limits, greeted: bool) -> Instant {
        if !greeted {
            return self.preface;
        }
        let alive = match self.asked {
            Some(asked) => after(asked, limits.ping_timeout),
            None => after(self.heard, limits.ping_after),
        };
        let moved = self.stuck.map(|since| after(since, limits.stall));
        [moved, self.leave].into_iter().flatten().fold(alive, Instant::min)
    }
}

/// A limit may be as long as one can say.
fn after(instant: Instant, limit: Duration) -> Instant {
    instant.checked_add(limit).unwrap_or_else(|| instant + AGES)
}
