//! Installation: the CRDs, the RBAC rules, and a kubeconfig for each ServiceAccount, so that the programs run with
//! exactly the rules of `manifests/` and a missing one shows.

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result};
use serde_json::Value;

use crate::{Kubectl, clock, kubeconfig, layout};

/// The namespace of `manifests/rbac.yaml`.
pub const NAMESPACE: &str = "rollcall-system";

/// Longer than any run.
const TOKEN_LIFETIME: &str = "24h";

/// What the programs need to talk to the API server as themselves.
#[derive(Clone, Debug)]
pub struct Installation {
    /// For `rollcall-controller`.
    pub controller: PathBuf,
    /// For `rollcall-dns`.
    pub dns: PathBuf,
}

/// Installs everything and writes the kubeconfigs into `folder`.
pub fn install(kubectl: &Kubectl, folder: &Path) -> Result<Installation> {
    install_from(kubectl, folder, "rbac.yaml")
}

/// The same with the rights of another file of `manifests`.
pub fn install_from(kubectl: &Kubectl, folder: &Path, rights: &str) -> Result<Installation> {
    crds(kubectl)?;
    kubectl
        .apply_path(&layout::root().join("manifests").join(rights))
        .with_context(|| format!("applying manifests/{rights}"))?;
    Ok(Installation {
        controller: service_account(kubectl, "rollcall-controller", folder)?,
        dns: service_account(kubectl, "rollcall-dns", folder)?,
    })
}

/// Applies the CRDs and waits until the API server serves them.
pub fn crds(kubectl: &Kubectl) -> Result<()> {
    kubectl.apply_path(&layout::root().join("manifests/crds")).context("applying manifests/crds")?;
    clock::wait_until("the CRDs to be established", Duration::from_secs(120), || {
        let crds = kubectl.list(&["customresourcedefinitions"])?;
        let mut ours = crds.iter().filter(|crd| crd["spec"]["group"] == "rollcall.dev").peekable();
        Ok((ours.peek().is_some() && ours.all(is_established)).then_some(()))
    })
}

/// Writes a kubeconfig of a ServiceAccount in [`NAMESPACE`].
pub fn service_account(kubectl: &Kubectl, account: &str, folder: &Path) -> Result<PathBuf> {
    let token = kubectl
        .run(&["create", "token", account, "--namespace", NAMESPACE, "--duration", TOKEN_LIFETIME])
        .with_context(|| format!("a token for the ServiceAccount {NAMESPACE}/{account}"))?;
    let path = folder.join(format!("{account}.kubeconfig"));
    kubeconfig::write(&path, &kubeconfig::cluster(kubectl)?, account, token.trim())?;
    Ok(path)
}

fn is_established(crd: &Value) -> bool {
    let conditions = crd["status"]["conditions"].as_array().map(Vec::as_slice).unwrap_or_default();
    conditions.iter().any(|condition| condition["type"] == "Established" && condition["status"] == "True")
}
