//! From sources to images: the steps in their order.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};

use super::assemble::{Assembled, Parts};
use super::compile::{Programs, Workshop};
use super::component::Component;
use super::crates::{Crates, Id};
use super::oci::{Digest, Layout};
use super::package;
use super::platform::{self, Arch};
use super::sbom::{About, Sbom};
use super::scan::{self, Expected};
use super::source::Source;
use super::{Image, Options};

/// What all components are made from.
pub(super) struct Factory<'a> {
    workshop: &'a Workshop,
    source: &'a Source,
    options: &'a Options,
    crates: Crates,
    programs: Programs,
    /// The version of the standard library.
    rust: String,
}

/// A component, built and packed, in memory.
pub(super) struct Product {
    pub(super) component: Component,
    pub(super) assembled: Assembled,
    pub(super) sbom: Sbom,
    reference: String,
    arch: Arch,
    binary_bytes: usize,
    /// What is packed for machines without containers.
    agent: Option<(Vec<u8>, String)>,
    /// Folders of this machine that it must not name.
    secrets: Vec<PathBuf>,
    /// How large it may be, in bytes.
    size_max: usize,
}

/// Compiles and packs. Nothing is written but by cargo.
pub(super) fn products(workshop: &Workshop, source: &Source, options: &Options) -> Result<Vec<Product>> {
    let crates = Crates::resolve(&workshop.root, workshop.arch.target(), &|| workshop.cargo())?;
    let programs = workshop.compile(&crates)?;
    let rust = platform::rustc(&workshop.root, &["--version"])?;
    let rust = rust.split(' ').nth(1).unwrap_or("unknown").to_owned();
    let factory = Factory { workshop, source, options, crates, programs, rust };
    factory.check_crates()?;
    Component::ALL.into_iter().map(|component| factory.product(component)).collect()
}

// === impl Factory ===

impl Factory<'_> {
    /// The SBOMs list what cargo says that it links; here is what it has compiled.
    fn check_crates(&self) -> Result<()> {
        let mut listed = BTreeSet::new();
        for component in Component::ALL {
            listed.extend(self.crates.linked(component)?);
        }
        let compiled: BTreeSet<&Id> = self.programs.compiled.iter().collect();
        if listed != compiled {
            let difference: Vec<_> = listed.symmetric_difference(&compiled).collect();
            bail!("the SBOMs would not list what was compiled: {difference:?}; `cargo tree` and `cargo build` differ");
        }
        Ok(())
    }

    fn product(&self, component: Component) -> Result<Product> {
        const HOME: &str = env!("CARGO_PKG_REPOSITORY");
        let (arch, source) = (self.workshop.arch, self.source);
        let binary = self.programs.binaries.get(&component).with_context(|| format!("cargo built no {component}"))?;
        let sbom = Sbom::of(About { component, source, home: HOME, rust: &self.rust, binary }, &self.crates)?;
        let version = &self.crates.root(component)?.version;
        let parts = Parts {
            component,
            arch,
            binary,
            sbom: &sbom,
            source,
            version,
            home: HOME,
            license: env!("CARGO_PKG_LICENSE"),
            repository: &self.options.repository,
            tag: self.options.tag.as_deref().unwrap_or(version),
        };
        let (assembled, reference) = (parts.assemble()?, parts.reference());
        let secrets = self.programs.secrets.clone();
        let size_max = if self.workshop.is_quick { usize::MAX } else { component.bytes_max() };
        let agent = (component == Component::Agent).then(|| (binary.clone(), version.clone()));
        let binary_bytes = binary.len();
        Ok(Product { component, assembled, sbom, reference, arch, binary_bytes, agent, secrets, size_max })
    }
}

// === impl Product ===

impl Product {
    /// Writes layout, archive and SBOM, each in one step: nobody sees half of one, or one that the scan refuses.
    pub(super) fn write(&self, folder: &Path) -> Result<Image> {
        let name = self.component.name();
        let [layout, archive, sbom] = ["", ".tar", ".spdx.json"].map(|suffix| folder.join(format!("{name}{suffix}")));
        if !Layout::read(&layout).is_ok_and(|old| old == self.assembled.layout) {
            let unfinished = folder.join(format!("{name}.unfinished"));
            remove(&unfinished)?;
            self.assembled.layout.write(&unfinished)?;
            self.scan(&unfinished)?;
            remove(&layout)?;
            std::fs::rename(&unfinished, &layout).with_context(|| format!("moving {}", layout.display()))?;
        }
        replace(&archive, &self.assembled.archive)?;
        replace(&sbom, self.sbom.bytes())?;
        let packages = self.agent.as_ref().map(|(binary, version)| package::write(folder, binary, version, self.arch));
        let packages = packages.transpose()?.into_iter().flatten().map(|name| folder.join(name)).collect();
        Ok(Image {
            component: self.component,
            packages,
            reference: self.reference.clone(),
            archive,
            layout,
            digest: self.assembled.digest.to_string(),
            layer: self.assembled.layer.to_string(),
            everything: self.everything(),
            binary_bytes: self.binary_bytes,
            download_bytes: self.assembled.size,
        })
    }

    /// The digest of all that is written.
    pub(super) fn everything(&self) -> Digest {
        let files = self.assembled.layout.files.values().chain([&self.assembled.archive]);
        let digests: Vec<String> = files.map(|bytes| Digest::of(bytes).to_string()).collect();
        Digest::of((digests.join("\n") + &Digest::of(self.sbom.bytes()).to_string()).as_bytes())
    }

    fn scan(&self, layout: &Path) -> Result<()> {
        let Self { component, arch, size_max, .. } = *self;
        let expected = Expected { component, arch, secrets: &self.secrets, size_max };
        scan::scan(&Layout::read(layout)?, &expected)
    }
}

fn remove(folder: &Path) -> Result<()> {
    if folder.exists() {
        std::fs::remove_dir_all(folder).with_context(|| format!("removing {}", folder.display()))?;
    }
    Ok(())
}

/// Writes a file in one step, and not at all if it is the same already.
fn replace(file: &Path, bytes: &[u8]) -> Result<()> {
    if std::fs::read(file).is_ok_and(|old| old == bytes) {
        return Ok(());
    }
    let unfinished = file.with_extension("unfinished");
    std::fs::write(&unfinished, bytes).with_context(|| format!("writing {}", unfinished.display()))?;
    std::fs::rename(&unfinished, file).with_context(|| format!("moving {}", file.display()))
}
