//! What a program is made from, as SPDX 2.3: each crate that is linked, with its licence and checksum.

use anyhow::{Context, Result};
use serde_json::{Value, json};

use super::component::Component;
use super::crates::{Crate, Crates, Id};
use super::oci::Digest;
use super::source::Source;

/// The document.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Sbom {
    bytes: Vec<u8>,
}

/// What the document says beside the crates.
#[derive(Clone, Copy, Debug)]
pub(crate) struct About<'a> {
    pub(crate) component: Component,
    pub(crate) source: &'a Source,
    /// The project's address, under which documents are named.
    pub(crate) home: &'a str,
    /// Of the standard library, which is linked as well.
    pub(crate) rust: &'a str,
    pub(crate) binary: &'a [u8],
}

// === impl Sbom ===

impl Sbom {
    /// The document about this component. Equal content is equal bytes.
    pub(crate) fn of(about: About<'_>, crates: &Crates) -> Result<Self> {
        let root = crates.root(about.component)?;
        let mut packages = Vec::new();
        let mut relations = vec![relation("SPDXRef-DOCUMENT", "DESCRIBES", &reference(root))];
        for id in crates.linked(about.component)? {
            let known =
                crates.known.get(id).with_context(|| format!("cargo metadata lacks {} {}", id.name, id.version))?;
            packages.push(if id == root { program(id, known, about) } else { library(id, known) });
            let needs = crates.needs.get(id).into_iter().flatten();
            relations.extend(needs.map(|need| relation(&reference(id), "DEPENDS_ON", &reference(need))));
        }
        let rust = Id { name: "rust-std".to_owned(), version: about.rust.to_owned() };
        packages.push(standard_library(&rust));
        relations.push(relation(&reference(root), "DEPENDS_ON", &reference(&rust)));
        let name = format!("{}-{}", root.name, root.version);
        let mut document = json!({
            "spdxVersion": "SPDX-2.3",
            "dataLicense": "CC0-1.0",
            "SPDXID": "SPDXRef-DOCUMENT",
            "name": name,
            "creationInfo": {
                "created": about.source.time.to_string(),
                "creators": ["Tool: cargo-xtask-image"],
                "comment": format!("source revision {}", about.source.revision),
            },
            "packages": packages,
            "relationships": relations,
        });
        // Unique for each content, as the specification wants it, and the same each time.
        let content = Digest::of(document.to_string().as_bytes());
        document["documentNamespace"] = format!("{}/spdx/{name}/{}", about.home, content.hex()).into();
        let bytes = (serde_json::to_string_pretty(&document)? + "\n").into_bytes();
        Ok(Self { bytes })
    }

    /// The document as JSON.
    pub(crate) fn bytes(&self) -> &[u8] {
        &self.bytes
    }
}

fn program(id: &Id, known: &Crate, about: About<'_>) -> Value {
    let mut program = package(id, known.license.as_deref(), &format!("{}/{}", about.home, id.name));
    program["primaryPackagePurpose"] = "APPLICATION".into();
    program["packageFileName"] = format!("/{}", id.name).into();
    program["checksums"] = sha256(Digest::of(about.binary).hex());
    program
}

fn library(id: &Id, known: &Crate) -> Value {
    let mut library = package(id, known.license.as_deref(), "NOASSERTION");
    // Crates of the workspace are not published: nobody could look them up.
    if let Some(checksum) = &known.checksum {
        library["checksums"] = sha256(checksum);
        library["externalRefs"] = purl(&format!("pkg:cargo/{}@{}", id.name, id.version));
    }
    library
}

fn standard_library(id: &Id) -> Value {
    let mut library = package(id, Some("(MIT OR Apache-2.0) AND MIT"), "NOASSERTION");
    library["comment"] = "Rust's standard library for musl targets, with the musl libc that it brings along".into();
    library["externalRefs"] = purl(&format!("pkg:generic/rust@{}", id.version));
    library
}

fn package(id: &Id, license: Option<&str>, location: &str) -> Value {
    json!({
        "SPDXID": reference(id),
        "name": id.name,
        "versionInfo": id.version,
        "downloadLocation": location,
        "filesAnalyzed": false,
        "licenseConcluded": "NOASSERTION",
        "licenseDeclared": license.map_or_else(|| "NOASSERTION".to_owned(), expression),
        "copyrightText": "NOASSERTION",
        "primaryPackagePurpose": "LIBRARY",
    })
}

/// `MIT/Apache-2.0` is how licences were written before they were expressions.
fn expression(license: &str) -> String {
    license.split('/').map(str::trim).collect::<Vec<_>>().join(" OR ")
}

fn sha256(hex: &str) -> Value {
    json!([{"algorithm": "SHA256", "checksumValue": hex}])
}

fn purl(locator: &str) -> Value {
    json!([{"referenceCategory": "PACKAGE-MANAGER", "referenceType": "purl", "referenceLocator": locator}])
}

fn relation(from: &str, kind: &str, to: &str) -> Value {
    json!({"spdxElementId": from, "relationshipType": kind, "relatedSpdxElement": to})
}

/// SPDX allows letters, digits, dots and dashes in identifiers. The registry knows no two names that differ in less.
fn reference(id: &Id) -> String {
    let text = format!("SPDXRef-{}-{}", id.name, id.version);
    text.replace(|letter: char| !letter.is_ascii_alphanumeric() && letter != '.' && letter != '-', "-")
}

#[cfg(test)]
mod tests;
