//! The test programs of the workspace: cargo builds them, and they are run without it, so that several run side by side
//! and it is known how long each takes.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};
use rollcall_e2e::cargo::cargo;
use rollcall_e2e::layout;
use serde_json::Value;

use super::{in_workspace, outcome, run_cargo};

/// What tests need of the machine.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Tier {
    /// Nothing.
    Unit,
    /// A control plane.
    EndToEnd,
    /// A real node.
    Node,
}

/// Test programs.
#[derive(Debug, Default)]
pub(super) struct Suite(Vec<Binary>);

#[derive(Debug, PartialEq, Eq)]
struct Binary {
    /// Of a file of tests its name, of a crate's own tests the crate's.
    name: String,
    path: PathBuf,
    /// Its package, in which it runs.
    folder: PathBuf,
    /// Or the tests within a library or program.
    is_file_of_tests: bool,
}

/// A test program that is about to be run.
#[derive(Debug)]
pub(super) struct Program {
    pub(super) name: String,
    pub(super) command: Command,
    filter: Option<String>,
    /// Its tests run one after the other, so each takes the time since the last.
    pub(super) is_in_turn: bool,
}

/// What takes a minute and more begins first, the longest before all: `cargo xtask test` names them at its end.
const LONGEST: [&str; 14] = [
    "federation",
    "refusals",
    "bootstraps",
    "resolvers",
    "forward",
    "taken_out",
    "outage",
    "clusters",
    "xds_clients",
    "chart",
    "replicas",
    "limits",
    "rbac",
    "check_types",
];

/// Tests that start whole controllers wait for them nearly all of the time: so many of a file are run at a time on a
/// machine of any size.
const AT_A_TIME: &str = "8";

/// Those of this file wait half a minute each, for clocks that nobody can put forward: all at a time, so that they wait once.
const ALL_AT_A_TIME: (&str, &str) = ("federation", "32");

/// The arguments of cargo that select what users run, and what they depend on.
pub(super) const PRODUCT: [&str; 5] = ["--workspace", "--exclude", "rollcall-e2e", "--exclude", "rollcall-e2e-node"];

// === impl Tier ===

impl Tier {
    /// The arguments of cargo that select its programs; with a filter those alone that may have such a test. Of the whole
    /// workspace always, so that cargo chooses the same features for every tier, and what all of them depend on is built once.
    fn selection(self, filter: Option<&str>) -> Result<Vec<String>> {
        let word = filter.map(last_word);
        let mut selection = vec!["--workspace".to_owned()];
        if self == Self::Unit && word.map_or(Ok(true), |word| self.has_inside(word))? {
            selection.extend(["--lib", "--bins"].map(String::from));
        }
        for package in self.packages()? {
            let targets = targets(&package)?.into_iter();
            let meant = targets.filter(|(_, path)| word.is_none_or(|word| is_mentioned(path, word)));
            selection.extend(meant.flat_map(|(name, _)| ["--test".to_owned(), name]));
        }
        // Something that others include has the word: any may have such a test.
        if selection.len() == 1 && filter.is_some() { self.selection(None) } else { Ok(selection) }
    }

    /// Whether a library or program, or a test within one, may be meant.
    fn has_inside(self, word: &str) -> Result<bool> {
        let packages = self.packages()?.into_iter();
        let called = packages.clone().any(|package| package.file_name().is_some_and(|name| has(name, word)));
        let inside = packages.map(|package| package.join("src"));
        let more = ["e2e/src", "e2e/bench"].map(|folder| layout::root().join(folder));
        Ok(called || inside.chain(more).any(|folder| mentions(&folder, word)))
    }

    /// The folders of the packages whose files of tests are its own.
    fn packages(self) -> Result<Vec<PathBuf>> {
        let root = layout::root();
        Ok(match self {
            Self::EndToEnd => vec![root.join("e2e")],
            Self::Node => vec![root.join("e2e/node")],
            Self::Unit => {
                let entries = root.read_dir()?.collect::<Result<Vec<_>, _>>()?;
                let packages = entries.into_iter().map(|entry| entry.path());
                packages.filter(|path| path.join("Cargo.toml").is_file() && !path.ends_with("e2e")).collect()
            }
        })
    }

    /// Whether a test or file of it may be meant: told from the sources, since building what is not asked for takes long.
    pub(super) fn mentions(self, filter: &str) -> bool {
        self.folders().iter().any(|folder| mentions(folder, last_word(filter)))
    }

    fn folders(self) -> Vec<PathBuf> {
        let root = layout::root();
        match self {
            Self::EndToEnd => vec![root.join("e2e/tests")],
            Self::Node => vec![root.join("e2e/node")],
            Self::Unit => {
                let packages = self.packages().unwrap_or_default();
                packages.into_iter().chain(["e2e/src", "e2e/bench"].map(|folder| root.join(folder))).collect()
            }
        }
    }
}

/// Of a path, the module's files bear other names.
fn last_word(filter: &str) -> &str {
    filter.rsplit("::").find(|word| !word.is_empty()).unwrap_or(filter)
}

fn has(name: &OsStr, word: &str) -> bool {
    name.to_string_lossy().contains(word)
}

/// Whether a function, module or file below a folder has the word in its name.
fn mentions(folder: &Path, word: &str) -> bool {
    let entries = folder.read_dir().into_iter().flatten().flatten();
    entries.map(|entry| entry.path()).any(|path| is_mentioned(&path, word))
}

/// The same of a file, or of a folder and all below it.
fn is_mentioned(path: &Path, word: &str) -> bool {
    if path.file_name().is_some_and(|name| has(name, word)) {
        return true;
    }
    if path.is_dir() {
        return mentions(path, word);
    }
    let is_rust = path.extension().is_some_and(|extension| extension == "rs");
    is_rust && std::fs::read_to_string(path).is_ok_and(|text| names(&text, word))
}

fn names(text: &str, word: &str) -> bool {
    text.lines().filter(|line| line.contains("fn ") || line.contains("mod ")).any(|line| line.contains(word))
}

/// A package's files of tests: the name of each, and the file, or its folder.
fn targets(package: &Path) -> Result<Vec<(String, PathBuf)>> {
    let folder = package.join("tests");
    let mut targets = Vec::new();
    for entry in folder.is_dir().then(|| folder.read_dir()).transpose()?.into_iter().flatten() {
        let path = entry?.path();
        let is_target = path.join("main.rs").is_file() || path.extension().is_some_and(|extension| extension == "rs");
        let name = path.file_stem().filter(|_| is_target).map(|name| name.to_string_lossy().into_owned());
        targets.extend(name.map(|name| (name, path)));
    }
    targets.sort();
    Ok(targets)
}

// === impl Suite ===

impl Suite {
    /// Builds the programs of a tier, with a filter those that may have such a test.
    pub(super) fn build(tier: Tier, filter: Option<&str>) -> Result<Self> {
        let build = ["test", "--no-run", "--quiet", "--message-format=json-render-diagnostics"];
        let output = run_cargo(&build).args(tier.selection(filter)?).output().context("starting cargo")?;
        if !output.status.success() {
            bail!("{}", String::from_utf8_lossy(&output.stderr));
        }
        let messages = String::from_utf8_lossy(&output.stdout);
        // Two packages may have a file of tests of one name, and cargo builds both.
        let packages = tier.packages()?;
        let is_meant = |binary: &Binary| !binary.is_file_of_tests || packages.contains(&binary.folder);
        Ok(Self(messages.lines().filter_map(Binary::from_message).filter(is_meant).collect()))
    }

    /// Its programs as commands made by `command`. With a filter only those that have such a test; all tests of one that
    /// is called so itself.
    pub(super) fn programs(&self, filter: Option<&str>, command: impl Fn(&Path) -> Command) -> Result<Vec<Program>> {
        let mut programs = Vec::new();
        for binary in &self.0 {
            let filter = filter.filter(|filter| !binary.is_called(filter));
            let count = binary.count(filter)?;
            if count == 0 {
                continue;
            }
            let mut command = command(&binary.path);
            // What cargo gives to tests, of which some ask.
            in_workspace(&mut command).current_dir(&binary.folder).env("CARGO", cargo().get_program());
            command.env("CARGO_MANIFEST_DIR", &binary.folder);
            if binary.is_file_of_tests {
                let (all, count) = ALL_AT_A_TIME;
                command.env("RUST_TEST_THREADS", if binary.name == all { count } else { AT_A_TIME });
            }
            programs.push((count, Program::new(&binary.name, command, filter)));
        }
        // So that none runs alone at the end. A test that is alone in its program is a long one as well.
        programs.sort_by_key(|(count, program)| {
            (LONGEST.iter().position(|name| *name == program.name).unwrap_or(LONGEST.len()), *count)
        });
        Ok(programs.into_iter().map(|(_, program)| program).collect())
    }
}

// === impl Binary ===

impl Binary {
    /// From a line of cargo's that says what it has built.
    fn from_message(line: &str) -> Option<Self> {
        let message: Value = serde_json::from_str(line).ok()?;
        if message["profile"]["test"] != true {
            return None;
        }
        let folder = Path::new(message["manifest_path"].as_str()?).parent()?.to_path_buf();
        let path = message["executable"].as_str()?.into();
        let is_file_of_tests = message["target"]["kind"][0] == "test";
        Some(Self { name: message["target"]["name"].as_str()?.into(), path, folder, is_file_of_tests })
    }

    /// Whether the name is its own, or its package's.
    fn is_called(&self, name: &str) -> bool {
        self.name == name || self.name.strip_prefix("rollcall_").is_some_and(|short| short == name)
    }

    /// How many tests it has whose names contain the filter.
    fn count(&self, filter: Option<&str>) -> Result<usize> {
        let mut list = Command::new(&self.path);
        let listed = in_workspace(&mut list).current_dir(&self.folder).arg("--list").args(filter).output();
        let listed = listed.with_context(|| format!("starting {}", self.path.display()))?;
        if !listed.status.success() {
            bail!("{}", outcome::log(&listed));
        }
        Ok(String::from_utf8_lossy(&listed.stdout).lines().filter(|line| line.ends_with(": test")).count())
    }
}

// === impl Program ===

impl Program {
    /// Runs the tests whose names contain the filter.
    pub(super) fn new(name: &str, command: Command, filter: Option<&str>) -> Self {
        Self { name: name.to_owned(), command, filter: filter.map(String::from), is_in_turn: false }
    }

    /// Its tests run one after the other, and what they print is kept when they pass.
    pub(super) fn in_turn(&mut self) {
        self.command.args(["--test-threads=1", "--nocapture"]);
        self.is_in_turn = true;
    }

    /// The command to run it.
    pub(super) fn into_command(mut self) -> Command {
        self.command.args(self.filter);
        self.command
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cargo_says_what_it_has_built_for_tests() {
        let line = r#"{"reason":"compiler-artifact","manifest_path":"/src/e2e/Cargo.toml","target":{"name":"spine","kind":["test"]},
            "profile":{"test":true},"executable":"/src/target/debug/deps/spine-98c0776ee3875f7c"}"#;
        let binary = Binary::from_message(line).unwrap();
        assert_eq!((binary.name.as_str(), binary.folder.as_path()), ("spine", Path::new("/src/e2e")));
        assert!(binary.is_file_of_tests && binary.is_called("spine") && !binary.is_called("spin"));
        assert_eq!(Binary::from_message(&line.replace("true", "false")), None);
        assert_eq!(Binary::from_message(r#"{"reason":"build-finished","success":true}"#), None);
    }

    #[test]
    fn each_tier_selects_its_own_files_of_tests() {
        let selection = |tier: Tier| tier.selection(None).unwrap().join(" ");
        assert_eq!(selection(Tier::Node), "--workspace --test node");
        let unit = selection(Tier::Unit);
        assert!(unit.starts_with("--workspace --lib --bins --test "), "{unit}");
        assert!(unit.contains(" --test wire") && unit.contains(" --test house") && !unit.contains("spine"), "{unit}");
        let end_to_end = selection(Tier::EndToEnd);
        assert!(end_to_end.contains(" --test spine") && !end_to_end.contains("support"), "{end_to_end}");
    }

    #[test]
    fn with_a_filter_nothing_is_built_that_cannot_have_such_a_test() {
        let selection = |tier: Tier, filter| tier.selection(Some(filter)).unwrap().join(" ");
        assert_eq!(selection(Tier::EndToEnd, "what_is_registered_is_found_everywhere"), "--workspace --test spine");
        assert_eq!(selection(Tier::EndToEnd, "rbac"), "--workspace --test rbac");
        assert_eq!(selection(Tier::EndToEnd, "wrong_values_are_refused_by_name"), "--workspace --test chart");
        assert_eq!(selection(Tier::Unit, "after_every_change_callers_are_given"), "--workspace --test sequences");
        assert!(selection(Tier::Unit, "catalog").starts_with("--workspace --lib --bins"), "the crate itself");
        let inside = selection(Tier::Unit, "tests::with_a_filter_nothing_is_built");
        assert_eq!(inside, "--workspace --lib --bins");
    }

    #[test]
    fn a_test_is_found_in_the_tier_where_it_is() {
        let tiers = |filter| [Tier::Unit, Tier::EndToEnd, Tier::Node].map(|tier| tier.mentions(filter));
        assert_eq!(tiers("tests::a_test_is_found_in"), [true, false, false]);
        assert_eq!(tiers("the_rules_are_enough_and_none"), [false, true, false]);
        assert_eq!(tiers("a_rolling_deployment_under_traffic"), [false, false, true]);
    }
}
