//! What is probed: registrations of one endpoint each.

use std::sync::Arc;
use std::time::Duration;

use rollcall_catalog::ServiceKey;
use rollcall_catalog::input::{Origin, OriginKind, Verdict};
use rollcall_catalog::model::Addresses;
use rollcall_health::definition::Tcp;
use rollcall_health::plan::{Planned, Restored};
use rollcall_health::{Check, CheckKind, Plan, Target};

/// A target that is dead refuses at once, or is silent for so long.
pub(crate) const TIMEOUT_MS: u64 = 500;

/// The registration of a target, of one endpoint.
pub(crate) fn origin_of(target: usize) -> Arc<Origin> {
    Arc::new(Origin::here(OriginKind::ServiceRegistration, format!("ns-{}", target % 3), format!("t{target}")))
}

/// The number of the target that a registration is of.
pub(crate) fn number_of(origin: &Origin) -> usize {
    origin.name.trim_start_matches('t').parse().expect("a number")
}

/// A target of even number is asked each second, one of odd number each two.
pub(crate) fn interval_ms(target: usize) -> u64 {
    if target.is_multiple_of(2) { 1_000 } else { 2_000 }
}

/// Every third one beats, and is not probed.
pub(crate) fn beats(target: usize) -> bool {
    target % 3 == 1
}

/// What is checked of it, and what the API keeps of it.
pub(crate) fn plan(target: usize, restored: Option<Verdict>) -> Plan {
    let check = Check {
        interval: Duration::from_millis(interval_ms(target)),
        timeout: Duration::from_millis(TIMEOUT_MS),
        ..Check::new("web", CheckKind::Tcp(Tcp::default()))
    };
    let ip = [198, 51, 100, u8::try_from(target + 1).expect("few")];
    let addresses = Addresses::V4(ip.into());
    let probed = Target { endpoint: "vm".into(), check: Arc::new(check), address: (ip, 80).into() };
    Plan {
        origin: origin_of(target),
        service: ServiceKey::new("shop", "vms"),
        generation: Some(1),
        endpoints: vec![Planned { name: "vm".into(), addresses, unchecked: false }],
        targets: if beats(target) { Vec::new() } else { vec![probed] },
        heartbeat: beats(target),
        stuck: Vec::new(),
        restored: restored.map(|verdict| ("vm".into(), Restored { verdict, current: true })).into_iter().collect(),
    }
}
