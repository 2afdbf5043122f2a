//! The health of single services as metrics, for alerts that name one: of so many services at most, since each costs six
//! series on each replica.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::Arc;

use clap::Args;
use prometheus_client::registry::Registry;
use rollcall_admin::page::{self, Page};
use rollcall_catalog::Snapshot;
use rollcall_catalog::input::ServiceKind;
use rollcall_catalog::model::Name;
use rollcall_catalog::service::{Counts, Service};

use super::Snapshots;

/// Which services have series of their own.
#[derive(Clone, Debug, Default, Args)]
pub struct ServiceMetricsArgs {
    /// Services whose health is told as metrics of their own, at most; 0 for none. Those with registered endpoints go
    /// first, and namespaces have equal shares. Each costs six series.
    #[arg(long, env = "ROLLCALL_SERVICE_METRICS_MAX", default_value_t = 200, value_name = "COUNT", value_parser = clap::value_parser!(u32).range(0..=10_000))]
    pub service_metrics_max: u32,

    /// Namespace whose services have metrics of their own; all if none is given. Repeatable, or separated by commas.
    #[arg(long, env = "ROLLCALL_SERVICE_METRICS_NAMESPACES", value_delimiter = ',', value_name = "NAMESPACE")]
    pub service_metrics_namespace: Vec<String>,
}

/// The services that were chosen, and how many were not for want of room.
#[derive(Debug, Default)]
struct Chosen {
    services: Vec<Arc<Service>>,
    left_out: usize,
}

/// Registers `rollcall_service_…`.
pub fn register(args: &ServiceMetricsArgs, snapshots: Snapshots, registry: &mut Registry) {
    let max = args.service_metrics_max as usize;
    let namespaces: BTreeSet<Name> = args.service_metrics_namespace.iter().map(|name| name.as_str().into()).collect();
    page::register(registry, move |page| {
        let snapshot = snapshots.borrow().clone();
        let chosen = match &snapshot {
            Some(snapshot) if max > 0 => Chosen::of(snapshot, &namespaces, max),
            _ => Chosen::default(),
        };
        write(page, &chosen)
    });
}

fn write(page: &mut Page<'_>, chosen: &Chosen) -> fmt::Result {
    let counts: Vec<(&Service, Counts)> =
        chosen.services.iter().map(|service| (&**service, service.counts())).collect();
    page.gauges(
        "rollcall_service_callable_endpoints",
        "Endpoints of one service that callers are given. Services with registered endpoints have this first, up to \
         --service-metrics-max; the others are in rollcall_catalog_callable_endpoints alone.",
        counts.iter().map(|(service, counts)| {
            (
                [("service_namespace", &*service.key.namespace), ("service_name", &*service.key.name)],
                counts.callable as f64,
            )
        }),
    )?;
    page.gauges(
        "rollcall_service_endpoints",
        "Endpoints of one service by health, callable or not. Fewer callable ones than half of these, without those in \
         maintenance, are an alert.",
        counts.iter().flat_map(|(service, counts)| {
            let (namespace, name) = (&*service.key.namespace, &*service.key.name);
            by_health(counts).map(move |(health, count)| {
                ([("service_namespace", namespace), ("service_name", name), ("health", health)], count as f64)
            })
        }),
    )?;
    page.gauge(
        "rollcall_service_metrics_omitted_services",
        "Services without metrics of their own, as there are more than --service-metrics-max. Above 0, alerts on single \
         services do not see all: raise it, or name the namespaces that matter.",
        chosen.left_out as f64,
    )
}

fn by_health(counts: &Counts) -> [(&'static str, usize); 5] {
    [
        ("passing", counts.passing),
        ("warning", counts.warning),
        ("critical", counts.critical),
        ("unknown", counts.unknown),
        ("maintenance", counts.maintenance),
    ]
}

// === impl Chosen ===

impl Chosen {
    /// A function of the catalog alone, so that every replica tells of the same services, and one more service displaces
    /// one at most.
    fn of(snapshot: &Snapshot, namespaces: &BTreeSet<Name>, max: usize) -> Self {
        let is_wanted = |service: &&Arc<Service>| {
            let alias = service.facts.as_ref().is_some_and(|facts| matches!(facts.kind, ServiceKind::ExternalName(_)));
            let named = namespaces.is_empty() || namespaces.contains(&service.key.namespace);
            service.exists() && !alias && named
        };
        let (registered, others): (Vec<_>, Vec<_>) =
            snapshot.services().filter(is_wanted).partition(|service| !service.registrations.is_empty());
        let all = registered.len() + others.len();
        let mut chosen = shared(registered, max);
        let room = max - chosen.len();
        chosen.extend(shared(others, room));
        chosen.sort_unstable_by(|a, b| a.key.cmp(&b.key));
        Self { left_out: all - chosen.len(), services: chosen.into_iter().cloned().collect() }
    }
}

/// At most `room` of the services, in equal shares of their namespaces; of each the first by name.
fn shared(services: Vec<&Arc<Service>>, room: usize) -> Vec<&Arc<Service>> {
    if services.len() <= room {
        return services;
    }
    let mut groups: BTreeMap<&Name, Vec<&Arc<Service>>> = BTreeMap::new();
    for service in services {
        groups.entry(&service.key.namespace).or_default().push(service);
    }
    let level = level(groups.values().map(Vec::len).collect(), room);
    let mut rest = room - groups.values().map(|group| group.len().min(level)).sum::<usize>();
    let mut chosen = Vec::with_capacity(room);
    for group in groups.values_mut() {
        let more = usize::from(group.len() > level && rest > 0);
        rest -= more;
        let share = group.len().min(level + more);
        if share > 0 && share < group.len() {
            group.select_nth_unstable_by(share - 1, |a, b| a.key.cmp(&b.key));
        }
        chosen.extend(&group[..share]);
    }
    chosen
}

/// The greatest share that each group can have of `room`, where small groups leave theirs to the others.
fn level(mut sizes: Vec<usize>, room: usize) -> usize {
    sizes.sort_unstable();
    let (mut room, mut groups) = (room, sizes.len());
    for size in sizes {
        if size * groups > room {
            return room / groups;
        }
        room -= size;
        groups -= 1;
    }
    usize::MAX
}

#[cfg(test)]
mod tests;
