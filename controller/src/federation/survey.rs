//! What became in this cluster's catalog of the endpoints that another one exports: who of them is given to callers although it is
//! gone, and who is not although it is there.

use std::collections::BTreeSet;

use rollcall_catalog::clusterset;
use rollcall_catalog::input::{Origin, OriginKind, Place};
use rollcall_catalog::model::{Name, ServiceKey};
use rollcall_catalog::snapshot::Snapshot;

/// Counts, and an example.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Survey {
    /// Endpoints that a policy's mass-removal guard still gives to callers.
    pub held: usize,
    /// Endpoints that are kept out.
    pub refused: usize,
    /// Why one of them is, with its service.
    pub why: Option<String>,
}

/// Looks at the services of these names, and at what is derived from them. An endpoint in both counts once.
pub fn survey<'a>(snapshot: &Snapshot, cluster: &Name, services: impl Iterator<Item = &'a ServiceKey>) -> Survey {
    let mut survey = Survey::default();
    let its = |origin: &Origin| {
        origin.kind == OriginKind::Import && matches!(&origin.place, Place::Cluster(place) if place == cluster)
    };
    for key in services {
        let (mut held, mut refused) = (BTreeSet::new(), BTreeSet::new());
        for service in [key.clone(), clusterset::derived(key)].iter().filter_map(|key| snapshot.get(key)) {
            if service.held > 0 {
                let members = service.endpoints.iter().filter(|member| its(&member.origin));
                let held_here = members.filter(|member| member.treatment.as_ref().is_some_and(|it| it.held));
                held.extend(held_here.map(|member| member.endpoint.name()));
            }
            for out in service.excluded.iter().filter(|out| its(&out.origin)) {
                refused.insert(&out.name);
                survey.why.get_or_insert_with(|| format!("{} of {key}: {}", out.name, out.why));
            }
        }
        survey.held += held.len();
        survey.refused += refused.len();
    }
    survey
}
