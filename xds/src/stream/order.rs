//! The order in which types go out: additions before removals, make before break.

use crate::resource::{
    PerType,
    ResourceType::{
        self, Beats, Cluster, Doubt, EndpointBucket, Endpoints, ExportedBucket, ExportedService, Exporter, Listener,
        Machine, Replica, Resolved, Route, Service, ServiceEntry, Testimony, Verdicts, Zone,
    },
};

/// Additions and changes go out in this order: clusters, their endpoints (xDS protocol, "Eventual consistency
/// considerations"; EDS ahead of CDS makes an ACK storm, envoy #12818), then listeners and routes, which refer to them. Of Rollcall's types the
/// parts come before the whole: buckets, services, machines, zone. What replicas tell each other is on streams of its own: verdicts
/// that callers wait for go first. So is what clusters tell each other.
const PUSHES: [ResourceType; 18] = [
    Cluster,
    Endpoints,
    Listener,
    Route,
    EndpointBucket,
    Service,
    Machine,
    Zone,
    ServiceEntry,
    Verdicts,
    Doubt,
    Testimony,
    Replica,
    Beats,
    Resolved,
    ExportedBucket,
    ExportedService,
    Exporter,
];

/// Removals go out after all additions, and what refers to others goes first. Clusters and endpoints are last of all (xDS
/// protocol: stale CDS and EDS "can then be removed").
const REMOVALS: [ResourceType; 18] = [
    Zone,
    ServiceEntry,
    Machine,
    Service,
    EndpointBucket,
    Listener,
    Route,
    Cluster,
    Endpoints,
    Doubt,
    Testimony,
    Verdicts,
    Replica,
    Beats,
    Resolved,
    Exporter,
    ExportedService,
    ExportedBucket,
];

/// What one type on one stream has to send.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Due {
    /// There are additions, whether or not they may go now.
    pub(crate) additions: bool,
    /// Something that is not a removal may go now.
    pub(crate) push: bool,
    /// Removals may go now, as far as this type is concerned.
    pub(crate) removal: bool,
    /// Removals have waited for other types long enough.
    pub(crate) overdue: bool,
}

/// What goes out next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Turn {
    pub(crate) ty: ResourceType,
    /// Removals go with it.
    pub(crate) with_removals: bool,
}

/// The next response, if any may go.
pub(crate) fn next(due: &PerType<Due>) -> Option<Turn> {
    let waits_for = |types: &[ResourceType]| types.iter().any(|ty| due[*ty].additions);
    let pushes = |ty: &ResourceType| due[*ty].push && !waits_for(pushed_after(*ty));
    let removes = |ty: &ResourceType| due[*ty].removal && (due[*ty].overdue || !waits_for(removed_after(*ty)));
    let ty = PUSHES.into_iter().find(pushes).or_else(|| REMOVALS.into_iter().find(removes))?;
    Some(Turn { ty, with_removals: removes(&ty) })
}

/// Additions of a type wait until a stream has been sent all additions of these.
///
/// Envoy's types wait for none: Envoy withholds the ACK of a Cluster until it has the endpoints, so waiting would cost
/// 15 s. A Zone says "the rest is complete" (catalog.proto).
const fn pushed_after(ty: ResourceType) -> &'static [ResourceType] {
    match ty {
        Cluster | Endpoints | Listener | Route | EndpointBucket | Machine | ServiceEntry | Verdicts | Doubt
        | Testimony | Replica | Beats | Resolved | ExportedBucket => &[],
        Service => &[EndpointBucket],
        Zone => &[EndpointBucket, Service, Machine],
        ExportedService => &[ExportedBucket],
        Exporter => &[ExportedBucket, ExportedService],
    }
}

/// Removals of a type wait until a stream has been sent all additions of these, which may refer to it no longer.
const fn removed_after(ty: ResourceType) -> &'static [ResourceType] {
    match ty {
        Route => &[Listener],
        Cluster => &[Listener, Route],
        Endpoints => &[Cluster, Listener, Route],
        EndpointBucket => &[Service],
        ExportedBucket => &[ExportedService],
        Listener | Service | Machine | Zone | ServiceEntry | Verdicts | Doubt | Testimony | Replica | Beats
        | Resolved | ExportedService | Exporter => &[],
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_orders_hold_every_type_once_and_agree_with_what_waits_for_what() {
        for mut order in [PUSHES, REMOVALS] {
            order.sort_unstable();
            assert_eq!(order, ResourceType::ALL);
        }
        let place = |ty| PUSHES.iter().position(|other| *other == ty);
        for ty in ResourceType::ALL {
            assert!(pushed_after(ty).iter().all(|earlier| place(*earlier) < place(ty)), "{ty}");
        }
    }

    fn due(of: &[(ResourceType, Due)]) -> PerType<Due> {
        let mut due = PerType::<Due>::default();
        of.iter().for_each(|(ty, one)| due[*ty] = *one);
        due
    }

    #[test]
    fn parts_go_before_the_whole_and_removals_last() {
        let addition = Due { additions: true, push: true, ..Due::default() };
        let removal = Due { removal: true, ..Due::default() };
        let turn = |of: &[(ResourceType, Due)]| next(&due(of)).map(|turn| (turn.ty, turn.with_removals));
        assert_eq!(turn(&[(Service, addition), (EndpointBucket, addition)]), Some((EndpointBucket, false)));
        assert_eq!(turn(&[(Service, addition), (Cluster, removal)]), Some((Service, false)));
        assert_eq!(turn(&[(EndpointBucket, removal), (Service, removal)]), Some((Service, true)));
        assert_eq!(turn(&[]), None);
    }

    #[test]
    fn what_others_still_refer_to_waits_but_not_for_ever() {
        let unsent = Due { additions: true, ..Due::default() }; // its window is closed
        let removal = Due { removal: true, ..Due::default() };
        assert_eq!(next(&due(&[(Service, unsent), (EndpointBucket, removal)])), None);
        let overdue = Due { overdue: true, ..removal };
        let turn = Turn { ty: EndpointBucket, with_removals: true };
        assert_eq!(next(&due(&[(Service, unsent), (EndpointBucket, overdue)])), Some(turn));
    }
}
