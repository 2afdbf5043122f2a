//! `cargo xtask image`: an image for each program, without a container engine and without a registry to pull from.
//!
//! Data flows so: [`source`] says what the sources are, [`crates`] what they need, [`compile`] makes static programs,
//! [`sbom`] lists what is in them, [`assemble`] packs, [`scan`] looks at what was packed, [`package`] makes what machines
//! without containers install. The same sources and compiler
//! give the same bytes; [`verify`] tries.

mod assemble;
mod compile;
mod component;
#[cfg(test)]
mod containerfile;
mod crates;
mod factory;
mod oci;
mod package;
mod platform;
mod sbom;
mod scan;
mod source;
mod tarball;
mod verify;

use std::fs::File;
use std::path::PathBuf;

use anyhow::{Context, Result};
use clap::Args;
use rollcall_e2e::layout;

use crate::terminal;
use compile::Workshop;
pub(crate) use component::Component;
use oci::Digest;
use platform::Arch;
use source::Source;
use verify::Elsewhere;

/// Where images are pulled from, unless somebody mirrors them.
const REPOSITORY: &str = "rollcall.dev";

/// What to build.
#[derive(Args, Clone, Debug)]
pub(crate) struct Options {
    /// The processor that it is for; this machine's if not given.
    #[arg(long)]
    arch: Option<Arch>,
    /// Where the images will be pulled from: the part of their names before the program's.
    #[arg(long, value_name = "NAME", default_value = REPOSITORY)]
    repository: String,
    /// The tag of the images; the version if not given.
    #[arg(long)]
    tag: Option<String>,
    /// The commit to name in labels, where there is no git to ask. SOURCE_DATE_EPOCH gives its time then.
    #[arg(long, value_name = "COMMIT")]
    revision: Option<String>,
    /// Compile as while developing: in a fraction of the time, for trying something out. Larger, slower, and kept apart, in
    /// target/image-quick.
    #[arg(long, conflicts_with = "verify")]
    quick: bool,
    /// Build a second time in another folder (some minutes), and fail unless every byte is the same.
    #[arg(long)]
    verify: bool,
}

/// The images on disk.
#[derive(Clone, Debug)]
pub(crate) struct Images {
    images: Vec<Image>,
}

/// An image on disk.
#[derive(Clone, Debug)]
pub(crate) struct Image {
    /// Which program.
    pub(crate) component: Component,
    /// What pods call it.
    pub(crate) reference: String,
    /// What `ctr images import` and `docker load` take.
    pub(crate) archive: PathBuf,
    /// The OCI layout, a folder.
    pub(crate) layout: PathBuf,
    /// The digest of its manifest.
    pub(crate) digest: String,
    /// For machines without containers: a tarball and a Debian package.
    packages: Vec<PathBuf>,
    layer: String,
    /// The digest of all that was written.
    everything: Digest,
    binary_bytes: usize,
    download_bytes: usize,
}

/// Builds, and shows what came out.
pub(crate) fn image(options: &Options) -> Result<()> {
    let elsewhere = if options.verify { Some(Elsewhere::prepare(options)?) } else { None };
    let images = build(options)?;
    let rows = Component::ALL.iter().map(|component| Ok(images.of(*component)?.row())).collect::<Result<Vec<_>>>()?;
    print!("{}", terminal::table(&["image", "program", "download", "layer", "manifest"], &rows));
    println!(
        "\nFor registries (OCI layouts, the SBOM attached) and for container engines (ctr images import, docker load):"
    );
    images.images.iter().for_each(|image| println!("  {}  {}", image.layout.display(), image.archive.display()));
    println!("\nFor machines without containers:");
    let packages = images.images.iter().flat_map(|image| &image.packages);
    packages.for_each(|package| println!("  {}", package.display()));
    elsewhere.map_or(Ok(()), |elsewhere| elsewhere.compare(options, &images))
}

/// Builds the images, or finds them built, under a line of its own.
pub(crate) fn build(options: &Options) -> Result<Images> {
    let step = terminal::begin("building images (some minutes the first time)");
    step.outcome(made(options))
}

/// The images, built or found built: what users get is what the tests run.
pub(crate) fn made(options: &Options) -> Result<Images> {
    let folder = options.folder();
    std::fs::create_dir_all(&folder).with_context(|| format!("making {}", folder.display()))?;
    // Two runs at once: the second waits, and has little to do.
    let lock = File::create(folder.join(".lock"))?;
    lock.lock().with_context(|| format!("locking {}", folder.display()))?;
    let source = Source::of(&layout::root(), options)?;
    if !source.is_known() {
        terminal::interject("no git here: the images say revision unknown; --revision and SOURCE_DATE_EPOCH tell them");
    }
    let (arch, is_quick) = (options.arch()?, options.quick);
    let workshop = Workshop { root: layout::root(), target: None, cargo_home: None, arch, is_quick };
    let products = factory::products(&workshop, &source, options)?;
    let images = products.iter().map(|product| product.write(&folder)).collect::<Result<_>>()?;
    Ok(Images { images })
}

// === impl Image ===

impl Image {
    fn row(&self) -> Vec<String> {
        let megabytes = |bytes: usize| format!("{:.1} MB", bytes as f64 / 1e6);
        let short = |digest: &str| digest.chars().take("sha256:".len() + 12).collect::<String>();
        let sizes = [self.binary_bytes, self.download_bytes].map(megabytes);
        let digests = [&self.layer, &self.digest].map(|digest| short(digest));
        [self.reference.clone()].into_iter().chain(sizes).chain(digests).collect()
    }
}

// === impl Options ===

impl Options {
    /// Those to try something out, or to ship.
    pub(crate) fn new(quick: bool) -> Self {
        Self { quick, ..Self::default() }
    }

    /// Where images go.
    pub(crate) fn folder(&self) -> PathBuf {
        layout::target().join(if self.quick { "image-quick" } else { "image" })
    }

    fn arch(&self) -> Result<Arch> {
        self.arch.map_or_else(Arch::host, Ok)
    }
}

impl Default for Options {
    fn default() -> Self {
        Self { arch: None, repository: REPOSITORY.to_owned(), tag: None, revision: None, quick: false, verify: false }
    }
}

// === impl Images ===

impl Images {
    /// The component's image.
    pub(crate) fn of(&self, component: Component) -> Result<&Image> {
        let image = self.images.iter().find(|image| image.component == component);
        image.with_context(|| format!("no image of {component} was built"))
    }
}
