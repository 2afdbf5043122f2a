//! Tools that are built from Go modules: neither a container registry nor a download of releases is needed.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result};

use super::{Recipe, run};
use crate::layout;

/// The Kubernetes version that `e2e/controlplane/go.mod` names.
const KUBERNETES: &str = "v1.36.3";
const KWOK: &str = "v0.8.0";

/// What helps when a build from Go modules fails.
pub(super) const REMEDY: &str =
    "It needs Go 1.26 or later and, the first time, a network that reaches a Go module proxy (see GOPROXY)";

const KUBERNETES_REMEDY: &str = "It needs Go 1.26 or later and, the first time, a network that reaches a Go module proxy (see GOPROXY). \
                                 Instead, KUBEBUILDER_ASSETS may name a folder with etcd, kube-apiserver and kubectl";

/// etcd, kube-apiserver, kube-controller-manager, kube-scheduler, kubelet, kube-proxy and kubectl in one binary: the first
/// argument chooses.
pub fn controlplane() -> Result<PathBuf> {
    let source = layout::root().join("e2e/controlplane");
    let recipe = Recipe {
        name: "controlplane",
        binary: "controlplane",
        inputs: inputs(&source, &linker_flags())?,
        doing: "building Kubernetes (control plane, kubelet, kube-proxy, kubectl) and etcd from Go modules",
        takes: "about 8 minutes on two cores",
        remedy: KUBERNETES_REMEDY,
    };
    recipe.ready(|folder| build(&source, ".", &folder.join("controlplane"), &linker_flags()))
}

/// The program of a folder that has a module of its own.
pub(super) fn program(name: &'static str, folder: &str, doing: &'static str, takes: &'static str) -> Result<PathBuf> {
    let source = layout::root().join(folder);
    let recipe = Recipe { name, binary: name, inputs: inputs(&source, "")?, doing, takes, remedy: REMEDY };
    recipe.ready(|folder| build(&source, ".", &folder.join(name), "-s -w"))
}

/// The program that writes keys and certificates, alone: for a control plane whose binaries are given.
pub fn pki() -> Result<PathBuf> {
    let source = layout::root().join("e2e/controlplane");
    let recipe = Recipe {
        name: "pki",
        binary: "pki",
        inputs: inputs(&source.join("pki"), "")?,
        doing: "building the program that writes certificates",
        takes: "some seconds",
        remedy: "It needs Go 1.26 or later",
    };
    recipe.ready(|folder| build(&source, "./pki/cmd", &folder.join("pki"), "-s -w"))
}

/// KWOK, which plays kubelet: nodes that are Ready and pods that run, without a container.
pub fn kwok() -> Result<PathBuf> {
    let module = format!("sigs.k8s.io/kwok/cmd/kwok@{KWOK}");
    let recipe = Recipe {
        name: "kwok",
        binary: "kwok",
        inputs: module.clone().into_bytes(),
        doing: "installing KWOK from its Go module",
        takes: "about 90 seconds on two cores",
        remedy: KUBERNETES_REMEDY,
    };
    recipe.ready(|folder| {
        let mut install = Command::new("go");
        install.args(["install", "-trimpath", &module]).env("GOBIN", folder).env("CGO_ENABLED", "0");
        run(&mut install)
    })
}

/// h2spec, which knows what HTTP/2 asks of a server. Its module is as old as the last release that has one.
pub fn h2spec() -> Result<PathBuf> {
    let source = layout::root().join("e2e/h2spec");
    let recipe = Recipe {
        name: "h2spec",
        binary: "h2spec",
        inputs: inputs(&source, "")?,
        doing: "building h2spec from its Go module",
        takes: "about 20 seconds",
        remedy: REMEDY,
    };
    let package = "github.com/summerwind/h2spec/cmd/h2spec";
    recipe.ready(|folder| build(&source, package, &folder.join("h2spec"), "-s -w"))
}

pub(super) fn build(source: &Path, package: &str, binary: &Path, linker_flags: &str) -> Result<()> {
    // Under another name first: the old binary may be running, and a broken build must not take its place.
    let fresh = binary.with_extension("new");
    let mut build = Command::new("go");
    build
        .args(["build", "-trimpath", "-ldflags", linker_flags, "-o"])
        .arg(&fresh)
        .arg(package)
        .current_dir(source)
        .env("CGO_ENABLED", "0");
    run(&mut build)?;
    std::fs::rename(&fresh, binary).with_context(|| format!("putting {} in place", binary.display()))
}

/// Without a version, clients take the server for version 0 and refuse it.
fn linker_flags() -> String {
    let major_minor = KUBERNETES.trim_start_matches('v').split('.').take(2).collect::<Vec<_>>();
    let variables = [
        ("gitVersion", KUBERNETES),
        ("gitMajor", major_minor.first().copied().unwrap_or_default()),
        ("gitMinor", major_minor.get(1).copied().unwrap_or_default()),
        ("gitTreeState", "clean"),
        ("gitCommit", "0000000000000000000000000000000000000000"),
    ];
    let set = variables.map(|(name, value)| format!("-X k8s.io/component-base/version.{name}={value}"));
    format!("-s -w {}", set.join(" "))
}

/// All Go sources under a folder, `go.mod` and `go.sum` included, and the linker's flags.
pub(super) fn inputs(source: &Path, linker_flags: &str) -> Result<Vec<u8>> {
    let mut files = Vec::new();
    collect(source, &mut files).with_context(|| format!("listing {}", source.display()))?;
    files.sort();
    let mut inputs = linker_flags.as_bytes().to_vec();
    for file in files {
        inputs.extend(format!("\n// {}\n", file.strip_prefix(source).unwrap_or(&file).display()).bytes());
        inputs.extend(std::fs::read(&file).with_context(|| format!("reading {}", file.display()))?);
    }
    Ok(inputs)
}

fn collect(folder: &Path, files: &mut Vec<PathBuf>) -> std::io::Result<()> {
    for entry in std::fs::read_dir(folder)? {
        let path = entry?.path();
        if path.is_dir() {
            collect(&path, files)?;
        } else if path
            .extension()
            .is_some_and(|extension| extension == "go" || extension == "mod" || extension == "sum")
        {
            files.push(path);
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_version_in_the_binary_is_the_one_of_the_module() {
        let go_mod = std::fs::read_to_string(layout::root().join("e2e/controlplane/go.mod")).unwrap();
        assert!(go_mod.contains(&format!("k8s.io/kubernetes {KUBERNETES}\n")), "go.mod names another version");
        assert!(linker_flags().contains("version.gitMinor=36 "), "{}", linker_flags());
    }
}
