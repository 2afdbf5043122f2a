//! What makes an answer hard to forge for somebody who cannot read the question, beside its id and port: the case of the name's
//! letters (draft-vixie-dnsext-dns0x20) and cookies (RFC 7873). Servers differ in what they bear; each is asked for what it does.
//!
//! An answer that lacks what its server always has is asked for again over TCP. Only there is learned that a server has changed.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use hickory_proto::op::ResponseCode;
use tokio::time::Instant;

use super::answer::Answer;
use super::message::Asked;
use crate::answer::edns::cookie::ClientCookie;

/// What operators want of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Wanted {
    /// Letters of both cases.
    pub mixed_case: bool,
    /// Cookies.
    pub cookies: bool,
}

/// What one question carries of it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Proof {
    /// The name's letters are of both cases, at random.
    pub mixed_case: bool,
    /// A cookie.
    pub cookie: Option<Sent>,
}

/// A cookie as it is sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sent {
    /// Ours for this server alone.
    pub client: ClientCookie,
    /// The server's, which it gave before; empty at first.
    pub server: Vec<u8>,
}

/// What one server bears.
#[derive(Debug)]
pub struct Bears {
    client: ClientCookie,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    changes_case: bool,
    cookie: Cookie,
}

#[derive(Debug, Default)]
enum Cookie {
    /// It has not sent one yet.
    #[default]
    Unknown,
    /// It said nothing to a question with one.
    Doubted,
    /// It does without until then.
    None(Option<Instant>),
    /// What it gave.
    Given(Vec<u8>),
}

/// For how long a server that does not bear cookies is asked without.
const WITHOUT: Duration = Duration::from_secs(3600);

// === impl Wanted ===

impl Default for Wanted {
    fn default() -> Self {
        Self { mixed_case: true, cookies: true }
    }
}

// === impl Bears ===

impl Bears {
    /// Nothing is known yet; `client` is what nobody can guess.
    pub fn new(client: ClientCookie) -> Self {
        Self { client, state: Mutex::default() }
    }

    /// What its next question carries.
    pub fn proof(&self, wanted: Wanted, now: Instant) -> Proof {
        let mut state = self.state();
        if matches!(state.cookie, Cookie::None(Some(until)) if until <= now) {
            state.cookie = Cookie::Unknown;
        }
        let server = match &state.cookie {
            Cookie::Unknown => Some(Vec::new()),
            Cookie::Given(server) => Some(server.clone()),
            Cookie::Doubted | Cookie::None(_) => None,
        };
        let cookie = server.filter(|_| wanted.cookies).map(|server| Sent { client: self.client, server });
        Proof { mixed_case: wanted.mixed_case && !state.changes_case, cookie }
    }

    /// It gave the question back with other letters, to a question that nobody knew of.
    pub fn changes_case(&self) {
        self.state().changes_case = true;
    }

    /// It said nothing, perhaps because of a cookie: the next one goes without.
    pub fn was_silent(&self, asked: &Asked) {
        let mut state = self.state();
        if asked.proof().cookie.is_some() && matches!(state.cookie, Cookie::Unknown) {
            state.cookie = Cookie::Doubted;
        }
    }

    /// What an answer says about cookies. Whether it is to be asked again with what was learned.
    pub fn learn(&self, asked: &Asked, answer: &Answer, now: Instant) -> bool {
        let mut state = self.state();
        let Some(sent) = &asked.proof().cookie else {
            if matches!(state.cookie, Cookie::Doubted) {
                state.cookie = Cookie::None(Some(now + WITHOUT));
            }
            return false;
        };
        if let Some(server) = answer.cookie().and_then(|cookie| cookie.get(sent.client.len()..))
            && !server.is_empty()
        {
            state.cookie = Cookie::Given(server.to_vec());
            return answer.rcode() == ResponseCode::BADCOOKIE;
        }
        // It knows OPT records, and not this option, against RFC 6891 §6.1.2.
        if answer.rcode() == ResponseCode::FormErr && matches!(state.cookie, Cookie::Unknown) {
            state.cookie = Cookie::None(Some(now + WITHOUT));
            return true;
        }
        false
    }

    /// What came over TCP in place of an answer that might have been forged: what that lacks, the server does not have. `None`
    /// when nothing came: whether it keeps case, the next look at it shows.
    pub fn answered_on_stream(&self, asked: &Asked, answer: Option<&Answer>) {
        let mut state = self.state();
        state.changes_case |= asked.proof().mixed_case && answer.is_some_and(|answer| !answer.kept_case());
        if answer.and_then(Answer::cookie).is_none() && matches!(state.cookie, Cookie::Given(_)) {
            state.cookie = Cookie::Unknown;
        }
    }

    fn state(&self) -> std::sync::MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
