//! Tarballs of which equal content is equal bytes: no time, no owner's name, in the order given.

use std::io::Read as _;
use std::io::Write as _;

use anyhow::{Context, Result};
use flate2::read::GzDecoder;
use flate2::{Compression, GzBuilder};
use tar::{Archive, Builder, EntryType, Header};

/// A file to put in.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Entry<'a> {
    pub(crate) path: &'a str,
    pub(crate) mode: u32,
    pub(crate) bytes: &'a [u8],
}

/// What was found in one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Found {
    pub(crate) path: String,
    pub(crate) kind: EntryType,
    pub(crate) mode: u32,
    pub(crate) owner: (u64, u64),
    pub(crate) bytes: Vec<u8>,
}

/// A tarball of these files, owned by root. Their time is the epoch: the layer of an unchanged program stays the same
/// layer over commits, so registries and nodes keep it once.
pub(crate) fn write(entries: &[Entry<'_>]) -> Result<Vec<u8>> {
    let mut builder = Builder::new(Vec::new());
    for entry in entries {
        let mut header = Header::new_ustar();
        header.set_entry_type(EntryType::Regular);
        header.set_size(entry.bytes.len() as u64);
        header.set_mode(entry.mode);
        header.set_uid(0);
        header.set_gid(0);
        header.set_mtime(0);
        builder.append_data(&mut header, entry.path, entry.bytes).with_context(|| format!("packing {}", entry.path))?;
    }
    builder.into_inner().context("closing the tarball")
}

/// The files of a tarball.
pub(crate) fn read(bytes: &[u8]) -> Result<Vec<Found>> {
    let mut archive = Archive::new(bytes);
    archive.entries()?.map(|entry| found(entry?)).collect()
}

fn found(mut entry: tar::Entry<'_, &[u8]>) -> Result<Found> {
    let mut bytes = Vec::new();
    entry.read_to_end(&mut bytes)?;
    let header = entry.header();
    let owner = (header.uid()?, header.gid()?);
    let (kind, mode) = (header.entry_type(), header.mode()?);
    Ok(Found { path: entry.path()?.to_string_lossy().into_owned(), kind, mode, owner, bytes })
}

/// Compressed, without a time and a name in the header.
pub(crate) fn gzip(bytes: &[u8]) -> Result<Vec<u8>> {
    let mut encoder = GzBuilder::new().mtime(0).write(Vec::new(), Compression::best());
    encoder.write_all(bytes)?;
    encoder.finish().context("compressing")
}

/// What was compressed.
pub(crate) fn gunzip(bytes: &[u8]) -> Result<Vec<u8>> {
    let mut plain = Vec::new();
    GzDecoder::new(bytes).read_to_end(&mut plain).context("decompressing a layer")?;
    Ok(plain)
}

#[cfg(test)]
mod tests {
    use super::*;

    const PROGRAM: Entry<'_> = Entry { path: "program", mode: 0o555, bytes: b"content" };

    #[test]
    fn the_same_files_are_the_same_bytes() {
        let bytes = || gzip(&write(&[PROGRAM]).unwrap()).unwrap();
        assert_eq!(bytes(), bytes());
        assert_eq!(bytes()[4..8], [0; 4], "no time in the header of gzip");
    }

    #[test]
    fn a_file_comes_back_with_its_mode_and_without_an_owner() {
        let tarball = write(&[PROGRAM]).unwrap();
        let expected = Found {
            path: "program".into(),
            kind: EntryType::Regular,
            mode: 0o555,
            owner: (0, 0),
            bytes: b"content".to_vec(),
        };
        assert_eq!(read(&gunzip(&gzip(&tarball).unwrap()).unwrap()).unwrap(), [expected]);
    }
}
