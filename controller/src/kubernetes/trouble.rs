//! What keeps a watch from its objects, in words that name the remedy.

use super::freshness::{Freshness, Source, SourceId};
use crate::kubernetes::denial::Denial;
use crate::kubernetes::kube_error::words;

/// Why a list or watch failed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Trouble {
    /// The name of the fault, for Events, when somebody has to mend something; `None` when it may pass by itself.
    pub fault: Option<&'static str>,
    /// A sentence.
    pub words: String,
}

// === impl Trouble ===

impl Trouble {
    /// What `error` says about `doing` (listing, watching) the objects of a watch.
    pub fn of(doing: &str, watch: &Freshness, error: &kube::Error) -> Self {
        let SourceId { kind: source, instance: place } = &watch.id;
        let source = *source;
        if let Some(denial) = Denial::of(error) {
            let elsewhere = match place {
                Some(namespace) => {
                    format!(", or take {namespace} off --watch-namespace (watchNamespaces in the chart's values)")
                }
                None => String::new(),
            };
            return Self { fault: Some("Forbidden"), words: format!("{denial}{elsewhere}") };
        }
        if is_not_served(error) {
            return Self { fault: Some("NotServed"), words: not_served(source) };
        }
        let place = place.as_ref().map(|namespace| format!(" in namespace {namespace}")).unwrap_or_default();
        Self { fault: None, words: format!("{doing} {source}{place} fails: {}", words(error)) }
    }

    /// What has no error of the client's, such as a watch that fell silent.
    pub fn passing(doing: &str, source: Source, what: &str) -> Self {
        Self { fault: None, words: format!("{doing} {source} fails: {what}") }
    }
}

/// Whether the API server does not know the kind at all. An empty list of a kind that it knows is no 404.
pub fn is_not_served(error: &kube::Error) -> bool {
    matches!(error, kube::Error::Api(status) if status.code == 404)
}

fn not_served(source: Source) -> String {
    let remedy = match source {
        Source::ServiceRegistrations | Source::Policies | Source::CatalogEntries => {
            "apply manifests/crds, or run helm upgrade with crds.enabled=true"
        }
        Source::ServiceCidrs => {
            "they came with Kubernetes 1.33; give the address range of the Services by --reserved-cidr"
        }
        Source::Services
        | Source::EndpointSlices
        | Source::Pods
        | Source::Nodes
        | Source::Leases
        | Source::Namespaces => "is this a Kubernetes API server of 1.21 or later?",
        Source::Clusters | Source::ServiceExports | Source::ServiceImports => {
            "apply manifests/crds, or run helm upgrade with federation.enabled=true; or leave out --cluster-id"
        }
        Source::ClusterProfiles => {
            "they come with an inventory of clusters: apply the definition clusterprofiles.multicluster.x-k8s.io of \
             sigs.k8s.io/cluster-inventory-api, or give the link addresses in place of clusterProfile"
        }
        Source::Registries => "it is not of this cluster; look at its own object",
    };
    format!("the API server does not serve {source}; {remedy}")
}

#[cfg(test)]
mod tests {
    use kube::core::Status;

    use super::*;
    use crate::time::clock::Clock;

    fn error(code: u16, message: &str) -> kube::Error {
        kube::Error::Api(Box::new(Status::failure(message, "").with_code(code)))
    }

    #[test]
    fn a_namespace_without_rights_is_named_with_both_remedies() {
        let watch = Freshness::new(SourceId::of(Source::Pods, "shop"), Clock::default());
        let said = "pods is forbidden: User \"system:serviceaccount:a:b\" cannot list resource \"pods\" in API group \"\" in \
                    the namespace \"shop\"";
        let trouble = Trouble::of("listing", &watch, &error(403, said));
        assert_eq!(trouble.fault, Some("Forbidden"));
        assert!(
            trouble.words.contains("listing pods in namespace shop is forbidden to ServiceAccount a/b"),
            "{trouble:?}"
        );
        assert!(trouble.words.contains("helm upgrade") && trouble.words.contains("take shop off"), "{trouble:?}");
    }

    #[test]
    fn a_kind_that_is_not_served_names_what_brings_it() {
        let watch = Freshness::new(SourceId::only(Source::ServiceRegistrations), Clock::default());
        let trouble = Trouble::of("listing", &watch, &error(404, "404 page not found"));
        assert_eq!(trouble.fault, Some("NotServed"));
        assert!(trouble.words.contains("crds.enabled=true"), "{trouble:?}");
    }

    #[test]
    fn what_passes_by_itself_is_no_fault() {
        let watch = Freshness::new(SourceId::only(Source::Pods), Clock::default());
        let trouble = Trouble::of("watching", &watch, &error(503, "etcd is away"));
        assert_eq!(trouble, Trouble { fault: None, words: "watching pods fails: etcd is away".into() });
    }
}
