//! The disk below `target/`: a run that fills it ends in any step, with words that are about something else.

use anyhow::{Result, bail};
use rollcall_e2e::layout;

use crate::terminal;

/// What a run of everything writes the first time, caches of Go and cargo included: 20 GB below `target/`, and 9 GB.
const WHOLE: u64 = 30 * GIGABYTE;
/// With less than this even a run that finds most things built ends early.
const LEAST: u64 = 4 * GIGABYTE;
/// What a full disk has left: the last write that was refused wanted more.
const FULL: u64 = GIGABYTE / 2;
const GIGABYTE: u64 = 1_000_000_000;

/// Before a run of everything: refuses one that cannot end well, and says so where it may not.
pub(super) fn look() -> Result<()> {
    let Some(free) = free() else { return Ok(()) };
    let is_first = !layout::target().join("tools").exists();
    if free < LEAST {
        bail!("{}", too_little(free, LEAST));
    }
    if is_first && free < WHOLE {
        terminal::note(&too_little(free, WHOLE));
    }
    Ok(())
}

/// After a failure: what to do, if the disk may be what failed.
pub(super) fn remedy() -> Option<String> {
    free().filter(|free| *free < FULL).map(|free| too_little(free, LEAST))
}

fn too_little(free: u64, wanted: u64) -> String {
    let gigabytes = |bytes: u64| bytes as f64 / GIGABYTE as f64;
    format!(
        "{:.1} GB are free on the disk of {}, and this takes {:.0} GB: make room there (target/ of other working copies, \
         target/release and target/e2e may be deleted), or name a folder on another disk by CARGO_TARGET_DIR",
        gigabytes(free),
        layout::target().display(),
        gigabytes(wanted)
    )
}

/// What may be written there; unknown where the system does not say.
fn free() -> Option<u64> {
    let disk = rustix::fs::statvfs(layout::root().as_os_str()).ok()?;
    Some(disk.f_bavail * disk.f_frsize)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn too_little_room_is_told_with_what_helps() {
        let words = too_little(1_300_000_000, LEAST);
        assert!(words.starts_with("1.3 GB are free on the disk of ") && words.contains("takes 4 GB"), "{words}");
        assert!(words.contains("CARGO_TARGET_DIR"), "{words}");
        assert!(free().is_some_and(|free| free > 0));
    }
}
