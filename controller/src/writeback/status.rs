//! The status of a registration: health of each endpoint, and conditions in plain words.

pub mod checks;

use std::collections::BTreeMap;

use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};
use rollcall_catalog::digest::{Digest, Version};
use rollcall_catalog::input::{Fault, ServiceKind};
use rollcall_catalog::model::{EndpointName, Health, Name};
use rollcall_catalog::service::{Member, Registered, Service, Why};
use rollcall_catalog::treatment::Penalty;
use rollcall_crds::conditions::{self, accepted, published, ready};
use rollcall_crds::{EndpointStatus, FlapStatus, Health as ApiHealth, ServiceRegistrationStatus};

use super::entries;
use super::evict;
use super::limits;
use super::observed::{SeenEndpoint, SeenRegistration};
use super::policies;

/// What is known of the EndpointSlices of a registration's service.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Publication {
    /// They stand as they should.
    Stands,
    /// They are to be written yet.
    Pending,
    /// The API server refused the write, in its words.
    Refused(String),
}

/// Two replicas that run the same check decide within this time of each other.
pub(super) const SAME_SECONDS: i64 = 10;

/// What the catalog made of one endpoint.
enum Fate<'a> {
    In(&'a Member),
    Out(&'a Why),
}

/// The status that a registration should have. Times stay as long as what they time does.
pub fn desired(
    seen: &SeenRegistration,
    service: &Service,
    registered: &Registered,
    publication: &Publication,
    now: Timestamp,
) -> ServiceRegistrationStatus {
    let fates = fates(service, registered);
    let endpoints: Vec<_> = seen
        .endpoints
        .iter()
        .filter_map(|said| Some(endpoint(seen, service, said, fates.get(&EndpointName::Said(&said.name))?, now)))
        .collect();
    let callable = endpoints.iter().filter(|endpoint| endpoint.callable).count();
    let published = published(service, fates.values().any(|fate| matches!(fate, Fate::In(_))), publication);
    let accepted = accepted(registered, &fates);
    let ready = ready(seen, &endpoints, callable, &accepted, &published);
    let ready = match held(&fates) {
        Some(held) if !matches!(ready.reason, ready::MAINTENANCE | ready::NOT_PUBLISHED) => held,
        _ => ready,
    };
    let mut status = ServiceRegistrationStatus {
        observed_generation: seen.generation,
        callable: format!("{callable}/{}", endpoints.len()),
        conditions: fitting([accepted, published, ready], seen, now),
        endpoints,
        policy: policies::in_force(service),
        endpoints_omitted: 0,
        time_to_evict: registered.time_to_evict.map(|terms| evict::terms(&terms)),
    };
    leave_room(&mut status, seen.bytes);
    status
}

/// Our conditions, as many as fit beside those of others: the summary is the last to go.
fn fitting(ours: [Said; 3], seen: &SeenRegistration, now: Timestamp) -> Vec<Condition> {
    let before = seen.conditions();
    let others = before.iter().filter(|said| !conditions::ALL.contains(&said.type_.as_str())).count();
    let room = limits::STATUS_CONDITIONS.saturating_sub(others);
    let skipped = ours.len().saturating_sub(room);
    ours.into_iter().skip(skipped).map(|said| said.condition(&before, seen.generation, now)).collect()
}

/// Leaves endpoints out of the status of a registration that leaves no room for them in etcd: first those that callers
/// get, of which there is least to say.
fn leave_room(status: &mut ServiceRegistrationStatus, registration_bytes: usize) {
    let room = limits::REGISTRATION_BYTES.saturating_sub(registration_bytes);
    let size = |endpoint: &EndpointStatus| serde_json::to_string(endpoint).map_or(0, |text| text.len() + 1);
    let mut bytes: usize = status.endpoints.iter().map(size).sum();
    if bytes <= room {
        return;
    }
    let listed = status.endpoints.len();
    for callable in [true, false] {
        status.endpoints.retain(|endpoint| {
            let keep = bytes <= room || endpoint.callable != callable;
            bytes -= if keep { 0 } else { size(endpoint) };
            keep
        });
    }
    status.endpoints_omitted = u32::try_from(listed - status.endpoints.len()).unwrap_or(u32::MAX);
}

/// The version of a status, all of it.
pub fn version(status: &ServiceRegistrationStatus) -> Version {
    Digest::default().text(&serde_json::to_string(status).unwrap_or_default()).finish()
}

fn fates<'a>(service: &'a Service, registered: &Registered) -> BTreeMap<EndpointName<'a>, Fate<'a>> {
    let members = service.endpoints.iter().filter(|member| member.origin == registered.origin);
    let excluded = service.excluded.iter().filter(|excluded| excluded.origin == registered.origin);
    members
        .map(|member| (member.endpoint.name(), Fate::In(member)))
        .chain(excluded.map(|excluded| (EndpointName::Said(&excluded.name), Fate::Out(&excluded.why))))
        .collect()
}

fn endpoint(
    seen: &SeenRegistration,
    service: &Service,
    said: &SeenEndpoint,
    fate: &Fate<'_>,
    now: Timestamp,
) -> EndpointStatus {
    let name = &said.name;
    let (health, callable, verdict_ms, reason, message) = match fate {
        Fate::In(member) => (member.health, service.gives(member), member.since_ms, member.reason.to_string(), None),
        Fate::Out(why @ Why::Deregistered(gone)) => {
            (Health::Critical, false, Some(gone.since_ms), gone.reason.to_string(), Some(why.to_string()))
        }
        Fate::Out(why) => (Health::Unknown, false, None, "left out".to_owned(), Some(why.to_string())),
    };
    let health = entries::health(health);
    // A restarted check is Unknown anew; people want to know since when it is not known.
    let verdict =
        verdict_ms.filter(|_| health != ApiHealth::Unknown).and_then(|ms| Timestamp::from_millisecond(ms).ok());
    let before = before(seen, name, health);
    // Another replica may have decided the same a moment earlier or later: that is no news.
    let stands = before.filter(|before| {
        verdict.is_some_and(|verdict| (verdict.as_second() - before.as_second()).abs() <= SAME_SECONDS)
    });
    let since = stands.or(verdict).or(before).unwrap_or(now);
    let checks = match fate {
        Fate::In(member) => checks::desired(seen, name, &member.checks),
        // From them a restarted controller takes up where this one was.
        Fate::Out(Why::Deregistered(gone)) => checks::desired(seen, name, &gone.checks),
        Fate::Out(_) => Vec::new(),
    };
    let flaps = match fate {
        Fate::In(member) => member.treatment.as_ref().and_then(|treatment| treatment.penalty).map(flaps),
        Fate::Out(_) => None,
    };
    EndpointStatus {
        name: name.to_string(),
        addresses: said.addresses(),
        health,
        callable,
        since: Time(whole_seconds(since)),
        reason: limits::STATUS_REASON.cut(&reason),
        message: message.map(|message| limits::STATUS_REASON.cut(&message)),
        checks,
        flaps,
    }
}

fn flaps(penalty: Penalty) -> FlapStatus {
    let at = Timestamp::from_millisecond(penalty.at_ms).unwrap_or_default();
    FlapStatus { penalty: penalty.value, at: Time(whole_seconds(at)), damped: penalty.damped }
}

/// Since when an endpoint has a health that no verdict times.
fn before(seen: &SeenRegistration, name: &Name, health: ApiHealth) -> Option<Timestamp> {
    seen.told(name).filter(|told| told.health == health).map(|told| told.since)
}

/// The API keeps whole seconds; what it would cut off would look like a change for ever.
pub(super) fn whole_seconds(time: Timestamp) -> Timestamp {
    Timestamp::from_second(time.as_second()).unwrap_or(time)
}

/// A condition without its times.
struct Said {
    type_: &'static str,
    status: &'static str,
    reason: &'static str,
    message: String,
}

// === impl Said ===

impl Said {
    fn new(type_: &'static str, status: &'static str, reason: &'static str, message: impl Into<String>) -> Self {
        Self { type_, status, reason, message: message.into() }
    }

    /// With the time of the same word `before`.
    fn condition(self, before: &[Condition], generation: Option<i64>, now: Timestamp) -> Condition {
        let before = before.iter().find(|before| before.type_ == self.type_ && before.status == self.status);
        Condition {
            last_transition_time: before
                .map_or_else(|| Time(whole_seconds(now)), |before| before.last_transition_time.clone()),
            message: limits::CONDITION_MESSAGE.cut(&self.message),
            observed_generation: generation,
            reason: self.reason.to_owned(),
            status: self.status.to_owned(),
            type_: self.type_.to_owned(),
        }
    }
}

fn accepted(registered: &Registered, fates: &BTreeMap<EndpointName<'_>, Fate<'_>>) -> Said {
    let excluded = fates.iter().filter_map(|(name, fate)| match fate {
        // That a Service is an alias is no fault of the spec; the other two conditions say it.
        Fate::In(_) | Fate::Out(Why::Alias(_)) => None,
        Fate::Out(why) => Some((reason(why), format!("endpoint {name}: {why}"))),
    });
    let problems = registered.problems.iter().map(|problem| (fault(problem.fault), problem.words.to_string()));
    let all: Vec<_> = problems.chain(excluded).collect();
    let Some((first, _)) = all.first() else {
        return Said::new(
            conditions::ACCEPTED,
            conditions::status::TRUE,
            accepted::ACCEPTED,
            "everything in the spec is in use",
        );
    };
    let reason = if all.iter().all(|(reason, _)| reason == first) { first } else { accepted::SEVERAL };
    let message = listed(all.iter().map(|(_, message)| message.as_str()), ACCEPTED_SENTENCES);
    Said::new(conditions::ACCEPTED, conditions::status::FALSE, reason, message)
}

fn reason(why: &Why) -> &'static str {
    match why {
        Why::Claimed { .. } => accepted::ADDRESS_CONFLICT,
        Why::Refused(..) => accepted::ADDRESS_NOT_ALLOWED,
        Why::UnknownPorts(_) => accepted::UNKNOWN_PORT,
        Why::Unusable(problem) => fault(problem.fault),
        Why::Family(_) => accepted::FAMILY_MISMATCH,
        Why::Deregistered(_) => accepted::DEREGISTERED,
        Why::Alias(_) => published::SERVICE_HAS_NO_ENDPOINTS,
        Why::NoService | Why::PodGone => accepted::UNSUPPORTED_VALUE,
    }
}

fn fault(fault: Fault) -> &'static str {
    match fault {
        Fault::UnknownPort => accepted::UNKNOWN_PORT,
        Fault::UnsupportedValue => accepted::UNSUPPORTED_VALUE,
        Fault::Unresolved => accepted::UNRESOLVED,
    }
}

fn published(service: &Service, any: bool, publication: &Publication) -> Said {
    let said = |status, reason, message: &str| Said::new(conditions::PUBLISHED, status, reason, message);
    let kind = service.facts.as_deref().map(|facts| &facts.kind);
    match (kind, publication) {
        (None, _) => said(
            conditions::status::FALSE,
            published::NO_SERVICE,
            "no EndpointSlice was written, as there is no Service of this name; DNS, streams and the catalog have the endpoints all the same",
        ),
        (Some(ServiceKind::ExternalName(_)), _) => said(
            conditions::status::FALSE,
            published::SERVICE_HAS_NO_ENDPOINTS,
            "no EndpointSlice was written, as the Service is an alias (type ExternalName); give it another type or the registration another service",
        ),
        (Some(ServiceKind::ClusterIp(_) | ServiceKind::Headless), _) if !any => said(
            conditions::status::FALSE,
            published::NOTHING_TO_PUBLISH,
            "no endpoint was accepted; see the condition Accepted",
        ),
        (Some(_), Publication::Stands) => {
            said(conditions::status::TRUE, published::PUBLISHED, "the EndpointSlices are written")
        }
        (Some(_), Publication::Pending) => {
            said(conditions::status::UNKNOWN, published::PENDING, "the EndpointSlices are being written")
        }
        (Some(_), Publication::Refused(error)) => said(
            conditions::status::FALSE,
            published::WRITE_FAILED,
            &format!("the API server refused an EndpointSlice: {error}"),
        ),
    }
}

/// The summary where a guard keeps endpoints callable that have left: they are given to callers, and something is wrong.
fn held(fates: &BTreeMap<EndpointName<'_>, Fate<'_>>) -> Option<Said> {
    let is_held = |member: &&Member| member.treatment.as_ref().is_some_and(|treatment| treatment.held);
    let members = fates.values().filter_map(|fate| match fate {
        Fate::In(member) => Some(*member),
        Fate::Out(_) => None,
    });
    let held: Vec<_> = members.filter(is_held).collect();
    let words = held.iter().map(|member| format!("{}: {}", member.endpoint.name(), member.reason));
    (!held.is_empty())
        .then(|| Said::new(conditions::READY, conditions::status::FALSE, ready::HELD, listed(words, READY_SENTENCES)))
}

/// The summary: whether every endpoint can be called, in every way in which the registration wants it to be.
fn ready(
    seen: &SeenRegistration,
    endpoints: &[EndpointStatus],
    callable: usize,
    accepted: &Said,
    published: &Said,
) -> Said {
    let said = |status, reason, message: String| Said::new(conditions::READY, status, reason, message);
    if let Some(reason) = &seen.maintenance {
        return said(conditions::status::FALSE, ready::MAINTENANCE, format!("in maintenance: {reason}"));
    }
    if matches!(published.reason, published::SERVICE_HAS_NO_ENDPOINTS | published::WRITE_FAILED) {
        return said(conditions::status::FALSE, ready::NOT_PUBLISHED, published.message.clone());
    }
    let is_out = |endpoint: &&EndpointStatus| {
        !endpoint.callable || matches!(endpoint.health, ApiHealth::Critical | ApiHealth::Unknown)
    };
    let out: Vec<_> = endpoints.iter().filter(is_out).collect();
    let words = || {
        let one = |out: &&EndpointStatus| format!("{}: {}", out.name, out.message.as_deref().unwrap_or(&out.reason));
        listed(out.iter().map(one), READY_SENTENCES)
    };
    if out.is_empty() && accepted.status == conditions::status::FALSE {
        said(conditions::status::FALSE, ready::NOT_ACCEPTED, accepted.message.clone())
    } else if out.is_empty() {
        said(conditions::status::TRUE, ready::ALL_PASSING, format!("all of {callable} can be called"))
    } else if endpoints.iter().all(|endpoint| endpoint.message.is_some()) {
        said(conditions::status::FALSE, ready::NOT_ACCEPTED, words())
    } else if callable == 0 && out.iter().all(|out| out.health == ApiHealth::Unknown) {
        said(conditions::status::UNKNOWN, ready::PENDING, words())
    } else if callable == 0 {
        said(conditions::status::FALSE, ready::NONE_CALLABLE, words())
    } else {
        said(conditions::status::FALSE, ready::SOME_FAILING, words())
    }
}

/// Whoever mends a registration wants to read what is wrong with it.
const ACCEPTED_SENTENCES: usize = 5;
/// A column of `kubectl get`; the status has the rest by endpoint.
const READY_SENTENCES: usize = 1;

/// Sentences in one, at most `max` of them.
fn listed(sentences: impl Iterator<Item = impl AsRef<str>>, max: usize) -> String {
    let mut sentences: Vec<_> = sentences.map(|sentence| sentence.as_ref().to_owned()).collect();
    let more = sentences.len().saturating_sub(max);
    sentences.truncate(max);
    if more > 0 {
        sentences.push(format!("and {more} more"));
    }
    sentences.join("; ")
}

#[cfg(test)]
mod tests;
