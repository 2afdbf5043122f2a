//! OCI image layouts (image-spec 1.1) in memory: a folder's files by their path, each blob under the digest of its bytes.

use std::collections::BTreeMap;
use std::fmt;
use std::path::Path;

use anyhow::{Context, Result};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

use super::tarball::{self, Entry};

/// The media types in use.
pub(crate) mod media {
    /// A list of manifests.
    pub(crate) const INDEX: &str = "application/vnd.oci.image.index.v1+json";
    /// An image, or an artifact about one.
    pub(crate) const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
    /// How to run an image.
    pub(crate) const CONFIG: &str = "application/vnd.oci.image.config.v1+json";
    /// The files of an image. gzip, not zstd: every runtime and every old `docker load` takes it.
    pub(crate) const LAYER: &str = "application/vnd.oci.image.layer.v1.tar+gzip";
    /// The config of an artifact that has none.
    pub(crate) const EMPTY: &str = "application/vnd.oci.empty.v1+json";
    /// A list of what an image is made from.
    pub(crate) const SPDX: &str = "application/spdx+json";
}

/// The SHA-256 of some bytes, as `sha256:…`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub(crate) struct Digest(String);

/// What points to a blob.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Descriptor {
    /// What it is.
    pub(crate) media_type: String,
    /// Which it is.
    pub(crate) digest: Digest,
    /// Its bytes.
    pub(crate) size: usize,
    /// What an artifact is.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) artifact_type: Option<String>,
    /// Names, for whoever imports it.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub(crate) annotations: BTreeMap<String, String>,
    /// Where an image runs.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) platform: Option<Value>,
}

/// A layout: each file by its path.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Layout {
    pub(crate) files: BTreeMap<String, Vec<u8>>,
}

// === impl Digest ===

impl Digest {
    /// The digest of these bytes.
    pub(crate) fn of(bytes: &[u8]) -> Self {
        let hash = Sha256::digest(bytes);
        Self(hash.iter().fold("sha256:".to_owned(), |text, byte| format!("{text}{byte:02x}")))
    }

    /// The digits alone.
    pub(crate) fn hex(&self) -> &str {
        self.0.strip_prefix("sha256:").unwrap_or(&self.0)
    }

    /// Where a layout keeps the blob.
    pub(crate) fn path(&self) -> String {
        format!("blobs/sha256/{}", self.hex())
    }
}

impl fmt::Display for Digest {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

// === impl Layout ===

impl Layout {
    /// Adds a blob.
    pub(crate) fn blob(&mut self, media_type: &str, bytes: Vec<u8>) -> Descriptor {
        let digest = Digest::of(&bytes);
        let size = bytes.len();
        self.files.insert(digest.path(), bytes);
        let media_type = media_type.to_owned();
        Descriptor { media_type, digest, size, artifact_type: None, annotations: BTreeMap::new(), platform: None }
    }

    /// Adds a blob of JSON. Its keys are sorted, so equal content is equal bytes.
    pub(crate) fn json(&mut self, media_type: &str, value: &Value) -> Descriptor {
        self.blob(media_type, value.to_string().into_bytes())
    }

    /// Adds the entry point: what is in the layout.
    pub(crate) fn index(&mut self, manifests: &[Descriptor]) {
        let index = json!({"schemaVersion": 2, "mediaType": media::INDEX, "manifests": manifests});
        self.files.insert("index.json".to_owned(), index.to_string().into_bytes());
        let version = json!({"imageLayoutVersion": "1.0.0"});
        self.files.insert("oci-layout".to_owned(), version.to_string().into_bytes());
    }

    /// All of it as one tarball.
    pub(crate) fn archive(&self) -> Result<Vec<u8>> {
        let entries = self.files.iter().map(|(path, bytes)| Entry { path, mode: 0o644, bytes });
        tarball::write(entries.collect::<Vec<_>>().as_slice())
    }

    /// Writes the files into a folder that is not there yet.
    pub(crate) fn write(&self, folder: &Path) -> Result<()> {
        for (path, bytes) in &self.files {
            let file = folder.join(path);
            let parent = file.parent().unwrap_or(folder);
            std::fs::create_dir_all(parent).with_context(|| format!("making {}", parent.display()))?;
            std::fs::write(&file, bytes).with_context(|| format!("writing {}", file.display()))?;
        }
        Ok(())
    }

    /// Reads a folder back.
    pub(crate) fn read(folder: &Path) -> Result<Self> {
        let mut layout = Self::default();
        layout.read_below(folder, "")?;
        Ok(layout)
    }

    fn read_below(&mut self, folder: &Path, prefix: &str) -> Result<()> {
        for entry in std::fs::read_dir(folder).with_context(|| format!("reading {}", folder.display()))? {
            let entry = entry?;
            let path = format!("{prefix}{}", entry.file_name().to_string_lossy());
            if entry.file_type()?.is_dir() {
                self.read_below(&entry.path(), &format!("{path}/"))?;
            } else {
                self.files.insert(path, std::fs::read(entry.path())?);
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_digest_is_what_sha256sum_says() {
        let empty = "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
        assert_eq!(Digest::of(b"").to_string(), empty);
    }

    #[test]
    fn a_layout_reads_back_as_it_was_written() {
        let folder = std::env::temp_dir().join(format!("rollcall-layout-{}", std::process::id()));
        let mut layout = Layout::default();
        let blob = layout.json(media::CONFIG, &json!({"b": 1, "a": 2}));
        layout.index(&[blob]);
        layout.write(&folder).unwrap();
        let read = Layout::read(&folder).unwrap();
        std::fs::remove_dir_all(&folder).unwrap();
        assert_eq!(read, layout);
    }

    #[test]
    fn the_archive_is_the_same_bytes_each_time_and_in_order() {
        let mut layout = Layout::default();
        for content in ["one", "two", "three"] {
            layout.blob(media::LAYER, content.into());
        }
        layout.index(&[]);
        let archive = layout.archive().unwrap();
        assert_eq!(archive, layout.clone().archive().unwrap());
        let paths: Vec<String> = tarball::read(&archive).unwrap().into_iter().map(|file| file.path).collect();
        assert!(paths.is_sorted(), "{paths:?}");
        assert_eq!(paths.len(), 5);
    }
}
