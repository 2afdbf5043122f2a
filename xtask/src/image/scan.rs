//! Looks at an image as an outsider would, before anybody gets it: what is in it, who runs it, and whether every digest
//! is right. It shares no code with what packs, but for reading tarballs.

mod program;

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

use anyhow::{Context, Result, anyhow, bail};
use serde::Deserialize;
use serde_json::Value;
use tar::EntryType;

use super::component::Component;
use super::oci::{Descriptor, Digest, Layout, media};
use super::platform::Arch;
use super::tarball::{self, Found};

/// What the image should be.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Expected<'a> {
    pub(crate) component: Component,
    pub(crate) arch: Arch,
    /// Folders of the machine that built it.
    pub(crate) secrets: &'a [PathBuf],
    /// How large image and program may be each, in bytes: [`Component::bytes_max`], but for one that is not to be shipped.
    pub(crate) size_max: usize,
}

#[derive(Deserialize)]
struct Index {
    manifests: Vec<Descriptor>,
}

#[derive(Deserialize)]
struct Manifest {
    config: Descriptor,
    layers: Vec<Descriptor>,
    subject: Option<Descriptor>,
}

/// A layout under examination. A fault that hides others ends it; all others are collected.
struct Scan<'a> {
    layout: &'a Layout,
    expected: &'a Expected<'a>,
    /// Blobs that something points to.
    used: BTreeSet<String>,
    problems: Vec<String>,
}

/// Fails unless the image is what a cautious cluster may run, with all that is wrong with it.
pub(crate) fn scan(layout: &Layout, expected: &Expected<'_>) -> Result<()> {
    let mut scan = Scan { layout, expected, used: BTreeSet::new(), problems: Vec::new() };
    if let Err(error) = scan.all() {
        scan.problems.push(format!("{error:#}"));
    }
    if scan.problems.is_empty() {
        return Ok(());
    }
    bail!("the image of {} must not ship: {}", expected.component, scan.problems.join("; "))
}

// === impl Scan ===

impl Scan<'_> {
    fn all(&mut self) -> Result<()> {
        let index: Index = serde_json::from_slice(self.file("index.json")?).context("index.json")?;
        let version: Value = serde_json::from_slice(self.file("oci-layout")?).context("oci-layout")?;
        self.check(version["imageLayoutVersion"] == "1.0.0", "oci-layout does not say version 1.0.0");
        let [image, sbom] = index.manifests.as_slice() else {
            bail!("the index holds {} manifests instead of an image and its SBOM", index.manifests.len());
        };
        self.image(image)?;
        self.sbom(sbom, image)?;
        let stray = self.layout.files.keys().filter(|path| path.starts_with("blobs/") && !self.used.contains(*path));
        let stray: Vec<String> = stray.map(|path| format!("nothing refers to {path}")).collect();
        self.problems.extend(stray);
        Ok(())
    }

    fn image(&mut self, image: &Descriptor) -> Result<()> {
        let platform = image.platform == Some(self.expected.arch.platform());
        self.check(platform, "the index names another platform");
        let names = ["org.opencontainers.image.ref.name", "io.containerd.image.name"];
        self.check(names.iter().all(|name| image.annotations.contains_key(*name)), "the index gives it no name");
        let manifest: Manifest = serde_json::from_slice(&self.blob(image)?).context("the manifest")?;
        let [layer] = manifest.layers.as_slice() else { bail!("{} layers instead of one", manifest.layers.len()) };
        let packed = self.blob(layer)?;
        let tarball = tarball::gunzip(&packed)?;
        let config: Value = serde_json::from_slice(&self.blob(&manifest.config)?).context("the config")?;
        self.config(&config, &Digest::of(&tarball));
        let size = layer.size + manifest.config.size + image.size;
        self.within("the image as it is downloaded", size);
        self.files(tarball::read(&tarball)?)
    }

    fn config(&mut self, config: &Value, diff: &Digest) {
        let name = self.expected.component.name();
        let process = &config["config"];
        let ids = process["User"].as_str().map(|user| user.split(':').map(str::parse).collect::<Vec<Result<u32, _>>>());
        let unprivileged =
            ids.is_some_and(|ids| ids.len() == 2 && ids.iter().all(|id| matches!(id, Ok(id) if *id > 0)));
        self.check(unprivileged, "its user is root, or a name that Kubernetes cannot tell from root");
        self.check(
            process["Entrypoint"] == serde_json::json!([format!("/{name}")]),
            "its entrypoint is not its program",
        );
        for extra in ["Cmd", "Env", "Volumes", "Shell", "OnBuild"] {
            self.check(process.get(extra).is_none(), &format!("its config sets {extra}"));
        }
        for label in ["title", "description", "version", "revision", "source", "licenses", "created"] {
            let value = process["Labels"][format!("org.opencontainers.image.{label}")].as_str();
            self.check(value.is_some_and(|value| !value.is_empty()), &format!("the label {label} is missing"));
        }
        let arch = config["architecture"] == self.expected.arch.oci() && config["os"] == "linux";
        self.check(arch, "its config names another platform");
        let diffs = serde_json::json!([diff]);
        self.check(config["rootfs"]["diff_ids"] == diffs, "the config's diff_ids are not the layer's digest");
    }

    /// One file, and nothing that can be written, or become somebody else, or run anything.
    fn files(&mut self, files: Vec<Found>) -> Result<()> {
        let name = self.expected.component.name();
        let paths: Vec<&str> = files.iter().map(|file| file.path.as_str()).collect();
        self.check(paths == [name], &format!("it holds {paths:?} instead of {name} alone"));
        for file in &files {
            let Found { path, kind, mode, owner, .. } = file;
            self.check(*kind == EntryType::Regular, &format!("{path} is not a regular file"));
            self.check(mode & 0o7000 == 0, &format!("{path} changes its user or group when run: mode {mode:o}"));
            self.check(mode & 0o222 == 0, &format!("{path} can be written: mode {mode:o}"));
            self.check(mode & 0o555 == 0o555, &format!("{path} cannot be run by everyone: mode {mode:o}"));
            self.check(*owner == (0, 0), &format!("{path} belongs to {owner:?} instead of root"));
        }
        let program = files.into_iter().find(|file| file.path == name).with_context(|| format!("{name} is missing"))?;
        self.within("the program", program.bytes.len());
        self.problems.extend(program::problems(&program.bytes, self.expected));
        Ok(())
    }

    fn sbom(&mut self, artifact: &Descriptor, image: &Descriptor) -> Result<()> {
        let manifest: Manifest = serde_json::from_slice(&self.blob(artifact)?).context("the SBOM's manifest")?;
        let subject = manifest.subject.map(|subject| subject.digest);
        self.check(subject.as_ref() == Some(&image.digest), "the SBOM is about another image");
        self.blob(&manifest.config)?;
        let [layer] = manifest.layers.as_slice() else { bail!("the SBOM's manifest holds no document") };
        self.check(layer.media_type == media::SPDX, "the SBOM is not SPDX");
        let document: Value = serde_json::from_slice(&self.blob(layer)?).context("the SBOM")?;
        let problems = spdx_problems(&document);
        self.problems.extend(problems);
        Ok(())
    }

    /// The bytes that a descriptor points to, if they are what it says.
    fn blob(&mut self, descriptor: &Descriptor) -> Result<Vec<u8>> {
        let path = descriptor.digest.path();
        let bytes = self.file(&path)?.clone();
        self.check(Digest::of(&bytes) == descriptor.digest, &format!("{path} has another digest"));
        self.check(bytes.len() == descriptor.size, &format!("{path} has another size than its descriptor says"));
        self.used.insert(path);
        Ok(bytes)
    }

    fn file(&self, path: &str) -> Result<&Vec<u8>> {
        self.layout.files.get(path).ok_or_else(|| anyhow!("{path} is missing"))
    }

    fn within(&mut self, what: &str, bytes: usize) {
        let megabytes = bytes as f64 / 1e6;
        let limit = self.expected.size_max as f64 / 1e6;
        let text =
            format!("{what} has {megabytes:.1} MB, more than {limit}: see what `cargo tree` has that is not needed");
        self.check(bytes <= self.expected.size_max, &text);
    }

    fn check(&mut self, is_right: bool, problem: &str) {
        if !is_right {
            self.problems.push(problem.to_owned());
        }
    }
}

/// What SPDX 2.3 asks of the fields that we use.
fn spdx_problems(document: &Value) -> Vec<String> {
    let mut problems = Vec::new();
    for (field, value) in [("spdxVersion", "SPDX-2.3"), ("dataLicense", "CC0-1.0"), ("SPDXID", "SPDXRef-DOCUMENT")] {
        if document[field] != value {
            problems.push(format!("the SBOM's {field} is not {value}"));
        }
    }
    let mut ids = BTreeMap::from([("SPDXRef-DOCUMENT", "the document")]);
    for package in document["packages"].as_array().into_iter().flatten() {
        let text = |field: &str| package[field].as_str().unwrap_or_default();
        let name = text("name");
        let missing = ["name", "versionInfo", "downloadLocation", "licenseDeclared", "SPDXID"].map(text).contains(&"");
        if missing || package["filesAnalyzed"] != false {
            problems.push(format!("the SBOM's package {name:?} lacks a field"));
        }
        if let Some(other) = ids.insert(package["SPDXID"].as_str().unwrap_or_default(), name) {
            problems.push(format!("the SBOM gives {name} and {other} the same SPDXID"));
        }
    }
    for relation in document["relationships"].as_array().into_iter().flatten() {
        let ends = ["spdxElementId", "relatedSpdxElement"].map(|end| relation[end].as_str().unwrap_or_default());
        if let Some(end) = ends.iter().find(|end| !ids.contains_key(*end)) {
            problems.push(format!("the SBOM relates {end:?}, which it does not list"));
        }
    }
    problems
}

#[cfg(test)]
mod tests;
