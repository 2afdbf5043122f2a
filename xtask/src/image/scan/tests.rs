//! Images with one fault each, made by the code that makes the real ones, and the real ones if they are built.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use object::elf::{EM_X86_64, PT_INTERP, PT_LOAD};
use rollcall_e2e::layout;
use serde_json::json;

use super::super::assemble::{Assembled, Parts};
use super::super::crates::{Crates, Id};
use super::super::sbom::{About, Sbom};
use super::super::source::Source;
use super::super::tarball::Entry;
use super::*;

const ELF_HEADER: usize = 64;

/// The smallest ELF: a header and one segment of this type, which is empty.
fn elf(segment: u32) -> Vec<u8> {
    let mut elf = vec![0; 120];
    elf[..7].copy_from_slice(b"\x7fELF\x02\x01\x01");
    let halves: [(usize, u16); 5] = [(16, 2), (18, EM_X86_64), (52, 64), (54, 56), (56, 1)];
    for (at, value) in halves {
        elf[at..at + 2].copy_from_slice(&value.to_le_bytes());
    }
    elf[20] = 1;
    elf[32] = ELF_HEADER as u8;
    elf[ELF_HEADER..ELF_HEADER + 4].copy_from_slice(&segment.to_le_bytes());
    elf
}

fn source() -> Source {
    Source { revision: "8a58d6e0".to_owned(), time: jiff::Timestamp::from_second(1_795_265_908).unwrap() }
}

fn crates() -> Crates {
    let id = |name: &str| Id { name: name.to_owned(), version: "0.1.0".to_owned() };
    let needs = BTreeMap::from([
        (id("rollcall-dns"), BTreeSet::from([id("under_score")])),
        (id("under_score"), BTreeSet::new()),
    ]);
    let known = needs.keys().map(|id| (id.clone(), Default::default())).collect();
    Crates { known, needs, target: PathBuf::new() }
}

fn image(binary: &[u8]) -> Assembled {
    let (component, source) = (Component::Dns, source());
    let about = About { component, source: &source, home: "https://rollcall.dev", rust: "1.95.0", binary };
    let parts = Parts {
        component,
        arch: Arch::X86,
        binary,
        sbom: &Sbom::of(about, &crates()).unwrap(),
        source: &source,
        version: "0.1.0",
        home: "https://rollcall.dev",
        license: "Apache-2.0",
        repository: "rollcall.dev",
        tag: "0.1.0",
    };
    parts.assemble().unwrap()
}

fn scan_with(layout: &Layout, secrets: &[PathBuf]) -> String {
    let size_max = Component::Dns.bytes_max();
    let outcome = scan(layout, &Expected { component: Component::Dns, arch: Arch::X86, secrets, size_max });
    outcome.err().map(|error| error.to_string()).unwrap_or_default()
}

/// The image with another layer and config, and everything that refers to them made right again.
fn altered(files: &[Entry<'_>], alter: impl Fn(&mut Value)) -> Layout {
    let good = image(&elf(PT_LOAD)).layout;
    let json = |path: &str| serde_json::from_slice::<Value>(&good.files[path]).unwrap();
    let blob = |descriptor: &Value| {
        format!("blobs/sha256/{}", descriptor["digest"].as_str().unwrap().strip_prefix("sha256:").unwrap())
    };
    let index = json("index.json");
    let mut manifest = json(&blob(&index["manifests"][0]));
    let mut config = json(&blob(&manifest["config"]));
    let mut artifact = json(&blob(&index["manifests"][1]));
    let mut layout = Layout::default();
    let tarball = tarball::write(files).unwrap();
    config["rootfs"]["diff_ids"] = json!([Digest::of(&tarball)]);
    alter(&mut config);
    manifest["layers"] = json!([layout.blob(media::LAYER, tarball::gzip(&tarball).unwrap())]);
    manifest["config"] = json!(layout.json(media::CONFIG, &config));
    let mut descriptor: Descriptor = serde_json::from_value(index["manifests"][0].clone()).unwrap();
    let made = layout.json(media::MANIFEST, &manifest);
    (descriptor.digest, descriptor.size) = (made.digest, made.size);
    artifact["subject"] = json!(descriptor);
    for part in [&artifact["config"], &artifact["layers"][0]] {
        layout.files.insert(blob(part), good.files[&blob(part)].clone());
    }
    let artifact = layout.json(media::MANIFEST, &artifact);
    layout.index(&[descriptor, artifact]);
    layout
}

/// What the scan says about an image with these files.
fn with_files(files: &[Entry<'_>]) -> String {
    scan_with(&altered(files, |_| ()), &[])
}

fn program(mode: u32) -> String {
    with_files(&[Entry { path: "rollcall-dns", mode, bytes: &elf(PT_LOAD) }])
}

/// What the scan says about an image with this config.
fn with_config(alter: impl Fn(&mut Value)) -> String {
    let good = elf(PT_LOAD);
    scan_with(&altered(&[Entry { path: "rollcall-dns", mode: 0o555, bytes: &good }], alter), &[])
}

#[test]
fn what_is_packed_passes_the_scan_and_is_the_same_bytes_each_time() {
    let packed = image(&elf(PT_LOAD));
    assert_eq!(scan_with(&packed.layout, &[]), "");
    assert_eq!(packed, image(&elf(PT_LOAD)));
    assert_eq!(with_config(|_| ()), "", "the alterations of these tests keep everything else right");
}

#[test]
fn another_file_beside_the_program_is_found() {
    let good = elf(PT_LOAD);
    let shell = Entry { path: "bin/sh", mode: 0o555, bytes: &good };
    let said = with_files(&[Entry { path: "rollcall-dns", ..shell }, shell]);
    assert!(said.contains(r#"it holds ["rollcall-dns", "bin/sh"]"#), "{said}");
}

#[test]
fn a_program_that_changes_its_user_or_can_be_written_is_found() {
    assert!(program(0o4555).contains("changes its user or group"), "{}", program(0o4555));
    assert!(program(0o755).contains("can be written"), "{}", program(0o755));
    assert!(program(0o550).contains("cannot be run by everyone"), "{}", program(0o550));
}

#[test]
fn a_user_that_is_root_or_a_name_is_found() {
    for user in ["", "0:0", "root", "nobody", "65532:0", "65532"] {
        let said = with_config(|config| config["config"]["User"] = user.into());
        assert!(said.contains("its user is root, or a name"), "{user:?}: {said}");
    }
}

#[test]
fn a_missing_label_another_entrypoint_and_an_environment_are_found() {
    let label = "org.opencontainers.image.revision";
    let said = with_config(|config| config["config"]["Labels"][label] = "".into());
    assert!(said.contains("the label revision is missing"), "{said}");
    let said = with_config(|config| config["config"]["Entrypoint"] = json!(["/bin/sh"]));
    assert!(said.contains("its entrypoint is not its program"), "{said}");
    let said = with_config(|config| config["config"]["Env"] = json!(["PATH=/bin"]));
    assert!(said.contains("its config sets Env"), "{said}");
    let said = with_config(|config| config["rootfs"]["diff_ids"] = json!([Digest::of(b"")]));
    assert!(said.contains("diff_ids"), "{said}");
}

#[test]
fn a_program_that_needs_a_library_or_is_no_program_is_found() {
    let said = scan_with(&image(&elf(PT_INTERP)).layout, &[]);
    assert!(said.contains("linked dynamically"), "{said}");
    let said = scan_with(&image(b"#!/bin/sh").layout, &[]);
    assert!(said.contains("it is no ELF"), "{said}");
}

#[test]
fn a_folder_of_the_builder_in_the_program_is_found() {
    let mut binary = elf(PT_LOAD);
    binary.extend(b"\xffpanicked at /home/somebody/rollcall/dns/src/main.rs\0");
    let said = scan_with(&image(&binary).layout, &[PathBuf::from("/home/somebody/rollcall")]);
    assert!(said.contains(r#"names a folder of the machine that built it: "/home/somebody/rollcall/dns"#), "{said}");
}

#[test]
fn a_program_over_the_limit_is_found() {
    let mut binary = elf(PT_LOAD);
    binary.resize(Component::Dns.bytes_max() + 1, 0);
    let said = scan_with(&image(&binary).layout, &[]);
    assert!(said.contains("the program has 10.5 MB, more than 10.5"), "{said}");
}

#[test]
fn a_changed_and_a_stray_blob_are_found() {
    let good = image(&elf(PT_LOAD));
    let mut changed = good.layout.clone();
    changed.files.get_mut(&good.digest.path()).unwrap().push(b' ');
    let said = scan_with(&changed, &[]);
    assert!(said.contains("has another digest"), "{said}");
    let mut stray = good.layout;
    stray.blob(media::LAYER, b"stray".to_vec());
    assert!(scan_with(&stray, &[]).contains("nothing refers to"), "{}", scan_with(&stray, &[]));
}

#[test]
fn an_sbom_that_relates_what_it_does_not_list_is_found() {
    let document = json!({
        "spdxVersion": "SPDX-2.3", "dataLicense": "CC0-1.0", "SPDXID": "SPDXRef-DOCUMENT", "packages": [],
        "relationships": [{"spdxElementId": "SPDXRef-DOCUMENT", "relatedSpdxElement": "SPDXRef-a"}],
    });
    assert_eq!(spdx_problems(&document), [r#"the SBOM relates "SPDXRef-a", which it does not list"#]);
}

#[test]
fn the_archive_for_engines_holds_the_image_alone_under_its_whole_name() {
    let packed = image(&elf(PT_LOAD));
    let files = tarball::read(&packed.archive).unwrap();
    let json = |path: &str| -> Value {
        let file = files.iter().find(|file| file.path == path).unwrap();
        serde_json::from_slice(&file.bytes).unwrap()
    };
    let index = json("index.json");
    assert_eq!(index["manifests"].as_array().unwrap().len(), 1);
    assert_eq!(index["manifests"][0]["annotations"]["io.containerd.image.name"], "rollcall.dev/rollcall-dns:0.1.0");
    let docker = json("manifest.json");
    assert_eq!(docker[0]["RepoTags"], json!(["rollcall.dev/rollcall-dns:0.1.0"]));
    for path in [&docker[0]["Config"], &docker[0]["Layers"][0]] {
        assert!(files.iter().any(|file| file.path == path.as_str().unwrap()), "{path}");
    }
}

/// What `cargo xtask image` has left, if it has run: also somebody else's hand could have been at it.
#[test]
fn the_images_that_are_built_pass_the_scan() {
    for component in Component::ALL {
        let folder = layout::target().join("image").join(component.name());
        if !folder.is_dir() {
            println!("no image of {component} is built: cargo xtask image builds it");
            continue;
        }
        let (arch, size_max) = (built_for(&folder), component.bytes_max());
        let expected = Expected { component, arch, secrets: &[layout::root()], size_max };
        scan(&Layout::read(&folder).unwrap(), &expected).unwrap();
    }
}

fn built_for(folder: &Path) -> Arch {
    let index: Value = serde_json::from_slice(&std::fs::read(folder.join("index.json")).unwrap()).unwrap();
    let named = index["manifests"][0]["platform"]["architecture"].as_str().unwrap();
    *[Arch::X86, Arch::Arm].iter().find(|arch| arch.oci() == named).unwrap()
}
