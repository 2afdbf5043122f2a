//! Helm, from its Go modules: version 3, with which the chart is tested, and version 4, with which it must work as well.

use std::path::PathBuf;
use std::process::Command;

use anyhow::Result;

use super::{Recipe, go, run};

const HELM_3: &str = "v3.22.0";
const HELM_4: &str = "v4.3.1";

/// The minor version of Kubernetes that Helm 3 takes for the cluster's while there is none (`helm template`): that of its
/// own client-go. Its default is 20. Helm 4 finds out by itself.
const KUBERNETES_MINOR: &str = "37";

/// `helm`, version 3.
pub fn helm() -> Result<PathBuf> {
    let of = |package: &str| {
        let variable = format!("helm.sh/helm/v3/{package}.k8sVersion");
        format!("-X {variable}Major=1 -X {variable}Minor={KUBERNETES_MINOR}")
    };
    let kubernetes = ["pkg/lint/rules", "pkg/chartutil"].map(of).join(" ");
    install("helm", "helm.sh/helm/v3", HELM_3, &kubernetes)
}

/// `helm`, version 4.
pub fn helm4() -> Result<PathBuf> {
    install("helm4", "helm.sh/helm/v4", HELM_4, "")
}

/// Builds `target/tools/NAME/helm`. Without its version in it, Helm would say the minor one alone.
fn install(name: &str, module: &str, version: &str, more_flags: &str) -> Result<PathBuf> {
    let package = format!("{module}/cmd/helm@{version}");
    let variables = [("version", version), ("gitTreeState", "clean")];
    let set = variables.map(|(variable, value)| format!("-X {module}/internal/version.{variable}={value}"));
    let linker_flags = format!("-s -w {} {more_flags}", set.join(" "));
    let recipe = Recipe {
        name,
        binary: &format!("{name}/helm"),
        inputs: format!("{package}\n{linker_flags}\n").into_bytes(),
        doing: "building Helm from its Go module",
        takes: "about 90 seconds on two cores",
        remedy: go::REMEDY,
    };
    recipe.ready(|folder| {
        let mut install = Command::new("go");
        install.args(["install", "-trimpath", "-ldflags", &linker_flags, &package]);
        run(install.env("GOBIN", folder.join(name)).env("CGO_ENABLED", "0"))
    })
}
