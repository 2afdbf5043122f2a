//! The cargo that runs this, for builds of our own.

use std::ffi::OsStr;
use std::process::Command;

/// A command of the cargo that started this program, or of the first on the path.
///
/// It does not see what cargo tells each program that it runs about that program's package. Build scripts ask for some of these
/// variables (ring's does), so a build that sees them does anew what one from a shell has done, with all that stands on it.
pub fn cargo() -> Command {
    let mut command = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    for (name, _) in std::env::vars_os().filter(|(name, _)| is_of_a_package(name)) {
        command.env_remove(name);
    }
    command
}

/// Whether cargo sets it for the programs that it runs, by
/// <https://doc.rust-lang.org/cargo/reference/environment-variables.html>.
fn is_of_a_package(name: &OsStr) -> bool {
    name.to_str().is_some_and(|name| {
        name.starts_with("CARGO_PKG_")
            || name.starts_with("CARGO_MANIFEST_")
            || matches!(name, "CARGO_BIN_NAME" | "CARGO_CRATE_NAME" | "CARGO_PRIMARY_PACKAGE" | "OUT_DIR")
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_user_sets_is_kept_and_what_a_package_is_told_is_not() {
        let told = ["CARGO_PKG_NAME", "CARGO_MANIFEST_DIR", "CARGO_MANIFEST_LINKS", "OUT_DIR"];
        assert!(told.iter().all(|name| is_of_a_package(OsStr::new(name))));
        let set = ["CARGO_HOME", "CARGO_TARGET_DIR", "CARGO_INCREMENTAL", "CARGO_NET_OFFLINE", "RUSTFLAGS", "PATH"];
        assert!(!set.iter().any(|name| is_of_a_package(OsStr::new(name))));
    }
}
