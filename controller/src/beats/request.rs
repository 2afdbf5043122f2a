//! `PUT …/beat`: a heartbeat by one request, as curl sends it.

use std::time::Duration;

use jiff::Timestamp;
use rollcall_catalog::input::{Origin, OriginKind};
use rollcall_health::beat::{Due, Said, Status};
use serde::{Deserialize, Serialize};

use super::hearing::{Hearing, Refused};
use crate::api::problem::Kind;
use crate::api::routes::Admits;
use crate::api::{Answer, Ask, Problem, Route};
use crate::time::clock::Clock;

/// Where beats are put.
pub const PATH: &str = "/v1/namespaces/{namespace}/registrations/{registration}/endpoints/{endpoint}/beat";

/// Bytes of a body: a status and a note, with room for escapes.
const BODY_BYTES_MAX: usize = 4096;

/// What an instance may say with a beat.
#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Body {
    status: Word,
    note: String,
}

#[derive(Clone, Copy, Debug, Default, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Word {
    #[default]
    Pass,
    Warn,
    Fail,
    Stopped,
}

/// When the next one is due.
#[derive(Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
struct Next {
    /// By the clock of this replica, for people; who beats counts from now.
    due: String,
    within_seconds: f64,
    interval_seconds: f64,
}

/// The route. Beats go to `hearing`.
pub fn route(hearing: Hearing, clock: Clock) -> Route {
    let right = Admits::Right { verb: "update", resource: "serviceregistrations/beat", of: "registration" };
    let handler = move |ask: Ask| std::future::ready(put(&hearing, &clock, &ask));
    Route::put(PATH, BODY_BYTES_MAX, handler).admits(right)
}

fn put(hearing: &Hearing, clock: &Clock, ask: &Ask) -> Result<Answer, Problem> {
    let said = said(&ask.body)?;
    let origin = Origin::here(OriginKind::ServiceRegistration, ask.name("namespace"), ask.name("registration"));
    let due = hearing.report(&origin, ask.name("endpoint"), &said).map_err(|refused| problem(&refused))?;
    Ok(Answer::json(&next(due, clock.timestamp())))
}

/// A body that is not there says that all is well.
fn said(body: &[u8]) -> Result<Said, Problem> {
    if body.trim_ascii().is_empty() {
        return Ok(Said::PASS);
    }
    let Body { status, note } = serde_json::from_slice(body).map_err(|error| {
        Problem::bad_request(format!(
            "the body of a beat: {error}; send none, or JSON such as {{\"status\": \"warn\", \"note\": \"disk 91 %\"}} with a \
             status of pass, warn, fail or stopped"
        ))
    })?;
    let status = match status {
        Word::Pass => Status::Pass,
        Word::Warn => Status::Warn,
        Word::Fail => Status::Fail,
        Word::Stopped => Status::Stopped,
    };
    Ok(Said::new(status, &note))
}

fn problem(refused: &Refused) -> Problem {
    let words = refused.to_string();
    match refused {
        // It may have been created just now.
        Refused::UnknownRegistration { .. } => Problem::not_found(words).retry_after(Duration::from_secs(1)),
        Refused::UnknownEndpoint { .. } => Problem::not_found(words),
        Refused::NoHeartbeat { .. } => Problem::new(Kind::Conflict, words),
    }
}

fn next(Due { within, interval }: Due, now: Timestamp) -> Next {
    let due = now.checked_add(within).unwrap_or(now);
    Next {
        due: due.strftime("%Y-%m-%dT%H:%M:%S%.3fZ").to_string(),
        within_seconds: within.as_secs_f64(),
        interval_seconds: interval.as_secs_f64(),
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::beats::Metrics;
    use crate::replicas::Roster;

    fn refused(body: &str) -> String {
        said(body.as_bytes()).expect_err("refused").detail().to_owned()
    }

    #[test]
    fn a_body_may_be_left_out_and_a_wrong_one_is_told_its_place_and_what_to_send() {
        assert_eq!(said(b" \n").expect("nothing to say"), Said::PASS);
        assert_eq!(said(b"{}").expect("nothing to say"), Said::PASS);
        let warn = said(br#"{"status": "warn", "note": "disk 91 %"}"#).expect("a status");
        assert_eq!((warn.status(), warn.note()), (Status::Warn, Some("disk 91 %")));
        let unknown = refused(r#"{"status": "critical"}"#);
        assert!(
            unknown.contains("unknown variant `critical`") && unknown.contains("status of pass, warn"),
            "{unknown}"
        );
        assert!(refused(r#"{"state": "pass"}"#).contains("unknown field `state`"));
        assert!(refused("pass").contains("line 1 column 1"));
    }

    #[test]
    fn the_answer_says_by_when_the_next_is_due() {
        let now = "2026-11-28T10:00:00Z".parse().expect("a time");
        let next = next(Due { within: Duration::from_millis(3_500), interval: Duration::from_secs(1) }, now);
        let json = r#"{"due":"2026-11-28T10:00:03.500Z","withinSeconds":3.5,"intervalSeconds":1.0}"#;
        assert_eq!(serde_json::to_string(&next).expect("JSON"), json);
    }

    #[test]
    fn each_refusal_has_its_status() {
        let hearing = Hearing::new(Roster::alone("a"), Clock::default(), Metrics::default());
        let vms = Arc::new(Origin::here(OriginKind::ServiceRegistration, "shop", "vms"));
        let kind = |hearing: &Hearing| problem(&hearing.beat(&vms, "vm-1").expect_err("refused")).kind();
        assert_eq!(kind(&hearing), Kind::NotFound);
        hearing.register(&vms, None, &[]);
        assert_eq!(kind(&hearing), Kind::Conflict);
        hearing.register(&vms, Some(Arc::default()), &[]);
        assert_eq!(kind(&hearing), Kind::NotFound);
    }
}
