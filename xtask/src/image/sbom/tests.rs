//! The documents about the real programs, against `Cargo.lock` and what is known to be in them.

use std::collections::BTreeSet;

use rollcall_e2e::layout;
use serde_json::Value;

use super::super::crates::{cargo_in, checksums};
use super::*;

fn source() -> Source {
    Source { revision: "8a58d6e0".to_owned(), time: jiff::Timestamp::from_second(1_795_265_908).unwrap() }
}

fn crates() -> Crates {
    let root = layout::root();
    Crates::resolve(&root, "x86_64-unknown-linux-musl", &|| cargo_in(&root)).unwrap()
}

fn document(component: Component, crates: &Crates, binary: &[u8]) -> Value {
    let about = About { component, source: &source(), home: "https://rollcall.dev", rust: "1.95.0", binary };
    serde_json::from_slice(Sbom::of(about, crates).unwrap().bytes()).unwrap()
}

fn packages(document: &Value) -> &Vec<Value> {
    document["packages"].as_array().unwrap()
}

#[test]
fn every_linked_crate_is_listed_with_the_checksum_of_the_lock_file() {
    let crates = crates();
    let lock = checksums(&std::fs::read_to_string(layout::root().join("Cargo.lock")).unwrap());
    for component in Component::ALL {
        let document = document(component, &crates, b"program");
        let own = |name: &str| name.starts_with("rollcall-") || name == "rust-std";
        for package in packages(&document) {
            let [name, version] = ["name", "versionInfo"].map(|field| package[field].as_str().unwrap().to_owned());
            assert_ne!(package["licenseDeclared"], "NOASSERTION", "{name} {version} has no licence");
            if own(&name) {
                continue;
            }
            assert_eq!(package["externalRefs"][0]["referenceLocator"], format!("pkg:cargo/{name}@{version}"));
            let id = Id { name, version };
            assert_eq!(package["checksums"][0]["checksumValue"], lock[&id].as_str(), "{id:?}");
        }
        let listed: BTreeSet<&str> =
            packages(&document).iter().filter_map(|package| package["name"].as_str()).collect();
        let linked = ["rollcall-admin", "rollcall-catalog", "rust-std", "tokio", "tracing", "prost", component.name()];
        assert!(linked.iter().all(|name| listed.contains(name)), "{component}: {listed:?}");
        let ran_at_build_time = ["cc", "prost-build", "protox", "proptest", "rollcall-e2e", "serde_derive", "syn"];
        assert!(!ran_at_build_time.iter().any(|name| listed.contains(name)), "{component}: {listed:?}");
    }
}

#[test]
fn the_document_names_the_program_by_its_digest_and_is_the_same_each_time() {
    let crates = crates();
    let document_of = |binary: &[u8]| document(Component::Dns, &crates, binary);
    let (one, other) = (document_of(b"one"), document_of(b"other"));
    assert_eq!(one, document_of(b"one"));
    assert_ne!(one["documentNamespace"], other["documentNamespace"], "the name follows from the content");
    let program = packages(&one).iter().find(|package| package["name"] == "rollcall-dns").unwrap();
    assert_eq!(program["checksums"][0]["checksumValue"], Digest::of(b"one").hex());
    assert_eq!(one["relationships"][0]["relatedSpdxElement"], program["SPDXID"]);
}

#[test]
fn an_old_licence_with_a_slash_becomes_an_expression() {
    assert_eq!(expression("MIT/Apache-2.0"), "MIT OR Apache-2.0");
    assert_eq!(expression("MIT OR Apache-2.0"), "MIT OR Apache-2.0");
}
