//! The agent as a process: a machine outside the cluster, with a folder of its own.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use serde_json::Value;

use crate::process::{Process, Program};
use crate::{Kubectl, net};

/// How long the agent may take until something is as it should be.
const BOUND: Duration = Duration::from_secs(120);
/// Longer than any run.
const TOKEN_LIFETIME: &str = "24h";

/// What an agent is told.
#[derive(Clone, Debug)]
pub struct Settings<'a> {
    /// The name of its machine.
    pub machine: &'a str,
    /// Controllers, as URLs.
    pub controllers: Vec<String>,
    /// The token that it shows; empty: none.
    pub token: &'a str,
    /// More lines of its file.
    pub more: &'a str,
    /// Its service files, by name.
    pub services: &'a [(&'a str, &'a str)],
}

/// An agent that runs.
#[derive(Debug)]
pub struct Agent {
    /// Its process.
    pub process: Process,
    /// Where its files are.
    pub folder: PathBuf,
    /// Where its metrics are.
    pub metrics: SocketAddr,
    program: PathBuf,
}

// === impl Agent ===

impl Agent {
    /// Writes its files into a folder below `folder`, and starts it.
    pub fn start(program: &Path, settings: &Settings<'_>, folder: &Path) -> Result<Self> {
        let own = folder.join(format!("agent-{}", settings.machine));
        std::fs::create_dir_all(own.join("services.d")).with_context(|| format!("making {}", own.display()))?;
        std::fs::write(own.join("token"), settings.token)?;
        for (name, text) in settings.services {
            std::fs::write(own.join("services.d").join(name), text)?;
        }
        let metrics = net::free_loopback()?;
        let controllers: Vec<_> = settings.controllers.iter().map(|url| format!("{url:?}")).collect();
        let token_file = if settings.token.is_empty() { "" } else { "token_file = \"token\"\n" };
        let text = format!(
            "machine = \"{}\"\ncontrollers = [{}]\n{token_file}services = \"services.d\"\nsocket = \"sock\"\n\
             state_file = \"state.json\"\nmetrics = \"{metrics}\"\n{}\n",
            settings.machine,
            controllers.join(", "),
            settings.more,
        );
        std::fs::write(own.join("agent.toml"), text)?;
        let config = own.join("agent.toml").display().to_string();
        let process = Program::new(format!("agent-{}", settings.machine), program, folder)
            .args(["run", "--config", &config])
            .start()?;
        Ok(Self { process, folder: own, metrics, program: program.to_path_buf() })
    }

    /// Runs one of its commands; whether it says that all is well, and what it prints.
    pub fn command(&self, command: &[&str]) -> Result<(bool, String)> {
        let config = self.folder.join("agent.toml");
        let output = Command::new(&self.program).args(command).arg("--config").arg(&config).output();
        let output = output.with_context(|| format!("starting {}", self.program.display()))?;
        let both = [output.stdout, output.stderr].concat();
        Ok((output.status.success(), String::from_utf8_lossy(&both).into_owned()))
    }

    /// What it knows, as JSON.
    pub fn status(&self) -> Result<Value> {
        let (_, said) = self.command(&["status", "-o", "json"])?;
        serde_json::from_str(&said).with_context(|| format!("rollcall-agent status: {said}"))
    }

    /// Waits until its status of an instance is one of this state whose words contain these.
    pub fn await_state(&mut self, instance: &str, state: &str, words: &str) -> Result<()> {
        let what = format!("{instance} to be {state} ({words:?})");
        let (program, folder, metrics) = (self.program.clone(), self.folder.clone(), self.metrics);
        let asked = move || -> Result<Value> {
            let config = folder.join("agent.toml");
            let output = Command::new(&program).args(["status", "-o", "json", "--config"]).arg(&config).output()?;
            serde_json::from_slice(&output.stdout)
                .with_context(|| format!("{metrics}: {}", String::from_utf8_lossy(&output.stderr)))
        };
        self.process.wait_until(&what, BOUND, || {
            let status = asked()?;
            let service = &status["services"][instance];
            let said = service["words"].as_str().unwrap_or_default();
            if service["state"] == state && said.contains(words) { Ok(Some(())) } else { bail!("{status}") }
        })
    }
}

/// A token of a ServiceAccount that is made, with the rights of an agent in its namespace.
pub fn account(kubectl: &Kubectl, namespace: &str, name: &str) -> Result<String> {
    kubectl.run(&["create", "serviceaccount", name, "--namespace", namespace])?;
    let (role, account) = ("--clusterrole=rollcall-agent", format!("--serviceaccount={namespace}:{name}"));
    kubectl.run(&["create", "rolebinding", name, "--namespace", namespace, role, &account])?;
    token(kubectl, namespace, name)
}

/// A token of a ServiceAccount.
pub fn token(kubectl: &Kubectl, namespace: &str, name: &str) -> Result<String> {
    let token = kubectl.run(&["create", "token", name, "--namespace", namespace, "--duration", TOKEN_LIFETIME]);
    Ok(token.with_context(|| format!("a token for {namespace}/{name}"))?.trim().to_owned())
}
