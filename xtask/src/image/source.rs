//! What the images say about the sources that they are made from.

use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result};
use jiff::Timestamp;

use super::Options;

/// The state of the sources.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Source {
    /// The commit; ends in `-dirty` where the working copy differs from it. `unknown` without git.
    pub(crate) revision: String,
    /// When that commit was made. The epoch where nobody knows.
    pub(crate) time: Timestamp,
}

// === impl Source ===

impl Source {
    /// The state of the working copy at `root`. What the options and `SOURCE_DATE_EPOCH` say goes first: an archive of
    /// the sources has no git to ask.
    pub(crate) fn of(root: &Path, options: &Options) -> Result<Self> {
        let epoch = std::env::var("SOURCE_DATE_EPOCH").ok();
        let committed = git(root, &["show", "--no-patch", "--format=%H %ct", "HEAD"]);
        let changed = git(root, &["status", "--porcelain"]);
        Self::from(committed.as_deref(), changed.as_deref(), options.revision.as_deref(), epoch.as_deref())
    }

    fn from(
        committed: Option<&str>,
        changed: Option<&str>,
        revision: Option<&str>,
        epoch: Option<&str>,
    ) -> Result<Self> {
        let (commit, time) = committed.and_then(|line| line.trim().split_once(' ')).unwrap_or(("unknown", "0"));
        let dirty = if changed.is_some_and(|changed| !changed.trim().is_empty()) { "-dirty" } else { "" };
        let revision = revision.map_or_else(|| format!("{commit}{dirty}"), str::to_owned);
        let seconds = epoch.unwrap_or(time);
        let time = seconds.parse().ok().and_then(|seconds| Timestamp::from_second(seconds).ok());
        let time = time.with_context(|| format!("SOURCE_DATE_EPOCH is {seconds:?}; give seconds since 1970"))?;
        Ok(Self { revision, time })
    }

    /// Whether anything says which sources these are.
    pub(crate) fn is_known(&self) -> bool {
        self.revision != "unknown"
    }
}

/// What git says, if it is there and this is a working copy.
pub(super) fn git(root: &Path, args: &[&str]) -> Option<String> {
    let output = Command::new("git").args(args).current_dir(root).output().ok()?;
    // A checkout of somebody else's above this folder is not ours: `--show-prefix` is empty at the top only.
    let prefix = Command::new("git").args(["rev-parse", "--show-prefix"]).current_dir(root).output().ok()?;
    let ours = output.status.success() && prefix.stdout.trim_ascii().is_empty();
    ours.then(|| String::from_utf8_lossy(&output.stdout).into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    const COMMIT: Option<&str> = Some("8a58d6e0 1795265908\n");

    #[test]
    fn a_clean_commit_gives_its_name_and_its_time() {
        let source = Source::from(COMMIT, Some(""), None, None).unwrap();
        assert_eq!(source.revision, "8a58d6e0");
        assert_eq!(source.time.to_string(), "2026-11-21T12:58:28Z");
    }

    #[test]
    fn a_changed_working_copy_says_so() {
        let source = Source::from(COMMIT, Some(" M Cargo.toml\n"), None, None).unwrap();
        assert_eq!(source.revision, "8a58d6e0-dirty");
    }

    #[test]
    fn without_git_revision_and_time_are_what_was_given_or_fixed() {
        let unknown = Source::from(None, None, None, None).unwrap();
        assert!(!unknown.is_known());
        assert_eq!(unknown.time.to_string(), "1970-01-01T00:00:00Z");
        let given = Source::from(None, None, Some("8a58d6e0"), Some("1795265908")).unwrap();
        assert_eq!((given.revision.as_str(), given.time.to_string().as_str()), ("8a58d6e0", "2026-11-21T12:58:28Z"));
    }

    #[test]
    fn a_time_that_is_none_is_refused_with_what_to_give() {
        let error = Source::from(COMMIT, None, None, Some("yesterday")).unwrap_err();
        assert!(error.to_string().contains("seconds since 1970"), "{error}");
    }
}
