//! `GET …/endpoints`: the endpoints of a service, and a long poll for them to change.

use std::sync::Arc;
use std::time::Duration;

use http::header::{ETAG, IF_NONE_MATCH};
use http::{HeaderValue, StatusCode};
use rollcall_catalog::digest::Version;
use tokio::time::Instant;

use super::super::answer::Answer;
use super::super::ask::Ask;
use super::super::problem::Problem;
use super::super::query::Query;
use super::super::routes::Reply;
use super::encoded::{Encoded, Question};
use super::filter::{Filter, PARAMETERS};
use super::wait::Waiter;
use super::{Desk, key, no_service};

/// The longest wait; proxies and people lose patience later than this.
const WAIT_MAX: Duration = Duration::from_secs(600);

/// Answers at once, or, where `wait` is given and `version` is that of now, when the answer differs.
pub(super) fn answer(desk: &Arc<Desk>, ask: &Ask) -> Reply {
    match begin(desk, ask) {
        Ok(Begun::Now(outcome)) => Box::pin(std::future::ready(outcome)),
        Ok(Begun::Wait(question, seen, at_most)) => {
            let waiter = Waiter::new(Arc::clone(desk), question, seen, Instant::now() + at_most);
            Box::pin(async move { tell(&*waiter.answer().await).ok_or_else(|| no_service(waiter.key())) })
        }
        Err(problem) => Box::pin(std::future::ready(Err(problem))),
    }
}

enum Begun {
    Now(Result<Answer, Problem>),
    Wait(Question, Version, Duration),
}

fn begin(desk: &Arc<Desk>, ask: &Ask) -> Result<Begun, Problem> {
    let known = [&PARAMETERS[..], &["wait", "version"]].concat();
    ask.query.only(&known)?;
    let filter = Filter::read(&ask.query)?;
    let (at_most, seen) = (at_most(&ask.query)?, version(&ask.query)?);
    let question = Question { key: key(ask), filter };
    let answer = desk.encoder.answer(&question, desk.snapshot()?.get(&question.key));
    match (at_most, seen) {
        (Some(at_most), Some(seen)) if seen == answer.version => Ok(Begun::Wait(question, seen, at_most)),
        _ => {
            let asked = ask.headers.get(IF_NONE_MATCH).and_then(|tag| tag.to_str().ok());
            if asked.is_some_and(|asked| answer.body.is_some() && asked.contains(&answer.version.to_string())) {
                let unchanged = Answer::new(StatusCode::NOT_MODIFIED, "application/json", Default::default());
                return Ok(Begun::Now(Ok(unchanged.with_header(ETAG, tag(&answer)))));
            }
            Ok(Begun::Now(tell(&answer).ok_or_else(|| no_service(&question.key))))
        }
    }
}

fn tell(answer: &Encoded) -> Option<Answer> {
    let body = answer.body.clone()?;
    Some(Answer::encoded(body).with_header(ETAG, tag(answer)))
}

fn tag(answer: &Encoded) -> HeaderValue {
    // Hexadecimal digits in quotes are a header's value.
    HeaderValue::from_str(&format!("\"{}\"", answer.version)).unwrap_or_else(|_| HeaderValue::from_static("\"\""))
}

fn at_most(query: &Query) -> Result<Option<Duration>, Problem> {
    let Some(text) = query.one("wait")? else { return Ok(None) };
    let units = [("ms", 1), ("s", 1000), ("m", 60_000)];
    let read = |(unit, ms): (&str, u64)| text.strip_suffix(unit)?.parse::<u64>().ok()?.checked_mul(ms);
    let wait = units.into_iter().find_map(read).map(Duration::from_millis).filter(|wait| *wait <= WAIT_MAX);
    wait.map(Some).ok_or_else(|| {
        Problem::bad_request(format!(
            "wait={text} cannot be used; give a whole number with unit, at most 10m, such as 30s"
        ))
    })
}

fn version(query: &Query) -> Result<Option<Version>, Problem> {
    let Some(text) = query.one("version")? else { return Ok(None) };
    let digits = text.len() == 16 && text.bytes().all(|digit| digit.is_ascii_hexdigit());
    let version = digits.then(|| u64::from_str_radix(text, 16).ok()).flatten();
    version.map(|version| Some(Version(version))).ok_or_else(|| {
        Problem::bad_request(format!("version={text} is none; give the 16 digits of the last answer's version"))
    })
}
