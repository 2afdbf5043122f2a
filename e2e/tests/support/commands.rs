//! The commands of a page of the documentation, as its reader would type them.

use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail, ensure};
use rollcall_e2e::process::Program;
use rollcall_e2e::{Kubectl, layout};

use super::BOUND;

/// A heading of a page, and the shell commands below it.
#[derive(Debug)]
pub(crate) struct Section {
    pub(crate) heading: String,
    pub(crate) commands: Vec<String>,
}

/// The sections of a page that have commands: fenced blocks of the language `sh`.
pub(crate) fn sections(page: &str) -> Result<Vec<Section>> {
    let text = std::fs::read_to_string(layout::root().join(page)).with_context(|| page.to_owned())?;
    let mut sections = Vec::new();
    let mut block: Option<(bool, String)> = None;
    for line in text.lines() {
        match (&mut block, line.strip_prefix("```")) {
            (None, Some(language)) => block = Some((language == "sh", String::new())),
            (None, None) => {
                if let Some(heading) = line.strip_prefix("## ") {
                    sections.push(Section { heading: heading.to_owned(), commands: Vec::new() });
                }
            }
            (Some((_, commands)), None) => commands.extend([line, "\n"]),
            (Some(_), Some(_)) => {
                if let Some((true, commands)) = block.take() {
                    let section = sections.last_mut().with_context(|| format!("{page}: commands before a heading"))?;
                    section.commands.push(commands);
                }
            }
        }
    }
    ensure!(block.is_none(), "{page}: a block has no end");
    sections.retain(|section| !section.commands.is_empty());
    Ok(sections)
}

/// A folder to type commands in: as in a checkout, with a `kubectl` for one cluster.
pub(crate) struct Terminal {
    folder: PathBuf,
    kubeconfig: PathBuf,
    path: String,
}

// === impl Terminal ===

impl Terminal {
    pub(crate) fn open(kubectl: &Kubectl, folder: &Path) -> Result<Self> {
        let folder = folder.join("terminal");
        let programs = folder.join("bin");
        std::fs::create_dir_all(&programs)?;
        let program = programs.join("kubectl");
        std::fs::write(&program, format!("#!/bin/sh\nexec {} \"$@\"\n", kubectl.words()))?;
        std::fs::set_permissions(&program, std::fs::Permissions::from_mode(0o755))?;
        std::os::unix::fs::symlink(layout::root().join("manifests"), folder.join("manifests"))?;
        let path = format!("{}:{}", programs.display(), std::env::var("PATH").unwrap_or_default());
        Ok(Self { folder, kubeconfig: kubectl.kubeconfig().to_path_buf(), path })
    }

    /// Runs commands and returns what they print. Of commands that go on until somebody ends them, their first words.
    pub(crate) fn run(&self, commands: &str) -> Result<String> {
        if commands.contains("--watch") { self.first_words(commands) } else { self.output(commands) }
    }

    fn output(&self, commands: &str) -> Result<String> {
        let output = Command::new("bash")
            .args(["-euo", "pipefail", "-c", commands])
            .current_dir(&self.folder)
            .env("PATH", &self.path)
            .env("KUBECONFIG", &self.kubeconfig)
            .env("KUBECACHEDIR", self.folder.join("cache"))
            .output()
            .context("starting bash")?;
        let said = String::from_utf8_lossy(&output.stdout).into_owned();
        if !output.status.success() {
            bail!("{commands}{}: {said}{}", output.status, String::from_utf8_lossy(&output.stderr));
        }
        Ok(said)
    }

    fn first_words(&self, commands: &str) -> Result<String> {
        let script = format!("cd {}; exec {commands}", self.folder.display());
        let program = Program::new("watch", "bash", &self.folder)
            .args(["-euo", "pipefail", "-c", &script])
            .env("PATH", self.path.as_str())
            .env("KUBECONFIG", self.kubeconfig.display().to_string())
            .env("KUBECACHEDIR", self.folder.join("cache").display().to_string());
        let log = self.folder.join("watch.log");
        let _ = std::fs::remove_file(&log); // Of the command before.
        let mut process = program.start()?;
        process.wait_until("the first line", BOUND, || {
            let said = std::fs::read_to_string(&log)?;
            Ok(said.contains('\n').then_some(said))
        })
    }
}
