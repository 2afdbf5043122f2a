//! Kubeconfig files. They are written as JSON, which is YAML too.

use std::path::Path;

use anyhow::{Context, Result};
use serde_json::{Value, json};

use crate::Kubectl;

/// A kubeconfig of one user, known by a token.
pub fn write(path: &Path, cluster: &Value, user: &str, token: &str) -> Result<()> {
    let config = json!({
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": "rollcall", "cluster": cluster}],
        "users": [{"name": user, "user": {"token": token}}],
        "contexts": [{"name": "rollcall", "context": {"cluster": "rollcall", "user": user}}],
        "current-context": "rollcall",
    });
    write_private(path, &format!("{config:#}\n"))
}

/// Writes a file that only its owner may read: it holds credentials.
pub fn write_private(path: &Path, text: &str) -> Result<()> {
    use std::io::Write;
    use std::os::unix::fs::OpenOptionsExt;

    std::fs::File::options()
        .write(true)
        .create(true)
        .truncate(true)
        .mode(0o600)
        .open(path)
        .and_then(|mut file| file.write_all(text.as_bytes()))
        .with_context(|| format!("writing {}", path.display()))
}

/// The cluster of a kubeconfig's current context, with its certificates in it.
pub fn cluster(kubectl: &Kubectl) -> Result<Value> {
    let config = kubectl.run(&["config", "view", "--raw", "--minify", "--flatten", "-o", "json"])?;
    let config: Value = serde_json::from_str(&config).context("kubectl config view gave no JSON")?;
    let cluster = config.pointer("/clusters/0/cluster").cloned();
    cluster.with_context(|| format!("{} names no cluster", kubectl.kubeconfig().display()))
}
