//! What is due by time: the preface, pings and their answers, progress of what is written, age.

use std::{
    pin::Pin,
    task::{Context, Poll, ready},
};

use tokio::time::{Instant, Sleep, sleep_until};

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
    /// When the connection is old.
    old: Option<Instant>,
}

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
        let (preface, old) = (now + limits.preface, limits.age.map(|age| now + age));
        Self { timer: Box::pin(sleep_until(preface)), preface, heard: now, asked: None, stuck: None, old }
    }

    /// Something came.
    pub(super) fn heard(&mut self, now: Instant) {
        (self.heard, self.asked) = (now, None);
    }

    /// The network takes nothing.
    pub(super) fn stuck(&mut self) {
        self.stuck.get_or_insert_with(Instant::now);
    }

    /// The network has taken something.
    pub(super) fn moves(&mut self) {
        self.stuck = None;
    }

    /// What is due, and when the next is if nothing is. The timer is set anew only when it rings, which is before anything is due.
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
        if self.stuck.is_some_and(|since| now >= since + limits.stall) {
            return Some(Due::Over(Error::Stalled));
        }
        if self.asked.is_some_and(|asked| now >= asked + limits.ping_timeout) {
            return Some(Due::Over(Error::Dead));
        }
        if self.old.take_if(|old| now >= *old).is_some() {
            return Some(Due::Leave);
        }
        if self.asked.is_none() && now >= self.heard + limits.ping_after {
            self.asked = Some(now);
            return Some(Due::Ping);
        }
        None
    }

    fn next(&self, limits: &Limits, greeted: bool) -> Instant {
        if !greeted {
            return self.preface;
        }
        let alive = self.asked.map_or(self.heard + limits.ping_after, |asked| asked + limits.ping_timeout);
        let moved = self.stuck.map(|since| since + limits.stall);
        [moved, self.old].into_iter().flatten().fold(alive, Instant::min)
    }
}
