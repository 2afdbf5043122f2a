//! An image from a program: one layer with one file, and the words around it.

use std::collections::BTreeMap;

use anyhow::Result;
use serde_json::{Value, json};

use super::component::Component;
use super::oci::{Descriptor, Digest, Layout, media};
use super::platform::Arch;
use super::sbom::Sbom;
use super::source::Source;
use super::tarball::{self, Entry};

/// Who runs it: nobody that a machine knows. A number, so that Kubernetes can see that it is not root.
pub(crate) const USER: &str = "65532:65532";

/// Read and run, by everyone; written by no one.
pub(super) const MODE: u32 = 0o555;

/// What an image is made of.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Parts<'a> {
    pub(crate) component: Component,
    pub(crate) arch: Arch,
    pub(crate) binary: &'a [u8],
    pub(crate) sbom: &'a Sbom,
    pub(crate) source: &'a Source,
    pub(crate) version: &'a str,
    /// Where the project lives.
    pub(crate) home: &'a str,
    pub(crate) license: &'a str,
    /// `rollcall.dev` in `rollcall.dev/rollcall-dns:0.1.0`.
    pub(crate) repository: &'a str,
    pub(crate) tag: &'a str,
}

/// An image in memory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Assembled {
    /// The image and its SBOM, which refers to it: what a registry takes.
    pub(crate) layout: Layout,
    /// The image alone: what a container engine takes. Some try to unpack whatever an archive holds.
    pub(crate) archive: Vec<u8>,
    /// The manifest's digest.
    pub(crate) digest: Digest,
    pub(crate) layer: Digest,
    /// Bytes to download: the layer, the config and the manifest.
    pub(crate) size: usize,
}

// === impl Parts ===

impl Parts<'_> {
    /// The whole name, as pods ask for it.
    pub(crate) fn reference(&self) -> String {
        format!("{}/{}:{}", self.repository, self.component, self.tag)
    }

    /// Makes the image.
    pub(crate) fn assemble(&self) -> Result<Assembled> {
        let mut layout = Layout::default();
        let tarball = tarball::write(&[Entry { path: self.component.name(), mode: MODE, bytes: self.binary }])?;
        let layer = layout.blob(media::LAYER, tarball::gzip(&tarball)?);
        let config = layout.json(media::CONFIG, &self.config(&Digest::of(&tarball)));
        let manifest = json!({
            "schemaVersion": 2, "mediaType": media::MANIFEST, "config": config, "layers": [layer],
            "annotations": self.labels(),
        });
        let image = Descriptor {
            annotations: self.names(),
            platform: Some(self.arch.platform()),
            ..layout.json(media::MANIFEST, &manifest)
        };
        layout.index(std::slice::from_ref(&image));
        let archive = self.archive(layout.clone(), &config, &layer)?;
        let sbom = self.attach_sbom(&mut layout, &image);
        let (digest, size) = (image.digest.clone(), layer.size + config.size + image.size);
        layout.index(&[image, sbom]);
        Ok(Assembled { layout, archive, digest, layer: layer.digest, size })
    }

    /// With the index of Docker's own format, for engines that do not know OCI's.
    fn archive(&self, mut layout: Layout, config: &Descriptor, layer: &Descriptor) -> Result<Vec<u8>> {
        let docker = json!([{
            "Config": config.digest.path(), "RepoTags": [self.reference()], "Layers": [layer.digest.path()],
        }]);
        layout.files.insert("manifest.json".to_owned(), docker.to_string().into_bytes());
        layout.archive()
    }

    /// As an artifact whose subject is the image (image-spec 1.1, "Guidelines for Artifact Usage").
    fn attach_sbom(&self, layout: &mut Layout, image: &Descriptor) -> Descriptor {
        let empty = layout.blob(media::EMPTY, b"{}".to_vec());
        let sbom = layout.blob(media::SPDX, self.sbom.bytes().to_vec());
        let subject = Descriptor { annotations: BTreeMap::new(), platform: None, ..image.clone() };
        let manifest = json!({
            "schemaVersion": 2, "mediaType": media::MANIFEST, "artifactType": media::SPDX, "config": empty,
            "layers": [sbom], "subject": subject,
            "annotations": {"org.opencontainers.image.created": self.source.time.to_string()},
        });
        let artifact_type = Some(media::SPDX.to_owned());
        Descriptor { artifact_type, ..layout.json(media::MANIFEST, &manifest) }
    }

    fn config(&self, diff: &Digest) -> Value {
        let created = self.source.time.to_string();
        let ports: BTreeMap<_, _> = self.component.ports().iter().map(|port| (port, json!({}))).collect();
        json!({
            "created": created,
            "architecture": self.arch.oci(),
            "os": "linux",
            "config": {
                "User": USER,
                "Entrypoint": [format!("/{}", self.component)],
                "WorkingDir": "/",
                "ExposedPorts": ports,
                "Labels": self.labels(),
            },
            "rootfs": {"type": "layers", "diff_ids": [diff]},
            "history": [{"created": created, "created_by": "cargo xtask image", "comment": "FROM scratch"}],
        })
    }

    /// The same in the config, where engines show them, and on the manifest, where registries do.
    fn labels(&self) -> BTreeMap<String, String> {
        let labels = [
            ("title", self.component.title().to_owned()),
            ("description", self.component.description().to_owned()),
            ("version", self.version.to_owned()),
            ("revision", self.source.revision.clone()),
            ("source", self.home.to_owned()),
            ("licenses", self.license.to_owned()),
            ("created", self.source.time.to_string()),
        ];
        labels.into_iter().map(|(name, value)| (format!("org.opencontainers.image.{name}"), value)).collect()
    }

    /// The tag for tools that read layouts, and the whole name for containerd.
    fn names(&self) -> BTreeMap<String, String> {
        let names = [
            ("org.opencontainers.image.ref.name", self.tag.to_owned()),
            ("io.containerd.image.name", self.reference()),
        ];
        names.map(|(name, value)| (name.to_owned(), value)).into()
    }
}
