//! What is told of DiscoveryPolicies: their status, and the sections that are in force in statuses and entries.

use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};
use rollcall_catalog::digest::{Digest, Version};
use rollcall_catalog::policy::Section;
use rollcall_catalog::report::{self, Report};
use rollcall_catalog::service::Service;
use rollcall_crds::conditions::{self, IN_FORCE, accepted, in_force as reasons};
use rollcall_crds::{DiscoveryPolicyStatus, FailingPod, GovernedService, PolicyInForce};

use super::limits;
use super::observed::SeenPolicy;
use super::status::{self, whole_seconds};
use crate::policy::words;

/// What `target` says of all services of a namespace.
const ALL: &str = "*";
/// As many checks as a policy may have.
const POD_CHECKS_MAX: usize = 8;

/// The sections of DiscoveryPolicies that are in force for a service. What is the cluster's default is left out: it is the same
/// for all, and no reason to write all of them.
pub fn in_force(service: &Service) -> Vec<PolicyInForce> {
    let sections = Section::ALL.into_iter().filter_map(|section| Some((section, service.policy.source(section)?)));
    sections
        .map(|(section, from)| PolicyInForce {
            section: section.as_str().to_owned(),
            from: from.to_string(),
            says: words::says(&service.policy, section),
        })
        .collect()
}

/// The status that a policy should have. Times stay as long as what they time does.
pub fn desired(seen: &SeenPolicy, report: &Report, now: Timestamp) -> DiscoveryPolicyStatus {
    let services = report.services.iter().map(|(name, sections)| GovernedService {
        name: name.to_string(),
        sections: sections.iter().map(|section| section.as_str().to_owned()).collect(),
    });
    let others = seen.conditions.iter().filter(|said| ![conditions::ACCEPTED, IN_FORCE].contains(&said.type_.as_str()));
    let room = limits::STATUS_CONDITIONS.saturating_sub(others.count());
    let ours = [is_in_force(report), accepted(report)];
    DiscoveryPolicyStatus {
        observed_generation: seen.generation,
        target: report.statement.service.as_deref().unwrap_or(ALL).to_owned(),
        conditions: ours.into_iter().take(room).map(|said| condition(said, seen, now)).collect(),
        services: services.collect(),
        services_total: number(report.services_total),
        held_endpoints: number(report.held),
        damped_endpoints: number(report.damped),
        stale_services: number(report.stale),
        failing_pods_total: number(report.failing_total),
        failing_pods: report.failing.iter().map(|pod| failing(pod, seen)).collect(),
    }
}

/// A pod that fails. Of its checks times stay as long as what they time does.
fn failing(pod: &report::FailingPod, seen: &SeenPolicy) -> FailingPod {
    let before = seen.failing.iter().find(|before| before.service == *pod.service && before.pod == *pod.pod);
    let known = before.map(|before| &*before.checks).unwrap_or_default();
    FailingPod {
        service: pod.service.to_string(),
        pod: pod.pod.to_string(),
        addresses: pod.addresses.iter().map(|ip| ip.to_string()).collect(),
        checks: status::checks::desired_of(known, &pod.checks).into_iter().take(POD_CHECKS_MAX).collect(),
    }
}

/// The version of a status, all of it.
pub fn version(status: &DiscoveryPolicyStatus) -> Version {
    Digest::default().text(&serde_json::to_string(status).unwrap_or_default()).finish()
}

/// Type, whether it holds, reason and message of a condition.
type Said = (&'static str, bool, &'static str, String);

fn accepted(report: &Report) -> Said {
    let problems = &report.statement.problems;
    match problems.is_empty() {
        true => (conditions::ACCEPTED, true, accepted::ACCEPTED, "all of it is in use".to_owned()),
        false => (conditions::ACCEPTED, false, accepted::UNSUPPORTED_VALUE, problems.join("; ")),
    }
}

fn is_in_force(report: &Report) -> Said {
    let said = |holds, reason, message: String| (IN_FORCE, holds, reason, message);
    let (statement, services) = (&report.statement, report.services_total);
    let target = statement.service.as_deref();
    let machines = match statement.maintenance.len() {
        0 => String::new(),
        1 => format!("machine {} is in maintenance", statement.maintenance[0].0),
        count => format!("{count} machines are in maintenance"),
    };
    if statement.sections().next().is_none() {
        let (holds, reason) = (!machines.is_empty(), reasons::MAINTENANCE);
        let nothing = "no section of it can be used; see the condition Accepted".to_owned();
        return if holds { said(true, reason, machines) } else { said(false, reasons::OVERRIDDEN, nothing) };
    }
    if let Some(older) = &report.loses_to {
        let whose =
            target.map_or_else(|| "for all services of the namespace".to_owned(), |name| format!("for service {name}"));
        let message = format!(
            "DiscoveryPolicy {older} is {whose}, too, and older; put all into one, or give this another target"
        );
        return said(false, reasons::CONFLICT, message);
    }
    let also = if machines.is_empty() { machines } else { format!("; {machines}") };
    match (services, target) {
        (0, Some(name)) => {
            let message = format!("there is no service {name} in this namespace; it counts as soon as there is{also}");
            said(false, reasons::NO_SERVICE, message)
        }
        (0, None) => {
            let message = "there is no service in this namespace, or each has a policy of its own for all of this";
            said(false, reasons::NO_SERVICE, format!("{message}{also}"))
        }
        (1, Some(name)) => said(true, reasons::IN_FORCE, format!("for service {name}{also}")),
        (1, None) => said(true, reasons::IN_FORCE, format!("for 1 service of the namespace{also}")),
        (count, _) => said(true, reasons::IN_FORCE, format!("for {count} services of the namespace{also}")),
    }
}

fn condition((type_, holds, reason, message): Said, seen: &SeenPolicy, now: Timestamp) -> Condition {
    let status = if holds { conditions::status::TRUE } else { conditions::status::FALSE };
    let before = seen.conditions.iter().find(|before| before.type_ == type_ && before.status == status);
    Condition {
        type_: type_.to_owned(),
        status: status.to_owned(),
        reason: reason.to_owned(),
        message: limits::CONDITION_MESSAGE.cut(&message),
        observed_generation: seen.generation,
        last_transition_time: before
            .map_or_else(|| Time(whole_seconds(now)), |before| before.last_transition_time.clone()),
    }
}

fn number(count: usize) -> u32 {
    u32::try_from(count).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests;
