//! What is measured about access.

use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::Relaxed;

use prometheus_client::registry::Registry;
use rollcall_admin::page::{self, count};

/// What is asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Question {
    /// Who shows a token.
    Who,
    /// Whether somebody may do something.
    May,
}

/// Counts of one kind of question.
#[derive(Debug, Default)]
struct Count {
    answered: AtomicU64,
    unanswered: AtomicU64,
    remembered: AtomicU64,
    stale: AtomicU64,
}

/// What is counted.
#[derive(Debug, Default)]
pub(super) struct Counters {
    who: Count,
    may: Count,
    pub(super) barred: AtomicU64,
}

/// Reads what is counted, and how much is known.
pub struct Metrics {
    pub(super) counters: Arc<Counters>,
    pub(super) known: Box<dyn Fn() -> (usize, usize) + Send + Sync>,
}

// === impl Counters ===

impl Counters {
    pub(super) fn asked(&self, question: Question, answered: bool) {
        let count = self.of(question);
        if answered { &count.answered } else { &count.unanswered }.fetch_add(1, Relaxed);
    }

    pub(super) fn remembered(&self, question: Question, stale: bool) {
        let count = self.of(question);
        if stale { &count.stale } else { &count.remembered }.fetch_add(1, Relaxed);
    }

    fn of(&self, question: Question) -> &Count {
        match question {
            Question::Who => &self.who,
            Question::May => &self.may,
        }
    }
}

// === impl Metrics ===

impl Metrics {
    /// Registers `rollcall_access_…`.
    pub fn register(self, registry: &mut Registry) {
        page::register(registry, move |page| {
            let counters = &*self.counters;
            let by = |count: fn(&Count) -> [(&'static str, u64); 4]| {
                [("who", count(&counters.who)), ("may", count(&counters.may))].into_iter().flat_map(|(question, by)| {
                    by.into_iter().map(move |(how, number)| ([("question", question), ("answer", how)], number))
                })
            };
            page.counters(
                "rollcall_access_decisions",
                "Questions of access: who shows a token (who), whether somebody may do something (may). Answered from memory (remembered), from memory because the API server did not answer (stale), by the API server (asked), or not at all (unanswered). 0 stale and unanswered is normal.",
                by(|of| {
                    [
                        ("remembered", count(&of.remembered)),
                        ("stale", count(&of.stale)),
                        ("asked", count(&of.answered)),
                        ("unanswered", count(&of.unanswered)),
                    ]
                }),
            )?;
            page.counters(
                "rollcall_access_barred",
                "Requests refused without a question to the API server, since their address had shown too many bad tokens. 0 is normal.",
                [([], count(&counters.barred))],
            )?;
            let (people, rights) = (self.known)();
            page.gauges(
                "rollcall_access_known",
                "Answers remembered: tokens, and rights of their owners. Bounded.",
                [([("what", "tokens")], people as f64), ([("what", "rights")], rights as f64)],
            )
        });
    }
}
