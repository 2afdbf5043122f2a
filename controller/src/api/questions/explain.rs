//! `GET …/explain`: the whole story of a service, or of one of its endpoints.

use std::net::IpAddr;
use std::sync::Arc;

use rollcall_catalog::input::{CheckVerdict, Place};
use rollcall_catalog::model::Health;
use rollcall_catalog::policy::{Policy, Section};
use rollcall_catalog::service::{Excluded, Member, Registered, Service};
use rollcall_health::checks::Account;
use rollcall_health::ledger::{Evidence, Vantage, Witness};
use serde::Serialize;
use serde_json::{Map, Value, json};

use super::super::answer::Answer;
use super::super::ask::Ask;
use super::super::problem::{Action, Problem};
use super::history::Transition;
use super::services::ServiceTold;
use super::told::{Told, duration, moment, word};
use super::vantage::Accounts;
use super::{Desk, Linked, key, no_service};
use crate::policy::words;
use rollcall_vantage::lookout::Lookout;

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Story<'a> {
    #[serde(flatten)]
    service: ServiceTold<'a>,
    /// By section: what it says, and which object it is from.
    policy: Value,
    held: usize,
    damped: usize,
    #[serde(skip_serializing_if = "Option::is_none")]
    stale_since: Option<String>,
    registrations: Vec<RegistrationTold<'a>>,
    endpoints: Vec<EndpointStory<'a>>,
    /// Endpoints that were kept out.
    excluded: Vec<ExcludedTold<'a>>,
    /// Endpoints that are there no more, and how they went.
    gone: Vec<GoneTold>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct EndpointStory<'a> {
    #[serde(flatten)]
    told: Told<'a>,
    id: String,
    reason: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    since: Option<String>,
    conditions: Value,
    /// Of an endpoint of another cluster: which, and how old the word on it is.
    #[serde(skip_serializing_if = "Option::is_none")]
    imported: Option<ImportedTold<'a>>,
    /// Kept callable although it left: too many went at once.
    held: bool,
    /// Kept out whatever its checks say: it fell too often.
    damped: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    penalty: Option<PenaltyTold>,
    /// The replica whose word on it counts.
    #[serde(skip_serializing_if = "Option::is_none")]
    judge: Option<&'a str>,
    checks: Vec<CheckTold<'a>>,
    transitions: Vec<TransitionTold>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct ImportedTold<'a> {
    cluster: &'a str,
    /// The object; absent where the cluster is this one, or its link is gone.
    #[serde(skip_serializing_if = "Option::is_none")]
    link: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    state: Option<&'static str>,
    /// When the cluster was heard last; absent where an earlier process did.
    #[serde(skip_serializing_if = "Option::is_none")]
    heard: Option<String>,
    /// How long ago that was.
    #[serde(skip_serializing_if = "Option::is_none")]
    age_seconds: Option<i64>,
}

#[derive(Serialize)]
struct CheckTold<'a> {
    name: &'a str,
    #[serde(serialize_with = "word")]
    health: Health,
    since: Option<String>,
    reason: &'a str,
    seen: Vec<SeenTold<'a>>,
}

/// What a check says from one vantage point.
#[derive(Serialize)]
struct SeenTold<'a> {
    from: String,
    #[serde(serialize_with = "word")]
    health: Health,
    since: Option<String>,
    reason: &'a str,
}

#[derive(Serialize)]
struct PenaltyTold {
    value: u32,
    at: Option<String>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct RegistrationTold<'a> {
    origin: String,
    generation: Option<i64>,
    time_to_evict: Option<Value>,
    problems: Vec<&'a str>,
}

#[derive(Serialize)]
struct ExcludedTold<'a> {
    name: &'a str,
    origin: String,
    addresses: Vec<IpAddr>,
    reason: String,
}

#[derive(Serialize)]
struct GoneTold {
    name: String,
    origin: String,
    transitions: Vec<TransitionTold>,
}

#[derive(Serialize)]
struct TransitionTold {
    at: Option<String>,
    from: Option<String>,
    to: Option<String>,
    callable: bool,
    reason: String,
}

/// Answers with the story.
pub(super) async fn answer(desk: Arc<Desk>, ask: Ask) -> Result<Answer, Problem> {
    ask.query.only(&[])?;
    let key = key(&ask);
    let service = desk.snapshot()?.get(&key).cloned().ok_or_else(|| no_service(&key))?;
    let accounts = desk.lookout.look(&service).await;
    told(&desk, &service, &accounts, ask.name("endpoint"))
}

fn told(desk: &Desk, service: &Service, accounts: &Accounts, wanted: &str) -> Result<Answer, Problem> {
    let key = &service.key;
    let named = |name: &str| wanted.is_empty() || name == wanted;
    let members = service.endpoints.iter().filter(|member| named(&member.endpoint.name()));
    let mut endpoints: Vec<_> = members.map(|member| EndpointStory::new(service, member, desk, accounts)).collect();
    endpoints.sort_by(|a, b| (&a.told.name, &a.told.origin).cmp(&(&b.told.name, &b.told.origin)));
    let gone = desk.histories.gone(service).into_iter().filter(|gone| named(&gone.name)).map(|gone| GoneTold {
        name: gone.name.to_string(),
        origin: gone.origin.to_string(),
        transitions: gone.transitions.iter().map(TransitionTold::new).collect(),
    });
    let excluded = service.excluded.iter().filter(|excluded| named(&excluded.name)).map(ExcludedTold::new);
    let story = Story {
        service: ServiceTold::new(service),
        policy: policy(&service.policy),
        held: service.held,
        damped: service.damped,
        stale_since: service.stale.and_then(|since_s| moment(since_s.saturating_mul(1000))),
        registrations: service.registrations.iter().map(RegistrationTold::new).collect(),
        endpoints,
        excluded: excluded.collect(),
        gone: gone.collect(),
    };
    if !wanted.is_empty() && story.endpoints.is_empty() && story.excluded.is_empty() && story.gone.is_empty() {
        let list = format!("/v1/namespaces/{}/services/{}/explain", key.namespace, key.name);
        let problem = Problem::not_found(format!("{key} has no endpoint {wanted}"));
        return Err(problem.remedied(Action::ExplainService, list));
    }
    Ok(Answer::json(&story))
}

/// Every section, those of the cluster's default included.
fn policy(policy: &Policy) -> Value {
    let section = |section: Section| {
        let from = policy.source(section).map(|name| format!("DiscoveryPolicy/{name}"));
        (section.to_string(), json!({ "from": from, "says": words::says(policy, section) }))
    };
    Section::ALL.into_iter().map(section).collect::<Map<_, _>>().into()
}

// === impl EndpointStory ===

impl<'a> EndpointStory<'a> {
    fn new(service: &Service, member: &'a Member, desk: &Desk, accounts: &'a Accounts) -> Self {
        let (conditions, treatment) = (member.conditions, member.treatment.as_deref().copied().unwrap_or_default());
        let account = accounts.of(member);
        Self {
            told: Told::new(service, member),
            id: format!("{:016x}", member.id.0),
            reason: &member.reason,
            since: member.since_ms.and_then(moment),
            conditions: json!({
                "ready": conditions.ready, "serving": conditions.serving, "terminating": conditions.terminating,
            }),
            imported: ImportedTold::of(member, &desk.linked),
            held: treatment.held,
            damped: treatment.damped,
            penalty: treatment.penalty.map(|said| PenaltyTold { value: said.value, at: moment(said.at_ms) }),
            judge: account.map(|account| &*account.judge),
            checks: member.checks.iter().map(|check| CheckTold::new(check, account)).collect(),
            transitions: desk.histories.of(&service.key, member.id).iter().map(TransitionTold::new).collect(),
        }
    }
}

// === impl ImportedTold ===

impl<'a> ImportedTold<'a> {
    fn of(member: &'a Member, linked: &Linked) -> Option<Self> {
        let Place::Cluster(cluster) = &member.origin.place else { return None };
        let report = linked.reports.get(cluster);
        let heard_ms = report.as_ref().and_then(|report| report.heard_ms);
        Some(Self {
            cluster,
            link: report.as_ref().map(|_| format!("ClusterLink/{cluster}")),
            state: report.as_ref().map(|report| report.state.as_str()),
            heard: heard_ms.and_then(moment),
            age_seconds: heard_ms.map(|heard_ms| (linked.clock.wall_ms() - heard_ms).max(0) / 1_000),
        })
    }
}

// === impl CheckTold ===

impl<'a> CheckTold<'a> {
    fn new(check: &'a CheckVerdict, account: Option<&'a Account>) -> Self {
        let said = account.into_iter().flat_map(|account| &account.said);
        let seen = said.filter(|(witness, _)| witness.name == check.name).map(SeenTold::new);
        Self {
            name: &check.name,
            health: check.health,
            since: moment(check.since_ms),
            reason: &check.reason,
            seen: seen.collect(),
        }
    }
}

// === impl SeenTold ===

impl<'a> SeenTold<'a> {
    fn new((witness, evidence): &'a (Witness, Evidence)) -> Self {
        let from = match &witness.vantage {
            Vantage::Address(address) => format!("a probe of {address}"),
            Vantage::Instance => "the instance itself".to_owned(),
            Vantage::Machine => "the agent on the machine".to_owned(),
            Vantage::Peer(name) => format!("{}, which was asked", Lookout::says(name)),
        };
        Self { from, health: evidence.health, since: moment(evidence.since_ms), reason: &evidence.reason }
    }
}

// === impl RegistrationTold ===

impl<'a> RegistrationTold<'a> {
    fn new(registered: &'a Registered) -> Self {
        Self {
            origin: registered.origin.to_string(),
            generation: registered.generation,
            time_to_evict: registered.time_to_evict.map(|time| {
                json!({
                    "total": duration(time.total()),
                    "detection": duration(time.detection),
                    "confirmation": duration(time.confirmation),
                    "lateness": duration(time.lateness),
                })
            }),
            problems: registered.problems.iter().map(|problem| &*problem.words).collect(),
        }
    }
}

// === impl ExcludedTold ===

impl<'a> ExcludedTold<'a> {
    fn new(excluded: &'a Excluded) -> Self {
        let addresses = excluded.endpoint.iter().flat_map(|endpoint| endpoint.addresses.iter());
        Self {
            name: &excluded.name,
            origin: excluded.origin.to_string(),
            addresses: addresses.collect(),
            reason: excluded.why.to_string(),
        }
    }
}

// === impl TransitionTold ===

impl TransitionTold {
    fn new(transition: &Transition) -> Self {
        Self {
            at: moment(transition.at_ms),
            from: transition.from.map(|health| health.to_string()),
            to: transition.to.map(|health| health.to_string()),
            callable: transition.callable,
            reason: transition.reason.to_string(),
        }
    }
}
