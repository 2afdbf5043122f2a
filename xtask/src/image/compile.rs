//! Static programs in which nothing of this machine can be found.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail};
use serde::Deserialize;

use super::component::Component;
use super::crates::{Crates, Id, cargo_in};
use super::platform::{Arch, rustc};

/// The profile of `Cargo.toml`.
pub(crate) const PROFILE: &str = "dist";
/// The one for trying something out.
const QUICK_PROFILE: &str = "dev";

/// Where to build: sources, and the folders that cargo uses for it.
#[derive(Clone, Debug)]
pub(crate) struct Workshop {
    pub(crate) root: PathBuf,
    /// Where cargo builds; its own choice if there is none.
    pub(crate) target: Option<PathBuf>,
    pub(crate) cargo_home: Option<PathBuf>,
    pub(crate) arch: Arch,
    /// Whether it is compiled to be tried once rather than to be shipped.
    pub(crate) is_quick: bool,
}

/// What was built.
#[derive(Clone, Debug)]
pub(crate) struct Programs {
    pub(crate) binaries: BTreeMap<Component, Vec<u8>>,
    /// The crates that were compiled for the target, by cargo's own account.
    pub(crate) compiled: BTreeSet<Id>,
    /// Folders of this machine that must not be named in them.
    pub(crate) secrets: Vec<PathBuf>,
}

/// A line of `cargo build --message-format=json`.
#[derive(Deserialize)]
#[serde(tag = "reason", rename_all = "kebab-case")]
enum Message {
    CompilerArtifact {
        manifest_path: PathBuf,
        filenames: Vec<PathBuf>,
        executable: Option<PathBuf>,
    },
    #[serde(other)]
    Other,
}

// === impl Workshop ===

impl Workshop {
    /// cargo, with the folders of this workshop.
    pub(crate) fn cargo(&self) -> Command {
        let mut cargo = cargo_in(&self.root);
        if let Some(target) = &self.target {
            cargo.env("CARGO_TARGET_DIR", target);
        }
        if let Some(home) = &self.cargo_home {
            cargo.env("CARGO_HOME", home);
        }
        cargo
    }

    /// Compiles all components in one go, so that they share their dependencies.
    pub(crate) fn compile(&self, crates: &Crates) -> Result<Programs> {
        self.arch.ensure_target(&self.root)?;
        let remaps = self.remaps(crates)?;
        let output = self.build(&remaps)?.output().context("cargo cannot be started")?;
        if !output.status.success() {
            bail!("compiling for {} failed; what cargo said is above", self.arch.target());
        }
        let folder = crates.target.join(self.arch.target());
        let mut programs = Programs { binaries: BTreeMap::new(), compiled: BTreeSet::new(), secrets: Vec::new() };
        for line in String::from_utf8_lossy(&output.stdout).lines() {
            programs.note(&serde_json::from_str(line).context("reading cargo's messages")?, &folder, crates)?;
        }
        programs.secrets = remaps.into_iter().map(|(from, _)| from).chain(std::env::home_dir()).collect();
        Ok(programs)
    }

    fn build(&self, remaps: &[(PathBuf, String)]) -> Result<Command> {
        let target = self.arch.target();
        let mut cargo = self.cargo();
        let profile = if self.is_quick { QUICK_PROFILE } else { PROFILE };
        cargo.args(["build", "--quiet", "--locked", "--profile", profile, "--target", target]);
        if self.is_quick {
            // What a debugger would need is most of such a program.
            cargo.env("CARGO_PROFILE_DEV_DEBUG", "false").env("CARGO_PROFILE_DEV_STRIP", "true");
        }
        cargo.args(["--message-format", "json-render-diagnostics"]);
        cargo.args(Component::ALL.iter().flat_map(|component| ["--package", component.name()]));
        let variable = target.replace('-', "_");
        // What the user's environment says goes first: there are machines where another compiler is the right one.
        if std::env::var_os(format!("CC_{variable}")).is_none() {
            cargo.env(format!("CC_{variable}"), self.arch.c_compiler()?);
        }
        // Fortified functions belong to glibc.
        let mut c_flags = vec!["-U_FORTIFY_SOURCE".to_owned(), "-D_FORTIFY_SOURCE=0".to_owned()];
        c_flags.extend(remaps.iter().map(|(from, to)| format!("-ffile-prefix-map={}={to}", from.display())));
        cargo.env(format!("CFLAGS_{variable}"), c_flags.join(" "));
        cargo.env("CARGO_ENCODED_RUSTFLAGS", rust_flags(self.arch, remaps).join("\u{1f}"));
        // Not the commit's time: that would compile the C again for every commit, and everything that needs it.
        cargo.env("SOURCE_DATE_EPOCH", "0");
        // A remainder of the environment, not a decision.
        cargo.env_remove("RUSTFLAGS").env_remove("CARGO_BUILD_TARGET").env_remove("CARGO_INCREMENTAL");
        cargo.stdin(Stdio::null()).stderr(Stdio::inherit());
        Ok(cargo)
    }

    /// What the folders of this machine are called in the programs. The last one that matches counts.
    fn remaps(&self, crates: &Crates) -> Result<Vec<(PathBuf, String)>> {
        let root = self.root.canonicalize().with_context(|| format!("finding {}", self.root.display()))?;
        // One folder for each registry, named by a hash of its address: a mirror has another than the registry itself.
        let foreign = crates.known.values().filter(|known| !known.folder.starts_with(&root));
        let registries: BTreeSet<PathBuf> = foreign.filter_map(|known| Some(known.folder.parent()?.into())).collect();
        let sysroot = PathBuf::from(rustc(&self.root, &["--print", "sysroot"])?);
        let mut remaps = vec![(root, "/rollcall".to_owned())];
        remaps.push((crates.target.clone(), "/rollcall/target".to_owned()));
        remaps.extend(registries.into_iter().map(|folder| (folder, "/crates".to_owned())));
        // Paths of the standard library are virtual already, unless the component rust-src is installed.
        remaps.push((sysroot.join("lib/rustlib/src/rust"), format!("/rustc/{}", commit_of_rustc(&self.root)?)));
        Ok(remaps)
    }
}

fn rust_flags(arch: Arch, remaps: &[(PathBuf, String)]) -> Vec<String> {
    let mut flags = vec!["-Ctarget-feature=+crt-static".to_owned()];
    if Arch::host().ok() != Some(arch) {
        // The linker that comes with Rust links for every processor.
        flags.extend(["-Clinker=rust-lld", "-Clink-self-contained=yes"].map(String::from));
    }
    flags.extend(remaps.iter().map(|(from, to)| format!("--remap-path-prefix={}={to}", from.display())));
    flags
}

fn commit_of_rustc(root: &Path) -> Result<String> {
    let version = rustc(root, &["--version", "--verbose"])?;
    let hash = version.lines().find_map(|line| line.strip_prefix("commit-hash: "));
    Ok(hash.unwrap_or("unknown").to_owned())
}

// === impl Programs ===

impl Programs {
    fn note(&mut self, message: &Message, folder: &Path, crates: &Crates) -> Result<()> {
        let Message::CompilerArtifact { manifest_path, filenames, executable } = message else { return Ok(()) };
        if !filenames.iter().any(|file| file.starts_with(folder)) {
            return Ok(()); // A build script or a procedural macro: it ran here.
        }
        let known = crates.known.iter().find(|(_, known)| manifest_path.parent() == Some(&known.folder));
        let (id, _) = known.with_context(|| format!("{} is not in cargo's metadata", manifest_path.display()))?;
        self.compiled.insert(id.clone());
        if let Some(executable) = executable {
            let component = Component::ALL.into_iter().find(|component| executable.ends_with(component.name()));
            let component = component.with_context(|| format!("{} is no component", executable.display()))?;
            let bytes = std::fs::read(executable).with_context(|| format!("reading {}", executable.display()))?;
            self.binaries.insert(component, bytes);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::super::crates::Crate;
    use super::*;

    fn known(folders: &[(&str, &str)]) -> Crates {
        let id = |name: &str| Id { name: name.to_owned(), version: "1.0.0".to_owned() };
        let known = |folder: &str| Crate { folder: folder.into(), ..Crate::default() };
        let known = folders.iter().map(|(name, folder)| (id(name), known(folder))).collect();
        Crates { known, target: "/builds/target".into(), ..Crates::default() }
    }

    #[test]
    fn folders_of_this_machine_get_names_that_are_alike_everywhere() {
        let root = std::env::temp_dir();
        let workshop =
            Workshop { root: root.clone(), target: None, cargo_home: None, arch: Arch::X86, is_quick: false };
        let names = |registry: &str| {
            let own = root.join("own");
            let crates = known(&[("a", &format!("{registry}/a-1.0.0")), ("own", &own.to_string_lossy())]);
            let remaps = workshop.remaps(&crates).unwrap();
            assert!(remaps.contains(&(registry.into(), "/crates".to_owned())), "{remaps:?}");
            assert!(remaps.contains(&("/builds/target".into(), "/rollcall/target".to_owned())), "{remaps:?}");
            remaps.into_iter().map(|(_, to)| to).collect::<Vec<_>>()
        };
        assert_eq!(names("/home/one/.cargo/registry/src/index-1"), names("/home/two/registry/src/mirror-2"));
    }

    #[test]
    fn what_was_compiled_to_run_here_is_not_taken_for_linked() {
        let mut programs = Programs { binaries: BTreeMap::new(), compiled: BTreeSet::new(), secrets: Vec::new() };
        let crates = known(&[("linked", "/crates/linked"), ("script", "/crates/script")]);
        let mut note = |name: &str, file: &str| {
            let line = format!(
                r#"{{"reason": "compiler-artifact", "manifest_path": "/crates/{name}/Cargo.toml",
                     "filenames": ["{file}"], "executable": null, "fresh": true}}"#
            );
            programs.note(&serde_json::from_str(&line).unwrap(), Path::new("/builds/target/musl"), &crates).unwrap();
        };
        note("linked", "/builds/target/musl/dist/deps/liblinked.rlib");
        note("script", "/builds/target/dist/deps/libscript.rlib");
        let names: Vec<&str> = programs.compiled.iter().map(|id| id.name.as_str()).collect();
        assert_eq!(names, ["linked"]);
        assert!(serde_json::from_str::<Message>(r#"{"reason": "build-finished", "success": true}"#).is_ok());
    }
}
