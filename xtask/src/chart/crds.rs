//! The CRDs as templates: Helm installs what is in `crds/` once and never upgrades it.

use anyhow::{Context, Result, ensure};

const HEADER: &str = "{{- /* Generated from manifests/crds by `cargo xtask generate`; edit the types in crds/. */}}\n\
                      {{- if .Values.crds.enabled }}\n";
/// Of an API that other products serve as well: only where the cluster has it from nobody else.
const SHARED_HEADER: &str = "{{- /* Generated from manifests/crds by `cargo xtask generate`; edit the types in crds/. */}}\n\
                             {{- if and .Values.crds.enabled .Values.federation.enabled (include \"rollcall.federation.installs\" (list . \"NAME\")) }}\n";
const FOOTER: &str = "{{- end }}\n";

/// The metadata of the chart's other objects, and what makes an uninstall keep this one.
const METADATA: &str = r#"  {{- $keep := ternary (dict "helm.sh/resource-policy" "keep") dict .Values.crds.keep }}
APPROVED  {{- include "rollcall.metadata" (dict "root" . "name" "NAME" "cluster" true "annotations" $keep) | nindent 2 }}
"#;

/// What the API server wants to see at a definition of a protected group.
const APPROVED: &str = "  {{- $keep = merge (dict \"KEY\" \"VALUE\") $keep }}\n";

/// The template of a definition, as `cargo xtask generate` writes those.
pub(super) fn template(definition: &str) -> Result<String> {
    let body: String = definition.split_inclusive('\n').filter(|line| !line.starts_with('#')).collect();
    let (before, rest) = body.split_once("metadata:\n").context("the definition has no metadata")?;
    let (metadata, after) = rest.split_once("spec:\n").context("the definition ends with its metadata")?;
    let (mut name, mut approved) = (None, String::new());
    // A long value begins on a line of its own.
    let metadata = metadata.replace(">-\n      ", "");
    for line in metadata.lines() {
        match (line.strip_prefix("  name: "), line.trim().split_once(": ")) {
            (Some(its), _) => name = Some(its),
            (None, Some((key, value))) => {
                approved.push_str(&APPROVED.replace("KEY", key).replace("VALUE", value.trim_matches(['"', '\''])));
            }
            (None, None) => {
                ensure!(line == "  annotations:", "its metadata have another field than name and annotations");
            }
        }
    }
    let (name, after) = (name.context("its metadata have no name")?, format!("spec:\n{after}"));
    let written = METADATA.replace("APPROVED", &approved).replace("NAME", name);
    let header = match name {
        name if name.ends_with(".rollcall.dev") => HEADER.to_owned(),
        name if name.ends_with(".about.k8s.io") => SHARED_HEADER.replace("NAME", name).replace(
            ".Values.federation.enabled",
            ".Values.federation.enabled (ne .Values.federation.clusterProperty \"ignore\")",
        ),
        name => SHARED_HEADER.replace("NAME", name),
    };
    Ok(format!("{header}{}metadata:\n{written}{}\n{FOOTER}", literal(before), literal(&after).trim_end()))
}

/// Braces in descriptions and rules, kept from Helm.
fn literal(text: &str) -> String {
    text.replace("{{", "{{ \"{{\" }}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_definition_becomes_a_template_of_the_same_object() {
        let definition = "# Generated.\nkind: X\nmetadata:\n  name: xs.rollcall.dev\nspec:\n  text: a {{ b\n";
        let template = template(definition).unwrap();
        let lines: Vec<&str> = template.lines().collect();
        assert_eq!(lines[1..4], ["{{- if .Values.crds.enabled }}", "kind: X", "metadata:"]);
        assert!(lines[5].contains(r#""name" "xs.rollcall.dev" "cluster" true"#), "{}", lines[5]);
        assert_eq!(lines[6..], ["spec:", r#"  text: a {{ "{{" }} b"#, "{{- end }}"]);
    }
}
