//! DiscoveryPolicies become [`Statement`]s: sections with their defaults, and what in them cannot be used.

use std::collections::BTreeSet;

use rollcall_catalog::model::Name;
use rollcall_catalog::policy::{Confirmation, Damping, RemovalGuard, Scope, Staleness, Statement, Warned, WhenStale};
use rollcall_crds::{
    self as api, ConfirmationSpec, DampingSpec, DiscoveryPolicy, DiscoveryPolicySpec, GuardScope, GuardSpec,
    StalenessSpec,
};

use crate::kubernetes::created;
use rollcall_vantage::lookout::Lookout;

/// What a policy says. A section that cannot be used is as if it were not there, and is told.
pub fn statement(policy: &DiscoveryPolicy) -> Statement {
    let statement = sections(&policy.spec);
    Statement { generation: policy.metadata.generation, created: created(&policy.metadata), ..statement }
}

/// What the sections of a spec say.
pub fn sections(spec: &DiscoveryPolicySpec) -> Statement {
    let mut problems = Vec::new();
    let mut take = |problem: Name| problems.push(problem);
    let staleness = spec.staleness.as_ref().and_then(|said| staleness(said).map_err(&mut take).ok());
    let removal = spec.guard.as_ref().and_then(|said| guard(said).map_err(&mut take).ok());
    let damping = spec.damping.as_ref().and_then(|said| damping(said).map_err(&mut take).ok());
    let maintenance = spec.maintenance.iter().flat_map(|said| {
        let reason = Name::from(said.reason.as_str());
        said.machines.iter().map(move |machine| (Name::from(machine.as_str()), Name::clone(&reason)))
    });
    Statement {
        service: spec.target.as_ref().and_then(|target| target.service.as_deref()).map(Name::from),
        staleness,
        removal,
        damping,
        confirmation: spec.confirmation.as_ref().map(confirmation),
        warning: spec.warning.as_ref().map(|said| Warned { percent: said.percent.min(100) }),
        maintenance: maintenance.collect(),
        problems: problems.into(),
        ..Statement::default()
    }
}

fn confirmation(said: &ConfirmationSpec) -> Confirmation {
    let agents = said.agents.iter().map(|machine| Lookout::Agent.named(machine));
    let nodes = said.dns_nodes.iter().map(|node| Lookout::DnsServer.named(node));
    let others: BTreeSet<_> = agents.chain(nodes).collect();
    Confirmation { replicas: said.replicas.min(3), others: others.into_iter().collect() }
}

fn staleness(said: &StalenessSpec) -> Result<Option<Staleness>, Name> {
    let then = match said.then {
        api::WhenStale::Serve => WhenStale::Serve,
        api::WhenStale::Refuse => WhenStale::Refuse,
        api::WhenStale::Unsupported => {
            return Err("staleness is left out: then is not known to this version; use Serve or Refuse".into());
        }
    };
    Ok(said.enabled.then_some(Staleness { after: said.after.get(), then }))
}

fn guard(said: &GuardSpec) -> Result<Option<RemovalGuard>, Name> {
    let scope = match said.scope {
        GuardScope::All => Scope::All,
        GuardScope::Registered => Scope::Registered,
        GuardScope::Unsupported => {
            return Err("guard is left out: scope is not known to this version; use All or Registered".into());
        }
    };
    let guard = RemovalGuard {
        percent_max: said.percent,
        endpoints_min: said.minimum.into(),
        window: said.window.get(),
        hold: said.hold.get(),
        scope,
    };
    Ok(said.enabled.then_some(guard))
}

fn damping(said: &DampingSpec) -> Result<Option<Damping>, Name> {
    let damping = Damping {
        penalty: said.penalty.max(1),
        half_life: said.half_life.get(),
        suppress: said.suppress,
        reuse: said.reuse.max(1),
        maximum: said.maximum.get(),
    };
    if said.enabled && damping.greatest() < f64::from(damping.suppress) {
        return Err(format!(
            "damping is left out: with reuse {}, halfLife {} and maximum {} no penalty is ever above {:.0}, so suppress {} is \
             never reached; lengthen maximum, or shorten halfLife",
            said.reuse,
            said.half_life,
            said.maximum,
            damping.greatest(),
            said.suppress
        )
        .into());
    }
    Ok(said.enabled.then_some(damping))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn said(spec: serde_json::Value) -> Statement {
        let spec: DiscoveryPolicySpec = serde_json::from_value(spec).expect("a spec");
        statement(&DiscoveryPolicy::new("web", spec))
    }

    #[test]
    fn sections_have_their_defaults_and_can_be_turned_off() {
        let statement = said(json!({"guard": {}, "damping": {"enabled": false}, "target": {"service": "web"}}));
        assert_eq!(statement.removal, Some(Some(RemovalGuard::default())));
        assert_eq!((statement.damping, statement.staleness), (Some(None), None));
        assert_eq!(statement.service.as_deref(), Some("web"));
        assert_eq!(said(json!({"damping": {}})).damping, Some(Some(Damping::default())));
    }

    #[test]
    fn a_section_that_cannot_be_used_is_left_out_and_told() {
        let statement =
            said(json!({"guard": {"scope": "Some"}, "staleness": {"then": "Guess"}, "damping": {"maximum": "1m"}}));
        assert_eq!((statement.removal, statement.staleness, statement.damping), (None, None, None));
        assert_eq!(statement.problems.len(), 3, "{:?}", statement.problems);
        assert!(statement.problems[2].contains("no penalty is ever above 2000"), "{}", statement.problems[2]);
    }

    #[test]
    fn who_is_asked_and_is_no_replica_has_a_name_of_its_kind() {
        let said = said(json!({"confirmation": {"agents": ["vm-7"], "dnsNodes": ["node-a", "node-b"]}})).confirmation;
        let confirmation = said.expect("a section");
        assert_eq!(confirmation.replicas, 3, "beside the replicas");
        assert_eq!(*confirmation.others, ["agent/vm-7", "dns/node-a", "dns/node-b"].map(Name::from));
    }

    #[test]
    fn machines_in_maintenance_have_its_reason() {
        let statement = said(json!({"maintenance": {"machines": ["vm-7", "vm-8"], "reason": "disk swap"}}));
        let expected = [("vm-7", "disk swap"), ("vm-8", "disk swap")];
        assert_eq!(statement.maintenance, expected.map(|(machine, reason)| (machine.into(), reason.into())));
    }
}
