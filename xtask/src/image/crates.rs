//! Which crates are linked into which program, as cargo resolves them.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail};
use rollcall_e2e::cargo::cargo;
use serde::Deserialize;

use super::component::Component;

/// A crate in a version. Of one version there is one source (deny.toml allows one registry).
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Id {
    pub(crate) name: String,
    pub(crate) version: String,
}

/// What is known of a crate.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Crate {
    /// SPDX expression, as its author wrote it.
    pub(crate) license: Option<String>,
    /// SHA-256 of the package as downloaded, from `Cargo.lock`. Crates of the workspace have none.
    pub(crate) checksum: Option<String>,
    /// The folder of its sources.
    pub(crate) folder: PathBuf,
}

/// The crates of the workspace's programs and who needs whom.
#[derive(Clone, Debug, Default)]
pub(crate) struct Crates {
    pub(crate) known: BTreeMap<Id, Crate>,
    pub(crate) needs: BTreeMap<Id, BTreeSet<Id>>,
    /// Where cargo keeps what it downloads, and where it builds.
    pub(crate) target: PathBuf,
}

#[derive(Deserialize)]
struct Metadata {
    packages: Vec<Package>,
    target_directory: PathBuf,
}

#[derive(Deserialize)]
struct Package {
    name: String,
    version: String,
    license: Option<String>,
    manifest_path: PathBuf,
}

// === impl Crates ===

impl Crates {
    /// Asks cargo, which downloads what is missing. `command` is cargo in the right folder with the right environment.
    pub(crate) fn resolve(root: &Path, target: &str, command: &dyn Fn() -> Command) -> Result<Self> {
        let metadata = ["metadata", "--format-version", "1", "--locked", "--filter-platform", target];
        let metadata: Metadata = serde_json::from_slice(&output(command().args(metadata))?)?;
        let lock = root.join("Cargo.lock");
        let lock = std::fs::read_to_string(&lock).with_context(|| format!("reading {}", lock.display()))?;
        let checksums = checksums(&lock);
        let known = metadata.packages.into_iter().map(|package| package.known(&checksums)).collect();
        let mut tree = command();
        // What is linked: no build scripts, no procedural macros; features as they are when only the programs are built.
        tree.args(["tree", "--locked", "--edges", "normal,no-proc-macro", "--prefix", "depth", "--format", " {p}"]);
        tree.args(["--target", target]).args(Component::ALL.iter().flat_map(|it| ["--package", it.name()]));
        let needs = edges(&String::from_utf8_lossy(&output(&mut tree)?))?;
        Ok(Self { known, needs, target: metadata.target_directory })
    }

    /// The component's own crate.
    pub(crate) fn root(&self, component: Component) -> Result<&Id> {
        let name = component.name();
        self.needs.keys().find(|id| id.name == name).with_context(|| format!("the workspace has no package {name}"))
    }

    /// All that is linked into the component, itself included.
    pub(crate) fn linked(&self, component: Component) -> Result<BTreeSet<&Id>> {
        let mut linked = BTreeSet::new();
        let mut open = vec![self.root(component)?];
        while let Some(id) = open.pop() {
            if linked.insert(id) {
                open.extend(self.needs.get(id).into_iter().flatten());
            }
        }
        Ok(linked)
    }
}

// === impl Package ===

impl Package {
    fn known(self, checksums: &BTreeMap<Id, String>) -> (Id, Crate) {
        let id = Id { name: self.name, version: self.version };
        let checksum = checksums.get(&id).cloned();
        let folder = self.manifest_path.parent().unwrap_or(&self.manifest_path).to_path_buf();
        (id, Crate { license: self.license, checksum, folder })
    }
}

/// The checksums of a `Cargo.lock`, which cargo writes one field to a line.
pub(super) fn checksums(lock: &str) -> BTreeMap<Id, String> {
    let field = |block: &str, name: &str| {
        let value = |line: &str| Some(line.strip_prefix(name)?.strip_prefix(" = \"")?.strip_suffix('"')?.to_owned());
        block.lines().find_map(value)
    };
    let package = |block: &str| {
        let id = Id { name: field(block, "name")?, version: field(block, "version")? };
        Some((id, field(block, "checksum")?))
    };
    lock.split("[[package]]").filter_map(package).collect()
}

/// Who needs whom, from `cargo tree --prefix depth`. A crate's own needs are listed where it comes first.
fn edges(tree: &str) -> Result<BTreeMap<Id, BTreeSet<Id>>> {
    let mut needs = BTreeMap::<Id, BTreeSet<Id>>::new();
    let mut path: Vec<Id> = Vec::new();
    for line in tree.lines().filter(|line| !line.is_empty()) {
        let (depth, id) = node(line).with_context(|| format!("cargo tree: {line:?} is not understood"))?;
        path.truncate(depth);
        if let Some(parent) = path.last() {
            needs.entry(parent.clone()).or_default().insert(id.clone());
        }
        needs.entry(id.clone()).or_default();
        path.push(id);
    }
    Ok(needs)
}

/// `DEPTH NAME vVERSION …`
fn node(line: &str) -> Option<(usize, Id)> {
    let mut words = line.split(' ');
    let depth = words.next()?.parse().ok()?;
    let name = words.next()?.to_owned();
    let version = words.next()?.strip_prefix('v')?.to_owned();
    Some((depth, Id { name, version }))
}

fn output(command: &mut Command) -> Result<Vec<u8>> {
    let output = command.stdin(Stdio::null()).output().context("cargo cannot be started")?;
    if !output.status.success() {
        let what = command.get_args().next().unwrap_or_default().to_string_lossy().into_owned();
        bail!("cargo {what} ended with {}:\n{}", output.status, String::from_utf8_lossy(&output.stderr).trim_end());
    }
    Ok(output.stdout)
}

/// cargo, in this folder.
pub(super) fn cargo_in(root: &Path) -> Command {
    let mut command = cargo();
    command.current_dir(root);
    command
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(name: &str, version: &str) -> Id {
        Id { name: name.to_owned(), version: version.to_owned() }
    }

    #[test]
    fn a_tree_with_repetitions_becomes_a_graph() {
        let tree = "0 rollcall-controller v0.1.0 (/here)\n1 a v1.0.0\n2 b v2.0.0+x\n1 b v2.0.0+x\n\n\
                    0 rollcall-dns v0.1.0 (/there)\n1 a v1.0.0 (*)\n";
        let crates = Crates { needs: edges(tree).unwrap(), ..Crates::default() };
        let [a, b, dns] = [id("a", "1.0.0"), id("b", "2.0.0+x"), id("rollcall-dns", "0.1.0")];
        assert_eq!(crates.linked(Component::Dns).unwrap(), BTreeSet::from([&a, &b, &dns]));
        assert!(edges("0 rollcall-dns\n").is_err());
    }

    #[test]
    fn checksums_come_from_the_lock_file_and_own_crates_have_none() {
        let lock = "version = 4\n\n[[package]]\nname = \"own\"\nversion = \"0.1.0\"\ndependencies = [\n \"a\",\n]\n\n\
                    [[package]]\nname = \"a\"\nversion = \"1.0.0\"\nsource = \"registry\"\nchecksum = \"c0ffee\"\n";
        assert_eq!(checksums(lock), BTreeMap::from([(id("a", "1.0.0"), "c0ffee".to_owned())]));
    }
}
