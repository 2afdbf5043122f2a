//! [`Access`]: what others ask.

use std::collections::HashMap;
use std::future::Future;
use std::net::IpAddr;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use kube::Client;
use tokio::sync::watch;
use tokio::time::Instant;

use super::denied::Denied;
use super::identity::Identity;
use super::memory::{Keys, Known, Memory, Print};
use super::metrics::{Counters, Metrics, Question};
use super::penalty::{self, Penalties};
use super::review::{Absent, Reviewer};
use super::right::Right;
use super::token::{self, Claims};
use crate::time::clock::Clock;
use rollcall_xds::tls::Shown;

#[cfg(test)]
mod tests;

/// Judges callers. Clones share what they know.
#[derive(Clone, Debug)]
pub struct Access(Arc<Judge>);

/// What somebody shows to say who they are.
#[derive(Clone, Copy)]
pub enum Credential<'a> {
    /// A bearer token.
    Token(&'a str),
    /// A client certificate (DER) that the TLS handshake has verified against the authority of clients.
    Certificate(&'a [u8]),
}

#[derive(Debug)]
struct Judge {
    reviewer: Reviewer,
    grace: Duration,
    keys: Keys,
    people: Memory<Result<Identity, String>>,
    rights: Memory<Result<(), String>>,
    asking_who: Asking<Result<Identity, String>>,
    asking_may: Asking<Result<(), String>>,
    penalties: Penalties,
    /// While the API server is away it is not asked for each request: until then.
    away: Mutex<Option<Instant>>,
    counters: Arc<Counters>,
}

/// Questions under way: who asks the same waits for the same answer.
type Asking<T> = Mutex<HashMap<Print, watch::Receiver<Option<Result<T, Absent>>>>>;

/// How long a yes counts before it is asked again beside its use, and before its use. As the API server's own webhooks.
const YES_AGING: Duration = Duration::from_secs(90);
const YES_STALE: Duration = Duration::from_secs(120);
/// A no: short, since it hinders whoever was just given a right.
const NO: Duration = Duration::from_secs(10);
/// After a question without an answer, those who have a yes are not made to wait for the next one.
const AWAY: Duration = Duration::from_secs(2);
/// People remembered, with their groups: some megabytes.
const PEOPLE_MAX: usize = 32_768;
/// Rights remembered: some 60 bytes each.
const RIGHTS_MAX: usize = 131_072;

// === impl Access ===

impl Access {
    /// Asks by this client. A yes stands for `grace` since it was said, if nobody can be asked again.
    pub fn new(client: Client, grace: Duration) -> Self {
        Self(Arc::new(Judge {
            reviewer: Reviewer::new(client),
            grace: grace.max(YES_STALE),
            keys: Keys::default(),
            people: Memory::new(PEOPLE_MAX),
            rights: Memory::new(RIGHTS_MAX),
            asking_who: Mutex::default(),
            asking_may: Mutex::default(),
            penalties: Penalties::default(),
            away: Mutex::default(),
            counters: Arc::default(),
        }))
    }

    /// Who shows this, from that address.
    ///
    /// # Errors
    /// When it is not good, or nobody can be asked.
    pub async fn authenticate(&self, shown: Credential<'_>, peer: IpAddr) -> Result<Identity, Denied> {
        match shown {
            Credential::Token(token) => self.whose(token, peer).await,
            Credential::Certificate(der) => Identity::of_certificate(der, &self.0.keys, Clock::wall_s()),
        }
    }

    /// Who calls: by the value of an `Authorization` header (RFC 6750 §2.1) if there is one that gives a token, else by what
    /// was shown in the handshake. Who shows both means the token.
    ///
    /// # Errors
    /// As [`Self::authenticate`]; or when nothing was shown, or a certificate that proves nothing.
    pub async fn caller(&self, authorization: Option<&str>, shown: &Shown, peer: IpAddr) -> Result<Identity, Denied> {
        let credential = match (authorization.and_then(token::bearer), shown) {
            (Some(token), _) => Credential::Token(token),
            (None, Shown::Verified(certificate)) => Credential::Certificate(certificate),
            (None, Shown::Refused(why)) => return Err(Denied::Certificate(why.to_string())),
            (None, Shown::Nothing) => return Err(Denied::NoCredential),
        };
        self.authenticate(credential, peer).await
    }

    /// The same user, the same for all pods of a ServiceAccount. RBAC makes no difference; where an authorizer does, ask by the
    /// identity itself.
    pub fn without_extra(&self, who: &Identity) -> Identity {
        who.without_extra(&self.0.keys)
    }

    /// Whether they may do that.
    ///
    /// # Errors
    /// When they may not, or nobody can be asked.
    pub async fn may(&self, who: &Identity, right: Right<'_>) -> Result<(), Denied> {
        let judge = &self.0;
        let print = judge.keys.print(&(who.print(), right));
        let ask = || {
            let (judge, who) = (Arc::clone(judge), who.clone());
            let owned = [right.verb, right.resource, right.namespace, right.name].map(str::to_owned);
            async move {
                let [verb, resource, namespace, name] = &owned;
                let said = judge.reviewer.may(&who, Right { verb, resource, namespace, name }).await?;
                let until = judge.until(said.is_ok());
                judge.rights.put(print, until(said.clone()));
                Ok(said)
            }
        };
        let said = judge.known_or_asked(print, &judge.rights, |judge| &judge.asking_may, Question::May, ask).await?;
        said.map_err(|why| Denied::Forbidden {
            who: who.to_string(),
            what: right.to_string(),
            role: Denied::role(right.resource, right.verb),
            why: if why.is_empty() { why } else { format!(" ({why})") },
        })
    }

    async fn whose(&self, token: &str, peer: IpAddr) -> Result<Identity, Denied> {
        let judge = &self.0;
        if token.is_empty() || token.len() > token::BYTES_MAX {
            return Err(Denied::Unknown(format!("it has {} bytes", token.len())));
        }
        let print = judge.keys.print(&token);
        let now = Instant::now();
        if judge.people.get(print, now).is_none() && judge.penalties.bars(peer, now) {
            judge.counters.barred.fetch_add(1, Relaxed);
            return Err(Denied::Busy("too many tokens from this address were not good", penalty::WINDOW));
        }
        let ask = || {
            let (judge, token) = (Arc::clone(judge), token.to_owned());
            async move {
                let claims = Claims::of(&token);
                let said = judge.reviewer.whose(token, &claims).await?;
                let said = said.map(|info| Identity::of(info, &judge.keys));
                let mut known = judge.until(said.is_ok())(said.clone());
                if let Some(exp) = claims.exp {
                    known.end(Duration::from_secs(u64::try_from(exp.saturating_sub(Clock::wall_s())).unwrap_or(0)));
                }
                judge.people.put(print, known);
                Ok(said)
            }
        };
        let said = judge.known_or_asked(print, &judge.people, |judge| &judge.asking_who, Question::Who, ask).await?;
        said.map_err(|why| {
            judge.penalties.count(peer, Instant::now());
            Denied::Unknown(why)
        })
    }

    pub(super) fn metrics(&self) -> Metrics {
        let judge = Arc::clone(&self.0);
        Metrics {
            counters: Arc::clone(&judge.counters),
            known: Box::new(move || (judge.people.len(), judge.rights.len())),
        }
    }
}

// === impl Judge ===

impl Judge {
    /// What is known, if it counts; else what the API server says, which one of those who want to know it asks for.
    async fn known_or_asked<T, F>(
        self: &Arc<Self>,
        print: Print,
        memory: &Memory<Result<T, String>>,
        asking: fn(&Self) -> &Asking<Result<T, String>>,
        question: Question,
        ask: impl FnOnce() -> F,
    ) -> Result<Result<T, String>, Denied>
    where
        T: Clone + Send + Sync + 'static,
        F: Future<Output = Result<Result<T, String>, Absent>> + Send + 'static,
    {
        let now = Instant::now();
        let known = memory.get(print, now);
        if let Some(known) = &known
            && (known.aging > now || self.is_away(now))
        {
            self.counters.remembered(question, known.stale <= now);
            return Ok(known.said.clone());
        }
        let mut answer = self.ask_once(print, asking, question, ask);
        if let Some(known) = &known
            && known.stale > now
        {
            return Ok(known.said.clone());
        }
        let answered = answer.wait_for(Option::is_some).await.map(|answer| answer.clone());
        match (answered, known) {
            (Ok(Some(Ok(said))), _) => Ok(said),
            (Ok(Some(Err(Absent(_)))), Some(known)) if known.said.is_ok() => {
                self.counters.remembered(question, true);
                Ok(known.said)
            }
            (Ok(Some(Err(Absent(why)))), _) => Err(Denied::Unavailable(why)),
            (Ok(None) | Err(_), _) => Err(Denied::Unavailable("this replica ends".to_owned())),
        }
    }

    /// Asks, unless the same is being asked; on a task of its own, so that nobody who goes away takes the answer along.
    fn ask_once<T, F>(
        self: &Arc<Self>,
        print: Print,
        asking: fn(&Self) -> &Asking<T>,
        question: Question,
        ask: impl FnOnce() -> F,
    ) -> watch::Receiver<Option<Result<T, Absent>>>
    where
        T: Clone + Send + Sync + 'static,
        F: Future<Output = Result<T, Absent>> + Send + 'static,
    {
        let mut under_way = lock(asking(self));
        if let Some(answer) = under_way.get(&print) {
            return answer.clone();
        }
        let (sender, answer) = watch::channel(None);
        under_way.insert(print, answer.clone());
        drop(under_way);
        let (judge, asked) = (Arc::clone(self), ask());
        tokio::spawn(async move {
            let said = asked.await;
            *lock(&judge.away) = said.is_err().then(|| Instant::now() + AWAY);
            judge.counters.asked(question, said.is_ok());
            lock(asking(&judge)).remove(&print);
            sender.send_replace(Some(said));
        });
        answer
    }

    fn is_away(&self, now: Instant) -> bool {
        lock(&self.away).is_some_and(|until| until > now)
    }

    /// From now on, for how long a yes or a no counts.
    fn until<T>(&self, yes: bool) -> impl FnOnce(T) -> Known<T> {
        let (now, grace) = (Instant::now(), self.grace);
        move |said| match yes {
            true => Known { said, aging: now + YES_AGING, stale: now + YES_STALE, gone: now + grace },
            false => Known { said, aging: now + NO, stale: now + NO, gone: now + NO },
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
