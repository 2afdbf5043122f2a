//! What a real node runs: containerd, runc and network plugins from Go modules, nft from the system, and the workload
//! that tests run in pods.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};

use super::{Recipe, debian, go, on_path, run};
use crate::layout;

const CONTAINERD: &str = "github.com/containerd/containerd/v2/cmd/{}@v2.4.2";
const RUNC: &str = "github.com/opencontainers/runc@v1.5.2";
const PLUGINS: &str = "github.com/containernetworking/plugins/plugins/{}@v1.9.1";

const NFT_REMEDY: &str = "nft is missing, with which kube-proxy writes its rules: install the package nftables";
const SECCOMP_REMEDY: &str = "runc is built against libseccomp, or pods could not have a seccomp profile: install a C \
                              compiler, pkg-config and the headers of libseccomp (gcc, pkg-config and libseccomp-dev \
                              on Debian and Ubuntu; gcc, pkgconf and libseccomp-devel on Fedora)";

/// The programs of a node.
#[derive(Clone, Debug)]
pub struct NodeTools {
    /// The control plane's components, kubelet, kube-proxy and kubectl.
    pub controlplane: PathBuf,
    /// The folder of containerd, its shim and ctr.
    pub containerd: PathBuf,
    /// runc.
    pub runc: PathBuf,
    /// The folder of the CNI plugins.
    pub plugins: PathBuf,
    /// What tests run in pods.
    pub workload: PathBuf,
    /// The workload's images, as an archive.
    pub workload_image: PathBuf,
}

/// Makes the programs of a node ready, while there is a network.
pub fn node() -> Result<NodeTools> {
    if on_path("nft").is_none() {
        debian::install(&["nftables"], NFT_REMEDY)?;
    }
    let workload = workload()?;
    Ok(NodeTools {
        controlplane: go::controlplane()?,
        containerd: folder_of(&containerd()?)?,
        runc: runc()?,
        plugins: folder_of(&plugins()?)?,
        workload_image: workload.with_extension("tar"),
        workload,
    })
}

/// The program that tests run in pods and as machines outside the cluster.
pub fn workload() -> Result<PathBuf> {
    let source = layout::root().join("e2e/workload");
    let recipe = Recipe {
        name: "workload",
        binary: "workload",
        inputs: go::inputs(&source, "")?,
        doing: "building what tests run in pods",
        takes: "some seconds",
        remedy: "It needs Go 1.26 or later",
    };
    recipe.ready(|folder| {
        let binary = folder.join("workload");
        go::build(&source, ".", &binary, "-s -w")?;
        run(Command::new(&binary).arg("image").arg(binary.with_extension("tar")))
    })
}

fn containerd() -> Result<PathBuf> {
    const NAMES: [&str; 3] = ["containerd-shim-runc-v2", "ctr", "containerd"];
    let recipe = Recipe {
        name: "containerd",
        binary: "containerd/containerd",
        inputs: CONTAINERD.as_bytes().to_vec(),
        doing: "building containerd from its Go module",
        takes: "about 100 seconds on two cores",
        remedy: go::REMEDY,
    };
    let modules: Vec<String> = NAMES.iter().map(|name| CONTAINERD.replace("{}", name)).collect();
    recipe.ready(|folder| go_install(&modules, &[], &folder.join("containerd"), CGO_OFF))
}

fn runc() -> Result<PathBuf> {
    let recipe = Recipe {
        name: "runc",
        binary: "runc/runc",
        inputs: RUNC.as_bytes().to_vec(),
        doing: "building runc from its Go module",
        takes: "about 20 seconds on two cores",
        remedy: "It needs Go and a C compiler and, the first time, a network that reaches a Go module proxy (see GOPROXY)",
    };
    recipe.ready(|folder| {
        if !has_seccomp_headers() {
            debian::install(&["gcc", "libc6-dev", "pkg-config", "libseccomp-dev"], SECCOMP_REMEDY)?;
        }
        if !has_seccomp_headers() {
            bail!(SECCOMP_REMEDY);
        }
        go_install(&[RUNC.to_owned()], &["-tags", "seccomp"], &folder.join("runc"), CGO_ON)
    })
}

fn plugins() -> Result<PathBuf> {
    const NAMES: [&str; 4] = ["main/loopback", "ipam/host-local", "meta/portmap", "main/bridge"];
    let recipe = Recipe {
        name: "cni",
        binary: "cni/bridge",
        inputs: PLUGINS.as_bytes().to_vec(),
        doing: "building the network plugins from their Go module",
        takes: "about 10 seconds on two cores",
        remedy: go::REMEDY,
    };
    let modules: Vec<String> = NAMES.iter().map(|name| PLUGINS.replace("{}", name)).collect();
    recipe.ready(|folder| go_install(&modules, &[], &folder.join("cni"), CGO_OFF))
}

fn has_seccomp_headers() -> bool {
    Command::new("pkg-config").args(["--exists", "libseccomp"]).status().is_ok_and(|status| status.success())
}

const CGO_ON: &str = "1";
const CGO_OFF: &str = "0";

fn go_install(modules: &[String], flags: &[&str], into: &Path, cgo: &str) -> Result<()> {
    let mut install = Command::new("go");
    install.args(["install", "-trimpath", "-ldflags", "-s -w"]).args(flags).args(modules);
    run(install.env("GOBIN", into).env("CGO_ENABLED", cgo))
}

fn folder_of(binary: &Path) -> Result<PathBuf> {
    binary.parent().map(Path::to_path_buf).context("a program without a folder")
}
