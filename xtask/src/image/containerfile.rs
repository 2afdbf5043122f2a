//! The Containerfile cannot be run where there is no engine. It is compared with what `cargo xtask image` does.

use std::path::Path;

use rollcall_e2e::layout;

use super::assemble::{MODE, USER};
use super::compile::PROFILE;
use super::component::Component;
use super::crates::cargo_in;

fn read(file: &str) -> String {
    let path = layout::root().join(file);
    std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// The Containerfile without its comments, each instruction on a line of its own.
fn containerfile() -> Vec<String> {
    let text = read("Containerfile");
    let lines: Vec<&str> = text.lines().filter(|line| !line.trim_start().starts_with('#')).collect();
    let joined = lines.join("\n").replace("\\\n", " ");
    joined.lines().map(|line| line.split_whitespace().collect::<Vec<_>>().join(" ")).collect()
}

/// The instructions of the stage `name`.
fn stage(name: &str) -> Vec<String> {
    let all = containerfile();
    let lines = all.iter().skip_while(|line| !(line.starts_with("FROM ") && line.ends_with(name))).skip(1);
    let stage: Vec<String> = lines.take_while(|line| !line.starts_with("FROM ")).cloned().collect();
    assert!(!stage.is_empty(), "the Containerfile has no stage {name}");
    stage
}

/// The folders of this repository that it copies.
fn copied() -> Vec<String> {
    let words = |line: String| line.split(' ').skip(1).map(str::to_owned).collect::<Vec<_>>();
    let copies = stage("AS build").into_iter().filter(|line| line.starts_with("COPY ")).map(words);
    copies.flat_map(|mut words| words.drain(..words.len() - 1).collect::<Vec<_>>()).collect()
}

#[track_caller]
fn assert_line(stage: &[String], wanted: &str) {
    assert!(stage.iter().any(|line| line.contains(wanted)), "the Containerfile lacks {wanted:?} in {stage:#?}");
}

#[test]
fn it_builds_the_same_packages_in_the_same_profile() {
    let build = stage("AS build");
    assert_line(&build, &format!("--locked --profile {PROFILE} "));
    assert!(read("Cargo.toml").contains(&format!("[profile.{PROFILE}]")));
    let packages: Vec<String> = Component::ALL.iter().map(|component| format!("--package {component}")).collect();
    assert_line(&build, &format!("{} &&", packages.join(" ")));
    for component in Component::ALL {
        let binary = format!("target/$target/{PROFILE}/{component}\" /images/{component}/{component}");
        assert_line(&build, &format!("install -D -m {MODE:04o} \"{binary}"));
    }
}

#[test]
fn it_copies_every_member_of_the_workspace_and_nothing_that_is_not_there() {
    let copied = copied();
    for path in &copied {
        assert!(layout::root().join(path).exists(), "the Containerfile copies {path}, which does not exist");
    }
    let output = cargo_in(&layout::root()).args(["metadata", "--no-deps", "--format-version", "1"]).output().unwrap();
    let metadata: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    for package in metadata["packages"].as_array().unwrap() {
        let manifest = Path::new(package["manifest_path"].as_str().unwrap());
        let member = manifest.strip_prefix(layout::root()).unwrap();
        assert!(
            copied.iter().any(|path| member.starts_with(path)),
            "the Containerfile does not copy {}",
            member.display()
        );
    }
}

#[test]
fn it_sets_the_same_user_entrypoint_ports_and_labels() {
    for component in Component::ALL {
        let stage = stage(&format!("AS {component}"));
        assert_line(&stage, &format!("/images/{component}/{component} /{component}"));
        assert_line(&stage, &format!("ENTRYPOINT [\"/{component}\"]"));
        assert_line(&stage, &format!("EXPOSE {}", component.ports().join(" ")));
        assert_line(&stage, &format!("image.title=\"{}\"", component.title()));
        assert_line(&stage, &format!("image.description=\"{}\"", component.description()));
    }
    let last = stage("${COMPONENT}");
    assert_line(&last, &format!("USER {USER}"));
    assert_line(&last, &format!("ARG VERSION={}", env!("CARGO_PKG_VERSION")));
    assert_line(&last, &format!("image.source=\"{}\"", env!("CARGO_PKG_REPOSITORY")));
    assert_line(&last, &format!("image.licenses=\"{}\"", env!("CARGO_PKG_LICENSE")));
    for label in ["version", "revision", "created"] {
        assert_line(&last, &format!("image.{label}=\"${{{}}}\"", label.to_uppercase()));
    }
}
