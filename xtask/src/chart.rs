//! The generated files of the Helm chart.
//!
//! ```text
//! values.yaml ──values──► entries ──schema──► values.schema.json
//!                            └─────table───► README.md, between its markers
//! manifests/crds ──crds──► templates/crds
//! ```

mod crds;
mod schema;
mod table;
mod values;

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use rollcall_e2e::layout;

/// Writes what is generated, and removes templates of CRDs that are gone.
pub(crate) fn generate() -> Result<()> {
    let files = generated()?;
    for file in left_over(&files)? {
        fs::remove_file(&file).with_context(|| format!("removing {}", file.display()))?;
    }
    for (file, text) in files {
        fs::write(&file, text).with_context(|| format!("writing {}", file.display()))?;
    }
    Ok(())
}

/// What the generated files must hold.
fn generated() -> Result<BTreeMap<PathBuf, String>> {
    let chart = folder();
    let values_file = chart.join("values.yaml");
    let document = values::read(&read(&values_file)?).with_context(|| values_file.display().to_string())?;
    let readme = chart.join("README.md");
    let with_table = table::insert(&read(&readme)?, &document).with_context(|| readme.display().to_string())?;
    let mut files =
        BTreeMap::from([(chart.join("values.schema.json"), schema::json(&document)?), (readme, with_table)]);
    for definition in listed(&layout::root().join("manifests/crds"))? {
        let name = definition.file_name().context("a file without a name")?;
        files.insert(crd_templates().join(name), crds::template(&read(&definition)?)?);
    }
    Ok(files)
}

/// Templates of CRDs that no definition stands behind.
fn left_over(files: &BTreeMap<PathBuf, String>) -> Result<Vec<PathBuf>> {
    Ok(listed(&crd_templates())?.into_iter().filter(|file| !files.contains_key(file)).collect())
}

fn folder() -> PathBuf {
    layout::root().join("charts/rollcall")
}

fn crd_templates() -> PathBuf {
    folder().join("templates/crds")
}

fn listed(folder: &Path) -> Result<Vec<PathBuf>> {
    let entries = fs::read_dir(folder).with_context(|| format!("listing {}", folder.display()))?;
    entries.map(|entry| Ok(entry?.path())).collect()
}

fn read(file: &Path) -> Result<String> {
    fs::read_to_string(file).with_context(|| format!("reading {}", file.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_generated_files_are_what_their_sources_say() {
        if std::env::var_os("UPDATE").is_some() {
            generate().unwrap();
        }
        let files = generated().unwrap();
        assert_eq!(left_over(&files).unwrap(), Vec::<PathBuf>::new(), "run `cargo xtask generate`");
        for (file, expected) in files {
            let found = fs::read_to_string(&file).unwrap_or_default();
            assert!(
                found == expected,
                "{} differs from what values.yaml and manifests/crds say at line {}: run `cargo xtask generate` and \
                 commit the result",
                file.display(),
                1 + found.lines().zip(expected.lines()).take_while(|(found, expected)| found == expected).count(),
            );
        }
    }
}
