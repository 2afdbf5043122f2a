//! The pages of the documentation: every link of one leads to a file, and to a heading where it names one.

use std::fs;
use std::path::{Path, PathBuf};

use rollcall_e2e::layout;

/// All pages: those at the root, of the chart, and below `docs`.
fn pages() -> Vec<PathBuf> {
    let folders = ["", "docs", "docs/decisions", "docs/runbooks", "charts/rollcall"];
    let files = folders.iter().flat_map(|folder| fs::read_dir(layout::root().join(folder)).expect("a folder of pages"));
    let files = files.map(|entry| entry.expect("a folder of pages").path());
    files.filter(|file| file.extension().is_some_and(|extension| extension == "md")).collect()
}

/// The targets of the links in a page, outside of blocks of code: `](TARGET)`.
fn links(text: &str) -> Vec<&str> {
    let prose = text.split("```").step_by(2);
    let targets = prose.flat_map(|prose| prose.split("](").skip(1).filter_map(|rest| rest.split(')').next()));
    targets.filter(|target| !target.contains("://") && !target.contains(char::is_whitespace)).collect()
}

/// The anchors of a page's headings, as code hosts make them.
fn anchors(text: &str) -> Vec<String> {
    let prose = text.split("```").step_by(2);
    let headings = prose.flat_map(str::lines).filter(|line| line.starts_with('#'));
    let anchor = |heading: &str| {
        let kept = |c: &char| c.is_alphanumeric() || ['-', '_', ' '].contains(c);
        heading.trim_start_matches('#').trim().to_lowercase().chars().filter(kept).collect::<String>().replace(' ', "-")
    };
    headings.map(anchor).collect()
}

/// What is wrong with a link of `page`, if anything.
fn fault(page: &Path, target: &str) -> Option<String> {
    let (file, anchor) = target.split_once('#').map_or((target, None), |(file, anchor)| (file, Some(anchor)));
    let there = if file.is_empty() { page.to_path_buf() } else { page.with_file_name("").join(file) };
    if !there.exists() {
        return Some(format!("{}: {target} leads nowhere", page.display()));
    }
    let anchor = anchor.filter(|_| there.extension().is_some_and(|extension| extension == "md"))?;
    let text = fs::read_to_string(&there).expect("a page can be read");
    let missing = !anchors(&text).iter().any(|known| known == anchor);
    missing.then(|| format!("{}: {target} has no such heading", page.display()))
}

#[test]
fn every_link_leads_somewhere() {
    let mut seen = 0;
    let mut faults = Vec::new();
    for page in pages() {
        let text = fs::read_to_string(&page).expect("a page can be read");
        let links = links(&text);
        seen += links.len();
        faults.extend(links.into_iter().filter_map(|target| fault(&page, target)));
    }
    assert!(seen > 100, "only {seen} links were found");
    assert!(faults.is_empty(), "{faults:#?}");
}

#[test]
fn the_overview_has_every_page_and_decision() {
    let docs = layout::root().join("docs");
    let overview = fs::read_to_string(docs.join("README.md")).expect("docs/README.md");
    for folder in ["", "decisions"] {
        for entry in fs::read_dir(docs.join(folder)).expect("a folder of pages") {
            let name = entry.expect("a folder of pages").file_name().into_string().expect("a name in UTF-8");
            let listed = !name.ends_with(".md") || name == "README.md" || overview.contains(&format!("{name})"));
            assert!(listed, "docs/README.md does not list {folder}/{name}");
        }
    }
}

#[test]
fn headings_and_links_are_found_as_code_hosts_do() {
    let text =
        "## The pages below /debug/\n```sh\n# no heading [x](y)\n```\n[a](b.md#c) and [d](https://example.com)\n";
    assert_eq!(anchors(text), ["the-pages-below-debug"]);
    assert_eq!(links(text), ["b.md#c"]);
}
