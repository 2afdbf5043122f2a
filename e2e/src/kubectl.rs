//! kubectl, as a user would run it.

use std::ffi::OsString;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use anyhow::{Context, Result, bail};
use serde_json::Value;

use crate::clock;
use crate::process::Program;

/// kubectl for one kubeconfig.
#[derive(Clone, Debug)]
pub struct Kubectl {
    command: Vec<OsString>,
    kubeconfig: PathBuf,
}

// === impl Kubectl ===

impl Kubectl {
    /// kubectl as `command` (a program and its first arguments), talking to the cluster of `kubeconfig`.
    pub fn new(command: impl IntoIterator<Item = impl Into<OsString>>, kubeconfig: impl Into<PathBuf>) -> Self {
        Self { command: command.into_iter().map(Into::into).collect(), kubeconfig: kubeconfig.into() }
    }

    /// The same kubectl as somebody else.
    #[must_use]
    pub fn with_kubeconfig(&self, kubeconfig: impl Into<PathBuf>) -> Self {
        Self { command: self.command.clone(), kubeconfig: kubeconfig.into() }
    }

    /// The kubeconfig in use.
    pub fn kubeconfig(&self) -> &Path {
        &self.kubeconfig
    }

    /// The words that start it, for people to copy.
    pub fn words(&self) -> String {
        self.command.iter().map(|word| word.to_string_lossy()).collect::<Vec<_>>().join(" ")
    }

    /// Runs it and returns its output. The error holds what it said.
    pub fn run(&self, args: &[&str]) -> Result<String> {
        self.run_with_input(args, "")
    }

    /// Runs it with `input` as standard input.
    pub fn run_with_input(&self, args: &[&str], input: &str) -> Result<String> {
        let mut words = self.command.iter();
        let program = words.next().context("kubectl without a program")?;
        let mut child = Command::new(program)
            .args(words)
            .args(args)
            .env("KUBECONFIG", &self.kubeconfig)
            // Beside the kubeconfig, so that it goes with it and knows nothing of other clusters.
            .env("KUBECACHEDIR", self.kubeconfig.with_extension("cache"))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .with_context(|| format!("starting {}", self.words()))?;
        if let Some(mut stdin) = child.stdin.take() {
            // A kubectl that fails early closes its end; its own message says why.
            let _ = stdin.write_all(input.as_bytes());
        }
        let output = child.wait_with_output()?;
        if !output.status.success() {
            bail!("kubectl {}: {}", args.join(" "), String::from_utf8_lossy(&output.stderr).trim());
        }
        Ok(String::from_utf8_lossy(&output.stdout).into_owned())
    }

    /// kubectl as a process that stays, such as `kubectl proxy`; it logs to the folder `logs`.
    pub fn program(&self, name: &str, args: &[&str], logs: &Path) -> Result<Program> {
        let mut words = self.command.iter().map(|word| word.to_string_lossy().into_owned());
        let program = words.next().context("kubectl without a program")?;
        let program = Program::new(name, program, logs).args(words).args(args.iter().copied());
        Ok(program.env("KUBECONFIG", self.kubeconfig.display().to_string()))
    }

    /// Applies manifests, server-side.
    pub fn apply(&self, manifests: &str) -> Result<String> {
        self.run_with_input(&["apply", "--server-side", "-f", "-"], manifests)
    }

    /// Applies a file, or all files of a folder, server-side.
    pub fn apply_path(&self, path: &Path) -> Result<String> {
        let path = path.to_str().with_context(|| format!("{} is not UTF-8", path.display()))?;
        self.run(&["apply", "--server-side", "-f", path])
    }

    /// Gets objects: `args` as after `kubectl get`.
    pub fn get(&self, args: &[&str]) -> Result<Value> {
        let output = self.run(&[&["get", "-o", "json"], args].concat())?;
        serde_json::from_str(&output).with_context(|| format!("kubectl get {} gave no JSON", args.join(" ")))
    }

    /// The `items` of a list.
    pub fn list(&self, args: &[&str]) -> Result<Vec<Value>> {
        match self.get(args)?.get_mut("items").map(Value::take) {
            Some(Value::Array(items)) => Ok(items),
            _ => bail!("kubectl get {} gave no list", args.join(" ")),
        }
    }

    /// Deletes objects and waits until they are gone: `args` as after `kubectl delete`. Absence is no error.
    pub fn delete(&self, args: &[&str]) -> Result<()> {
        self.run(&[&["delete", "--ignore-not-found"], args].concat()).map(drop)
    }

    /// The objects of `args` once `condition` holds for them. `what` completes the sentence "waited … for".
    pub fn wait_until(
        &self,
        what: &str,
        bound: Duration,
        args: &[&str],
        mut condition: impl FnMut(&Value) -> bool,
    ) -> Result<Value> {
        clock::wait_until(what, bound, || {
            let objects = self.get(args)?;
            Ok(condition(&objects).then_some(objects))
        })
    }
}
