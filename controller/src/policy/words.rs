//! A section of a policy in plain words.

use rollcall_catalog::policy::{Policy, Scope, Section, WhenStale};
use rollcall_crds::ApiDuration;

use rollcall_vantage::lookout::Lookout;

/// What a section says, in plain words.
pub fn says(policy: &Policy, section: Section) -> String {
    let words = ApiDuration::rounded_up;
    match section {
        Section::Staleness => policy.staleness.map(|staleness| {
            let then = match staleness.then {
                WhenStale::Serve => "served on, marked as stale",
                WhenStale::Refuse => "refused",
            };
            format!("after {} without word from its source {then}", words(staleness.after))
        }),
        Section::Guard => policy.removal.map(|guard| {
            let whose = match guard.scope {
                Scope::All => "endpoints",
                Scope::Registered => "registered endpoints",
            };
            let (percent, minimum) = (guard.percent_max, guard.endpoints_min);
            let (window, hold) = (words(guard.window), words(guard.hold));
            format!("more than {percent} % of {minimum} or more {whose} that leave within {window} are held for {hold}")
        }),
        Section::Damping => policy.damping.map(|damping| {
            let (penalty, half_life) = (damping.penalty, words(damping.half_life));
            let (suppress, reuse) = (damping.suppress, damping.reuse);
            format!("{penalty} for each fall, halved each {half_life}; out from {suppress} until {reuse}")
        }),
        Section::Confirmation => {
            let replicas = policy.confirmation.replicas;
            let replicas = (replicas > 0).then(|| format!("up to {replicas} others"));
            let others = policy.confirmation.others.iter().map(|name| Lookout::says(name));
            let asked: Vec<_> = replicas.into_iter().chain(others).collect();
            (!asked.is_empty()).then(|| format!("{} are asked before an endpoint turns Critical", asked.join(", ")))
        }
        Section::Warning => match policy.warning.percent {
            100.. => None,
            0 => Some("on streams endpoints in Warning are called only while none is Passing".to_owned()),
            percent => Some(format!("on streams an endpoint in Warning gets {percent} % of what a Passing one gets")),
        },
        Section::PodChecks => policy.pod_checks.as_ref().map(|checks| checks.says.to_string()),
    }
    .unwrap_or_else(|| "off".to_owned())
}
