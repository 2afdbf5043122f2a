//! The agent for machines: a tarball with the program, its systemd unit and example files, and the same as a Debian package.

use std::path::Path;

use anyhow::{Context, Result};
use rollcall_e2e::layout;

use super::platform::Arch;
use super::tarball;

/// A file of a package, or a folder when there are no bytes.
struct Item {
    path: String,
    mode: u32,
    bytes: Option<Vec<u8>>,
}

/// Below the repository, and where a Debian package puts it.
const FILES: [(&str, &str); 4] = [
    ("manifests/agent/rollcall-agent.service", "usr/lib/systemd/system/rollcall-agent.service"),
    ("manifests/agent/agent.toml", "etc/rollcall/agent.toml"),
    ("manifests/agent/services.d/payments.toml", "usr/share/doc/rollcall-agent/examples/services.d/payments.toml"),
    ("docs/agent.md", "usr/share/doc/rollcall-agent/agent.md"),
];
/// Folders of the Debian package, parents first: dpkg makes none by itself.
const FOLDERS: [&str; 13] = [
    "etc",
    "etc/rollcall",
    "etc/rollcall/services.d",
    "usr",
    "usr/bin",
    "usr/lib",
    "usr/lib/systemd",
    "usr/lib/systemd/system",
    "usr/share",
    "usr/share/doc",
    "usr/share/doc/rollcall-agent",
    "usr/share/doc/rollcall-agent/examples",
    "usr/share/doc/rollcall-agent/examples/services.d",
];

/// After an upgrade the agent starts anew without leaving the answers (SIGQUIT).
const POSTINST: &str = "#!/bin/sh\nset -e\nif [ -d /run/systemd/system ]; then\n  systemctl daemon-reload\n  \
    systemctl kill --signal=QUIT rollcall-agent.service 2>/dev/null || true\nfi\n";
/// A removal takes the machine out of the answers.
const PRERM: &str = "#!/bin/sh\nset -e\nif [ \"$1\" = remove ] && [ -d /run/systemd/system ]; then\n  \
    systemctl disable --now rollcall-agent.service || true\nfi\n";

/// Writes both for `binary` into `folder`; their names.
pub(super) fn write(folder: &Path, binary: &[u8], version: &str, arch: Arch) -> Result<[String; 2]> {
    let (tarball, package) = (
        format!("rollcall-agent-{version}-linux-{}.tar.gz", arch.oci()),
        format!("rollcall-agent_{version}_{}.deb", arch.oci()),
    );
    let write = |name: &str, bytes: &[u8]| {
        let path = folder.join(name);
        std::fs::write(&path, bytes).with_context(|| format!("writing {}", path.display()))
    };
    write(&tarball, &self::tarball(binary, version)?)?;
    write(&package, &debian(binary, version, arch)?)?;
    Ok([tarball, package])
}

fn tarball(binary: &[u8], version: &str) -> Result<Vec<u8>> {
    let top = format!("rollcall-agent-{version}");
    let file = |path: &str, mode, bytes| Item { path: format!("{top}/{path}"), mode, bytes: Some(bytes) };
    let mut items = vec![
        Item { path: top.clone(), mode: 0o755, bytes: None },
        file("rollcall-agent", 0o755, binary.to_vec()),
        Item { path: format!("{top}/services.d"), mode: 0o755, bytes: None },
    ];
    for (from, _) in FILES {
        let name = from.strip_prefix("manifests/agent/").or_else(|| from.strip_prefix("docs/")).unwrap_or(from);
        items.push(file(name, 0o644, read(from)?));
    }
    tarball::gzip(&packed(&items)?)
}

/// An archive of three members (deb(5)).
fn debian(binary: &[u8], version: &str, arch: Arch) -> Result<Vec<u8>> {
    let file = |path: &str, mode, bytes: &[u8]| Item { path: format!("./{path}"), mode, bytes: Some(bytes.to_vec()) };
    let folder = |path: &&str| Item { path: format!("./{path}"), mode: 0o755, bytes: None };
    let mut data: Vec<_> = FOLDERS.iter().map(folder).collect();
    data.push(file("usr/bin/rollcall-agent", 0o755, binary));
    for (from, to) in FILES {
        data.push(file(to, 0o644, &read(from)?));
    }
    let size: usize = data.iter().filter_map(|item| item.bytes.as_ref()).map(Vec::len).sum();
    let control = format!(
        "Package: rollcall-agent\nVersion: {version}\nArchitecture: {}\nMaintainer: Rollcall\nInstalled-Size: {}\nSection: net\n\
         Priority: optional\nHomepage: {}\nDescription: registers what runs on this machine with Rollcall\n Checks it, and says \
         that it lives, so that the callers in a Kubernetes cluster find it.\n",
        arch.oci(),
        size.div_ceil(1024),
        env!("CARGO_PKG_REPOSITORY"),
    );
    let scripts = [
        file("control", 0o644, control.as_bytes()),
        file("conffiles", 0o644, b"/etc/rollcall/agent.toml\n"),
        file("postinst", 0o755, POSTINST.as_bytes()),
        file("prerm", 0o755, PRERM.as_bytes()),
    ];
    let members = [
        ("debian-binary", b"2.0\n".to_vec()),
        ("control.tar.gz", tarball::gzip(&packed(&scripts)?)?),
        ("data.tar.gz", tarball::gzip(&packed(&data)?)?),
    ];
    Ok(members.iter().fold(b"!<arch>\n".to_vec(), |archive, (name, bytes)| member(archive, name, bytes)))
}

/// ar(5): a header of 60 bytes, the content, and a line break where that is odd.
fn member(mut archive: Vec<u8>, name: &str, bytes: &[u8]) -> Vec<u8> {
    let (time, owner, group, mode, size) = (0, 0, 0, "100644", bytes.len());
    archive.extend(format!("{name:<16}{time:<12}{owner:<6}{group:<6}{mode:<8}{size:<10}`\n").into_bytes());
    archive.extend_from_slice(bytes);
    if bytes.len() % 2 == 1 {
        archive.push(b'\n');
    }
    archive
}

fn read(file: &str) -> Result<Vec<u8>> {
    let path = layout::root().join(file);
    std::fs::read(&path).with_context(|| path.display().to_string())
}

/// Root's, without times: the same files are the same bytes.
fn packed(items: &[Item]) -> Result<Vec<u8>> {
    let mut builder = tar::Builder::new(Vec::new());
    for Item { path, mode, bytes } in items {
        let mut header = tar::Header::new_gnu();
        let content = bytes.as_deref().unwrap_or_default();
        header.set_size(content.len() as u64);
        header.set_mode(*mode);
        header.set_uid(0);
        header.set_gid(0);
        header.set_mtime(0);
        if bytes.is_none() {
            header.set_entry_type(tar::EntryType::Directory);
        }
        builder.append_data(&mut header, path, content).with_context(|| format!("packing {path}"))?;
    }
    builder.into_inner().context("closing the tarball")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_debian_package_is_an_archive_whose_members_are_where_dpkg_looks() {
        let package = debian(b"program", "0.1.0", Arch::X86).unwrap();
        assert_eq!(package, debian(b"program", "0.1.0", Arch::X86).unwrap(), "the same bytes each time");
        assert!(package.starts_with(b"!<arch>\ndebian-binary   "));
        let (mut at, mut members) = (8, Vec::new());
        while at < package.len() {
            let header = std::str::from_utf8(&package[at..at + 60]).unwrap();
            assert!(header.ends_with("`\n"), "{header:?}");
            let size: usize = header[48..58].trim().parse().unwrap();
            members.push((header[..16].trim().to_owned(), package[at + 60..at + 60 + size].to_vec()));
            at += 60 + size + size % 2;
        }
        let names: Vec<_> = members.iter().map(|(name, _)| name.as_str()).collect();
        assert_eq!(names, ["debian-binary", "control.tar.gz", "data.tar.gz"]);
        let data = tarball::read(&tarball::gunzip(&members[2].1).unwrap()).unwrap();
        let program = data.iter().find(|found| found.path.ends_with("usr/bin/rollcall-agent")).expect("the program");
        assert_eq!((program.mode, &*program.bytes), (0o755, &b"program"[..]));
        for found in &data {
            let parent = Path::new(found.path.trim_end_matches('/')).parent().unwrap().display().to_string();
            let has = |folder: &str| data.iter().any(|other| other.path.trim_end_matches('/') == folder);
            assert!(parent.is_empty() || parent == "." || has(&parent), "nothing makes {parent}");
        }
    }

    #[test]
    fn the_tarball_has_the_program_the_unit_and_examples() {
        let files = tarball::read(&tarball::gunzip(&tarball(b"program", "0.1.0").unwrap()).unwrap()).unwrap();
        for name in ["rollcall-agent", "rollcall-agent.service", "agent.toml", "services.d/payments.toml", "agent.md"] {
            assert!(files.iter().any(|found| found.path == format!("rollcall-agent-0.1.0/{name}")), "no {name}");
        }
    }
}
