//! A process as another run can find it again: process ids are reused, so the start time is part of the name.

use rustix::process::{Pid, Signal};
use serde::{Deserialize, Serialize};

/// A process by name, id and start time.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Identity {
    /// What it is called.
    pub name: String,
    /// Its process id.
    pub pid: u32,
    /// When it started, in clock ticks since boot.
    pub start_ticks: u64,
}

// === impl Identity ===

impl Identity {
    /// The process with this id, if there is one.
    pub fn of(name: &str, pid: u32) -> Option<Self> {
        Some(Self { name: name.into(), pid, start_ticks: start_ticks(pid)? })
    }

    /// This process.
    pub fn own(name: &str) -> Option<Self> {
        Self::of(name, std::process::id())
    }

    /// Whether that very process still runs.
    pub fn is_alive(&self) -> bool {
        start_ticks(self.pid) == Some(self.start_ticks)
    }

    /// Asks it to end (SIGTERM). Nothing happens when it is gone, even if its id has been given to another.
    pub fn terminate(&self) {
        self.signal(Signal::TERM);
    }

    /// Ends it (SIGKILL), under the same guard.
    pub fn kill(&self) {
        self.signal(Signal::KILL);
    }

    fn signal(&self, signal: Signal) {
        let pid = i32::try_from(self.pid).ok().and_then(Pid::from_raw);
        if let Some(pid) = pid.filter(|_| self.is_alive()) {
            let _ = rustix::process::kill_process(pid, signal);
        }
    }
}

/// Field 22 of `/proc/PID/stat`, proc(5). `None` for a process that is gone or only waits to be reaped.
fn start_ticks(pid: u32) -> Option<u64> {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The second field is the command in parentheses and may contain anything, spaces and parentheses too.
    let mut fields = stat.get(stat.rfind(')')? + 1..)?.split_whitespace();
    let state = fields.next()?;
    if state == "Z" || state == "X" {
        return None;
    }
    fields.nth(18)?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_process_is_alive_and_an_older_one_of_the_same_id_is_not() {
        let own = Identity::own("test").unwrap();
        assert!(own.is_alive());
        assert!(!Identity { start_ticks: own.start_ticks + 1, ..own }.is_alive());
    }
}
