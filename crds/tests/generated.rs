//! `manifests/crds` says what the Rust types say.

use std::path::{Path, PathBuf};
use std::{env, fs};

use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::CustomResourceExt;
use rollcall_crds::{
    CatalogEntry, ClusterLink, ClusterProperty, DiscoveryPolicy, ServiceExport, ServiceImport, ServiceRegistration,
};

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../manifests/crds")
}

fn definitions() -> [CustomResourceDefinition; 7] {
    [
        CatalogEntry::crd(),
        ClusterLink::crd(),
        ClusterProperty::definition(),
        DiscoveryPolicy::crd(),
        ServiceExport::definition(),
        ServiceImport::definition(),
        ServiceRegistration::crd(),
    ]
}

/// What the file of a definition must hold.
fn yaml(definition: &CustomResourceDefinition) -> String {
    let body = serde_saphyr::to_string(definition).expect("a definition serializes");
    format!("# Generated from the types in crds/ by `cargo xtask generate`; edit those.\n{body}")
}

#[test]
fn the_yaml_is_what_the_types_say() {
    let update = env::var_os("UPDATE").is_some();
    for definition in definitions() {
        let file = folder().join(format!("{}.yaml", definition.spec.names.plural));
        let expected = yaml(&definition);
        if update {
            fs::create_dir_all(folder()).expect("manifests/crds can be created");
            fs::write(&file, &expected).expect("manifests/crds can be written");
        }
        let found = fs::read_to_string(&file).unwrap_or_default();
        assert!(
            found == expected,
            "{} differs from the types in crds/ at line {}: run `cargo xtask generate` and commit the result",
            file.display(),
            1 + found.lines().zip(expected.lines()).take_while(|(found, expected)| found == expected).count(),
        );
    }
}

#[test]
fn no_definition_is_left_over() {
    let expected: Vec<_> = definitions().iter().map(|crd| format!("{}.yaml", crd.spec.names.plural)).collect();
    let left_over: Vec<_> = fs::read_dir(folder())
        .expect("manifests/crds is there")
        .filter_map(|entry| entry.ok()?.file_name().into_string().ok())
        .filter(|name| !expected.contains(name))
        .collect();
    assert!(left_over.is_empty(), "manifests/crds has files that no type in crds/ stands behind: {left_over:?}");
}
