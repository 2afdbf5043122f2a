//! What is needed to ask the API port of what `up` has started: its certificate, and the token of an account of the example.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use rollcall_e2e::{Kubectl, kubeconfig};
use serde_json::json;

use super::example::NAMESPACE;

/// Certificate, key and token.
pub(super) struct ApiAccess {
    /// The certificate of the port, which is its own authority.
    pub(super) ca: PathBuf,
    key: PathBuf,
    /// Of a ServiceAccount that may read, register and beat in the example's namespace.
    pub(super) token: String,
}

/// The account, and the roles of the chart that it has.
const ACCOUNT: &str = "example";
const ROLES: [&str; 3] = ["rollcall-view", "rollcall-edit", "rollcall-agent"];
/// Longer than anybody tries.
const TOKEN_LIFETIME: &str = "24h";

// === impl ApiAccess ===

impl ApiAccess {
    /// Makes them, with files in `folder`.
    pub(super) fn make(kubectl: &Kubectl, folder: &Path) -> Result<Self> {
        let names = ["localhost", "127.0.0.1", "::1"].map(str::to_owned);
        let made = rcgen::generate_simple_self_signed(names).context("making a certificate for the API port")?;
        let (ca, key) = (folder.join("api.crt"), folder.join("api.key"));
        kubeconfig::write_private(&ca, &made.cert.pem())?;
        kubeconfig::write_private(&key, &made.signing_key.serialize_pem())?;
        let namespace = json!({ "apiVersion": "v1", "kind": "Namespace", "metadata": { "name": NAMESPACE } });
        let metadata = json!({ "name": ACCOUNT, "namespace": NAMESPACE });
        let account = json!({ "apiVersion": "v1", "kind": "ServiceAccount", "metadata": metadata });
        kubectl.apply(&format!("{namespace}\n---\n{account}"))?;
        for role in ROLES {
            let binding = json!({
                "apiVersion": "rbac.authorization.k8s.io/v1",
                "kind": "RoleBinding",
                "metadata": { "name": format!("{ACCOUNT}-{role}"), "namespace": NAMESPACE },
                "roleRef": { "apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": role },
                "subjects": [{ "kind": "ServiceAccount", "name": ACCOUNT, "namespace": NAMESPACE }],
            });
            kubectl.apply(&binding.to_string())?;
        }
        let token =
            kubectl.run(&["create", "token", ACCOUNT, "--namespace", NAMESPACE, "--duration", TOKEN_LIFETIME])?;
        Ok(Self { ca, key, token: token.trim().to_owned() })
    }

    /// What controllers are told.
    pub(super) fn flags(&self) -> Vec<String> {
        let flag = |name: &str, path: &Path| format!("--{name}={}", path.display());
        vec![flag("api-cert-file", &self.ca), flag("api-key-file", &self.key)]
    }
}
