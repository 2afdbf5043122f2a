//! CRDs of others whose objects the chart can make, from the Go modules of their operators: with them the API server says
//! whether it would take these objects.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};
use serde_json::Value;

use super::{Recipe, go};

/// A module, and the files in it.
const MODULES: [(&str, &[&str]); 2] = [
    (
        "github.com/prometheus-operator/prometheus-operator@v0.85.0",
        &[
            "example/prometheus-operator-crd/monitoring.coreos.com_podmonitors.yaml",
            "example/prometheus-operator-crd/monitoring.coreos.com_prometheusrules.yaml",
            "example/prometheus-operator-crd/monitoring.coreos.com_servicemonitors.yaml",
        ],
    ),
    (
        "github.com/cert-manager/cert-manager@v1.21.2",
        &["deploy/crds/cert-manager.io_certificates.yaml", "deploy/crds/cert-manager.io_issuers.yaml"],
    ),
];

/// A folder with the CRDs of the Prometheus operator and of cert-manager that the chart's objects need.
pub fn operator_crds() -> Result<PathBuf> {
    let recipe = Recipe {
        name: "operator-crds",
        binary: "operator-crds/.complete",
        inputs: format!("{MODULES:?}").into_bytes(),
        doing: "taking the CRDs of cert-manager and the Prometheus operator from their Go modules",
        takes: "about 10 seconds",
        remedy: go::REMEDY,
    };
    let complete = recipe.ready(|folder| {
        let folder = folder.join("operator-crds");
        std::fs::create_dir_all(&folder)?;
        for (module, files) in MODULES {
            copy(&download(module)?, files, &folder).with_context(|| module.to_owned())?;
        }
        std::fs::write(folder.join(".complete"), "").context("marking them complete")
    })?;
    complete.parent().map(Path::to_path_buf).context("a file without a folder")
}

fn copy(module: &Path, files: &[&str], folder: &Path) -> Result<()> {
    for file in files {
        let from = module.join(file);
        let name = from.file_name().context("a file without a name")?;
        std::fs::copy(&from, folder.join(name)).with_context(|| format!("copying {}", from.display()))?;
    }
    Ok(())
}

/// The folder of a module in Go's cache.
fn download(module: &str) -> Result<PathBuf> {
    let output = Command::new("go").args(["mod", "download", "-json", module]).current_dir("/").output()?;
    let answer: Value = serde_json::from_slice(&output.stdout).context("`go mod download -json` gave no JSON")?;
    match answer["Dir"].as_str() {
        Some(folder) => Ok(folder.into()),
        None => bail!("{}", answer["Error"].as_str().unwrap_or("`go mod download -json` named no folder")),
    }
}
