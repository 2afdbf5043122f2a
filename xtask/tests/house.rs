//! The rules of the house that CONTRIBUTING.md names, held against every file.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::process::Command;

/// Lines of a file.
const FILE_MAX: usize = 400;
/// Lines of a function, its signature included.
const FUNCTION_MAX: usize = 60;

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("the workspace").to_path_buf()
}

/// Each Rust file of the working copy that git knows or would add, and its text.
fn files() -> BTreeMap<String, String> {
    let listed = Command::new("git")
        .args(["ls-files", "--cached", "--others", "--exclude-standard", "*.rs"])
        .current_dir(root())
        .output()
        .expect("git");
    let names = String::from_utf8(listed.stdout).expect("UTF-8");
    // One that was removed and not committed is listed as well.
    let read = |name: &str| Some((name.to_owned(), std::fs::read_to_string(root().join(name)).ok()?));
    let files: BTreeMap<_, _> = names.lines().filter_map(read).collect();
    assert!(files.len() > 100, "the files are found: {}", files.len());
    files
}

fn assert_none(breaches: &[String], rule: &str) {
    assert!(breaches.is_empty(), "{rule}:\n  {}\n", breaches.join("\n  "));
}

#[test]
fn each_file_begins_with_a_line_that_says_what_it_is() {
    let without = |(name, text): (String, String)| (!text.starts_with("//! ")).then_some(name);
    let breaches: Vec<_> = files().into_iter().filter_map(without).collect();
    assert_none(&breaches, "the first line of a file is `//! ` and what it is");
}

#[test]
fn no_file_is_longer_than_its_one_concept_needs() {
    let long = |(name, text): (String, String)| {
        let lines = text.lines().count();
        (lines > FILE_MAX).then(|| format!("{name}: {lines}"))
    };
    let breaches: Vec<_> = files().into_iter().filter_map(long).collect();
    assert_none(&breaches, &format!("a file has at most {FILE_MAX} lines; cut it by its concepts"));
}

#[test]
fn no_function_is_longer_than_a_screen() {
    let long = |(name, text): (String, String)| -> Vec<String> {
        functions(&text)
            .into_iter()
            .filter(|(_, lines)| *lines > FUNCTION_MAX)
            .map(|(line, lines)| format!("{name}:{line}: {lines}"))
            .collect()
    };
    let breaches: Vec<_> = files().into_iter().flat_map(long).collect();
    assert_none(&breaches, &format!("a function has at most {FUNCTION_MAX} lines"));
}

/// Where each function begins, and its lines. As rustfmt writes them, one ends at the brace below the beginning of its line.
fn functions(text: &str) -> Vec<(usize, usize)> {
    let lines: Vec<_> = text.lines().collect();
    let is_function = |line: &str| {
        let words = ["pub", "pub(crate)", "pub(super)", "const", "async", "unsafe"];
        line.split_whitespace().find(|word| !words.contains(word)) == Some("fn")
    };
    let end = |at: usize| {
        let indent = lines[at].len() - lines[at].trim_start().len();
        let closes = |line: &&str| line.len() == indent + 1 && line.ends_with('}');
        lines[at..].iter().position(closes)
    };
    let whole = |at: usize| !lines[at].ends_with('}') && !lines[at].ends_with(';');
    let starts = (0..lines.len()).filter(|at| is_function(lines[*at]) && whole(*at));
    starts.filter_map(|at| Some((at + 1, end(at)? + 1))).collect()
}

#[test]
fn tests_stand_in_a_module_a_twin_or_the_folder_of_their_crate() {
    let astray = |name: &String| name.ends_with("_tests.rs") || name.ends_with("_test.rs");
    let breaches: Vec<_> = files().into_keys().filter(astray).collect();
    assert_none(&breaches, "tests are inline, in the twin NAME/tests.rs, or in CRATE/tests");
}

#[test]
fn no_two_files_of_a_folder_differ_by_an_s() {
    let files = files();
    let twin = |name: &String| {
        let stem = name.strip_suffix(".rs")?;
        files.contains_key(&format!("{stem}s.rs")).then(|| format!("{name} and {stem}s.rs"))
    };
    let breaches: Vec<_> = files.keys().filter_map(twin).collect();
    assert_none(&breaches, "two files do not differ by an s");
}

/// Whether the documentation in a file has an example that rustdoc would run: a block of no language, or of Rust.
fn has_example(text: &str) -> bool {
    let words = text
        .lines()
        .map(str::trim_start)
        .filter_map(|line| line.strip_prefix("///").or_else(|| line.strip_prefix("//!")));
    let fences: Vec<_> = words.filter_map(|line| line.trim_start().strip_prefix("```")).collect();
    let of_rust = ["", "rust", "no_run", "should_panic", "compile_fail"];
    // Every second one is the end of a block.
    fences.iter().step_by(2).any(|language| language.split(',').any(|word| of_rust.contains(&word.trim())))
}

#[test]
fn examples_in_documentation_are_run_and_no_crate_is_searched_for_what_it_has_not() {
    let files = files();
    let mut breaches = Vec::new();
    for library in files.keys().filter(|name| name.ends_with("/src/lib.rs") && !name.starts_with("e2e")) {
        let package = library.trim_end_matches("/src/lib.rs");
        let manifest = std::fs::read_to_string(root().join(package).join("Cargo.toml")).expect("a manifest");
        let mut within = files.iter().filter(|(name, _)| name.starts_with(&format!("{package}/src/")));
        let (has, runs) = (within.any(|(_, text)| has_example(text)), !manifest.contains("doctest = false"));
        if has != runs {
            breaches.push(format!("{package}: has examples: {has}; Cargo.toml has them run: {runs}"));
        }
    }
    assert_none(
        &breaches,
        "`doctest = false` stands below [lib] where no documentation has an example, and nowhere else",
    );
}

#[test]
fn an_example_is_a_block_of_rust() {
    assert!(has_example("/// ```\n/// f();\n/// ```") && has_example("  //! ```no_run\n  //! ```"));
    assert!(!has_example("/// ```text\n/// f();\n/// ```") && !has_example("let a = \"```\";"));
}

/// Files that are one concept although they are several: they name each other.
const TOGETHER: [(&str, &[&str]); 4] = [
    ("catalog", &["members", "service"]), // a service, and its endpoints in their buckets
    ("dns", &["forward", "metrics"]),     // all that the server counts stands in one struct, forwarding included
    ("fake-api", &["server", "service", "read", "watch", "write"]), // the server, a client's connection to it, the verbs
    ("e2e", &["control_plane", "process", "tools"]), // tools are found, made and started, the control plane's first
];

/// Which room of each crate names which others, outside of tests and comments. A room is a file or a folder in `src`.
fn rooms() -> BTreeMap<String, BTreeMap<String, BTreeSet<String>>> {
    let mut crates = BTreeMap::<String, BTreeMap<String, BTreeSet<String>>>::new();
    for (name, text) in files() {
        let Some((package, path)) = name.split_once("/src/").filter(|(_, path)| !path.contains("tests")) else {
            continue;
        };
        let room = path.split(['/', '.']).next().expect("a name").to_owned();
        if ["lib", "main", "start", "testing"].contains(&&*room) {
            continue;
        }
        let one = |room: &str| {
            let concept = TOGETHER.iter().find(|(its, files)| *its == package && files.contains(&room));
            concept.map_or(room, |(_, files)| files[0]).to_owned()
        };
        let code = text.split("#[cfg(test)]\nmod tests").next().unwrap_or_default();
        let code: Vec<_> = code.lines().filter(|line| !line.trim_start().starts_with("//")).collect();
        let code = code.join("\n");
        let named = code.split("crate::").skip(1).flat_map(first_words).map(one);
        crates.entry(package.to_owned()).or_default().entry(one(&room)).or_default().extend(named);
    }
    for rooms in crates.values_mut() {
        let known: BTreeSet<_> = rooms.keys().cloned().collect();
        for (room, named) in rooms {
            named.retain(|other| other != room && known.contains(other));
        }
    }
    crates
}

/// The first word of a path, or that of each path in a group.
fn first_words(paths: &str) -> Vec<&str> {
    let word = |path: &'_ str| path.find(|c: char| c != '_' && !c.is_alphanumeric()).unwrap_or(path.len());
    let Some(group) = paths.strip_prefix('{') else { return vec![&paths[..word(paths)]] };
    let (mut words, mut depth, mut is_first) = (Vec::new(), 0, true);
    for (at, c) in group.char_indices() {
        match c {
            '{' => depth += 1,
            '}' if depth == 0 => break,
            '}' => depth -= 1,
            ',' if depth == 0 => is_first = true,
            _ if is_first && c.is_alphanumeric() => {
                words.push(&group[at..at + word(&group[at..])]);
                is_first = false;
            }
            _ => {}
        }
    }
    words
}

#[test]
fn rooms_are_found_in_paths_and_in_groups_of_them() {
    assert_eq!(first_words("kubernetes::Names;\nuse other::X"), ["kubernetes"]);
    assert_eq!(first_words("{control, dns::{self, front}, a_b::C};"), ["control", "dns", "a_b"]);
}

#[test]
fn rooms_of_a_crate_do_not_go_in_circles() {
    let mut breaches = Vec::new();
    for (package, mut rooms) in rooms() {
        // Who names nobody is taken out; what is left in the end goes in circles.
        while let Some(leaf) = rooms.iter().find(|(_, named)| named.is_empty()).map(|(room, _)| room.clone()) {
            rooms.remove(&leaf);
            rooms.values_mut().for_each(|named| named.retain(|other| *other != leaf));
        }
        breaches.extend(rooms.iter().map(|(room, named)| format!("{package}: {room} names {named:?}")));
    }
    assert_none(&breaches, "data flows one way: rooms do not name each other");
}

#[test]
fn the_picture_of_the_architecture_has_every_crate_and_every_room_of_the_controller() {
    let text = std::fs::read_to_string(root().join("docs/architecture.md")).expect("docs/architecture.md");
    let (house, rest) = text.split_once("## The way data flows").expect("the house, then the way");
    let (picture, stations) = rest.split_once("## Stations").expect("the picture, then the stations");
    let named = |text: &str, name: &str| text.contains(&format!("{name}/"));
    let mut breaches = Vec::new();
    for name in files().keys() {
        match name.split('/').collect::<Vec<_>>()[..] {
            ["controller", "src", room, _, ..] if !["kubernetes", "time"].contains(&room) => {
                let words = [(picture, "picture"), (stations, "stations")];
                let missing = words.iter().filter(|(text, _)| !named(text, room));
                breaches.extend(missing.map(|(_, place)| format!("controller/src/{room}: not among the {place}")));
            }
            [name, "src", ..] if !named(house, name) => breaches.push(format!("{name}: not in the house")),
            _ => {}
        }
    }
    breaches.sort();
    breaches.dedup();
    assert_none(&breaches, "docs/architecture.md shows the folders of today");
}
