//! `manifests/rbac.yaml`: the chart's rights, for those who install without Helm, such as the end-to-end tests; and
//! `manifests/rbac-federation.yaml`, the same with other clusters.

use anyhow::{Context, Result};
use rollcall_e2e::{layout, tools};

use super::rendered::{NAMESPACE, chart, helm};

const HEADER: &str = "\
# Generated from charts/rollcall by `cargo xtask generate`; edit its templates.
#
# Who may do what: the namespace of Rollcall, its two ServiceAccounts, and the fewest rules that each needs.
# The end-to-end suite and `cargo xtask up` run with exactly these, so a missing rule shows.
apiVersion: v1
kind: Namespace
metadata:
  name: rollcall-system
  labels:
    app.kubernetes.io/part-of: rollcall
    # Both programs run as non-root, without capabilities, on a read-only root file system.
    pod-security.kubernetes.io/enforce: restricted
";

/// The templates that it is made of, in this order.
const TEMPLATES: [&str; 5] =
    ["controller/serviceaccount", "controller/rbac", "dns/serviceaccount", "dns/rbac", "user-roles"];

/// Labels that say Helm looks after an object, or are of one version.
const HELM: [&str; 3] = ["app.kubernetes.io/managed-by:", "app.kubernetes.io/version:", "helm.sh/chart:"];

/// What is set for the rights of a cluster that is linked with others.
const FEDERATION: [&str; 4] = [
    "--set",
    "federation.enabled=true,federation.clusterId=east,federation.clusterProperty=write",
    "--set",
    "federation.secrets={link-east,link-west,link-north,link-south}",
];

#[test]
fn the_rights_are_those_of_the_chart() -> Result<()> {
    stands("rbac.yaml", &[])?;
    stands("rbac-federation.yaml", &FEDERATION)
}

fn stands(name: &str, more: &[&str]) -> Result<()> {
    let file = layout::root().join("manifests").join(name);
    let expected = expected(more)?;
    if std::env::var_os("UPDATE").is_some() {
        std::fs::write(&file, &expected).with_context(|| format!("writing {}", file.display()))?;
    }
    let found = std::fs::read_to_string(&file).unwrap_or_default();
    assert!(
        found == expected,
        "{} differs from what charts/rollcall says at line {}: run `cargo xtask generate` and commit the result",
        file.display(),
        1 + found.lines().zip(expected.lines()).take_while(|(found, expected)| found == expected).count(),
    );
    Ok(())
}

fn expected(more: &[&str]) -> Result<String> {
    let chart = chart().display().to_string();
    let mut text = HEADER.to_owned();
    for template in TEMPLATES {
        let shown = format!("templates/{template}.yaml");
        let words = ["template", "rollcall", &chart, "--namespace", NAMESPACE, "--show-only", &shown];
        let words = [&words, more].concat();
        for line in helm(&tools::helm()?, &words, "")?.lines() {
            if !line.starts_with("# Source: rollcall/")
                && !HELM.iter().any(|label| line.trim_start().starts_with(label))
            {
                text.push_str(line);
                text.push('\n');
            }
        }
    }
    Ok(text)
}
