//! What Helm makes of the chart.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail};
use rollcall_e2e::{layout, tools};
use serde_json::Value;

pub(crate) const NAMESPACE: &str = "rollcall-system";

/// The objects of a release `rollcall`, in the order in which Helm printed them.
#[derive(Debug, PartialEq)]
pub(crate) struct Rendered {
    pub(crate) text: String,
    pub(crate) objects: Vec<Value>,
}

// === impl Rendered ===

impl Rendered {
    /// The object, which must be there.
    pub(crate) fn get(&self, kind: &str, name: &str) -> &Value {
        self.find(kind, name).unwrap_or_else(|| panic!("no {kind} {name} among {:?}", self.names()))
    }

    /// The object, if it is there.
    pub(crate) fn find(&self, kind: &str, name: &str) -> Option<&Value> {
        self.of(kind).into_iter().find(|object| object["metadata"]["name"] == name)
    }

    /// All objects of a kind.
    pub(crate) fn of(&self, kind: &str) -> Vec<&Value> {
        self.objects.iter().filter(|object| object["kind"] == kind).collect()
    }

    /// Kinds and names.
    pub(crate) fn names(&self) -> Vec<String> {
        let word = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        self.objects
            .iter()
            .map(|object| format!("{}/{}", word(&object["kind"]), word(&object["metadata"]["name"])))
            .collect()
    }
}

/// The folder of the chart.
pub(crate) fn chart() -> PathBuf {
    layout::root().join("charts/rollcall")
}

/// The files of values that come with the chart: those for production and those of its tests.
pub(crate) fn files() -> Result<Vec<PathBuf>> {
    let mut files = vec![chart().join("values-ha.yaml")];
    for entry in std::fs::read_dir(chart().join("ci")).context("listing charts/rollcall/ci")? {
        files.push(entry?.path());
    }
    files.sort();
    Ok(files)
}

/// What the chart's file of values of that name gives.
pub(crate) fn render_named(name: &str) -> Result<Rendered> {
    let file = files()?.into_iter().find(|file| file.ends_with(name)).with_context(|| format!("no {name}"))?;
    render_file(&tools::helm()?, &file)
}

/// What these values give, as YAML.
pub(crate) fn render(values: &str) -> Rendered {
    rendered(&tools::helm().expect("helm"), &["--values", "-"], values).expect("values that are good")
}

/// What a file of values gives, by that helm.
pub(crate) fn render_file(helm: &Path, file: &Path) -> Result<Rendered> {
    let path = file.to_str().context("a path that is not UTF-8")?;
    rendered(helm, &["--values", path], "").with_context(|| path.to_owned())
}

/// What the user is told about values that are wrong.
pub(crate) fn refusal(values: &str) -> Result<String> {
    refusal_as("rollcall", values)
}

/// The same for a release of another name.
pub(crate) fn refusal_as(release: &str, values: &str) -> Result<String> {
    match template(&tools::helm()?, release, &["--values", "-"], values) {
        Ok(_) => bail!("these values are taken:\n{values}"),
        Err(error) => Ok(error.to_string()),
    }
}

/// Runs `helm COMMAND ARGS` and gives its output; the error is what it said.
pub(crate) fn helm(helm: &Path, args: &[&str], input: &str) -> Result<String> {
    let mut child = Command::new(helm)
        .args(args)
        // Nothing of the user's: neither plugins nor a cluster.
        .env_clear()
        .env("HOME", layout::target().join("tools/helm"))
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .with_context(|| format!("starting {}", helm.display()))?;
    if let Some(mut stdin) = child.stdin.take() {
        let _ = stdin.write_all(input.as_bytes());
    }
    let output = child.wait_with_output()?;
    if !output.status.success() {
        bail!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    }
    Ok(String::from_utf8(output.stdout)?)
}

fn rendered(program: &Path, values: &[&str], input: &str) -> Result<Rendered> {
    let text = template(program, "rollcall", values, input)?;
    let objects = text.split("\n---\n").map(|document| document.strip_prefix("---\n").unwrap_or(document));
    let objects = objects.map(|document| serde_saphyr::from_str(document).with_context(|| document.to_owned()));
    let mut objects = objects.collect::<Result<Vec<Value>>>()?;
    // Documents of comments alone.
    objects.retain(Value::is_object);
    Ok(Rendered { text, objects })
}

fn template(program: &Path, release: &str, values: &[&str], input: &str) -> Result<String> {
    let chart = chart();
    let chart = chart.to_str().context("a path that is not UTF-8")?;
    helm(program, &[&["template", release, chart, "--namespace", NAMESPACE], values].concat(), input)
}
