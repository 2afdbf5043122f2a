//! Examples in documentation. `cargo test --doc` has rustdoc read every crate from end to end, also those whose `Cargo.toml` says
//! `doctest = false`, which is most of a minute of two cores. Those are left out here; `xtask/tests/house.rs` holds what
//! they say against what is in them.

use std::os::unix::fs::PermissionsExt;
use std::process::Command;

use anyhow::{Context, Result};
use rollcall_e2e::layout;

use super::{run_cargo, suite};

/// Takes the place of rustdoc.
const RUSTDOC: &str = r#"#!/bin/sh
# Written by `cargo xtask test`: of a crate with `doctest = false` there is nothing to read.
for word in "$@"; do
    [ "$before" != --test-run-directory ] || folder=$word
    before=$word
done
[ -n "$folder" ] && grep -qx 'doctest = false' "$folder/Cargo.toml" || exec rustdoc "$@"
"#;

/// What runs them all.
pub(super) fn command() -> Result<Command> {
    let path = layout::cargo_target().join("rustdoc-of-examples");
    // Once: another run may be reading it.
    if std::fs::read_to_string(&path).ok().as_deref() != Some(RUSTDOC) {
        std::fs::write(&path, RUSTDOC).with_context(|| path.display().to_string())?;
        std::fs::set_permissions(&path, PermissionsExt::from_mode(0o755))?;
    }
    let mut command = run_cargo(&[&["test", "--doc"][..], &suite::PRODUCT].concat());
    command.env("RUSTDOC", path);
    Ok(command)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn crates_without_examples_are_not_read_and_others_are() {
        let command = command().expect("it is written");
        let program = command.get_envs().find(|(name, _)| *name == "RUSTDOC").and_then(|(_, path)| path);
        let program = program.expect("it is set").to_owned();
        let says = |package: &str| {
            let folder = layout::root().join(package);
            let mut asked = Command::new(&program);
            let said = asked.arg("--test-run-directory").arg(folder).arg("--version").output().expect("it runs");
            assert!(said.status.success(), "{said:?}");
            String::from_utf8_lossy(&said.stdout).into_owned()
        };
        assert_eq!(says("dns"), "");
        assert!(says("admin").starts_with("rustdoc "));
    }
}
