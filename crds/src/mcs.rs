//! What the definitions of the Multi-Cluster Services API have in common.

use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;

/// A definition that is served as v1alpha1 too; the schemas are the same (KEP-1645, v0.5.0), so nothing is converted.
pub(crate) fn both_versions(mut definition: CustomResourceDefinition) -> CustomResourceDefinition {
    let older: Vec<_> = definition.spec.versions.to_vec();
    definition.spec.versions.extend(older.into_iter().map(|mut version| {
        version.name = "v1alpha1".to_owned();
        version.storage = false;
        version
    }));
    definition
}
