//! What systemd is told (sd_notify(3)): that the agent is ready, reloads, stops, and lives.

use std::os::linux::net::SocketAddrExt;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::net::{SocketAddr, UnixDatagram};
use std::time::Duration;

/// The way to systemd; nowhere, where it did not start the agent.
#[derive(Debug, Default)]
pub struct Notify(Option<(UnixDatagram, SocketAddr)>);

// === impl Notify ===

impl Notify {
    /// By the environment: `NOTIFY_SOCKET`, a path, or a name after an `@`.
    pub fn of_environment() -> Self {
        let Some(name) = std::env::var_os("NOTIFY_SOCKET") else { return Self(None) };
        let address = match name.as_bytes() {
            [b'@', name @ ..] => SocketAddr::from_abstract_name(name),
            path => SocketAddr::from_pathname(std::ffi::OsStr::from_bytes(path)),
        };
        Self(address.ok().and_then(|address| Some((UnixDatagram::unbound().ok()?, address))))
    }

    /// Ready, with a line for `systemctl status`.
    pub fn ready(&self, status: &str) {
        self.say(&format!("READY=1\nSTATUS={status}"));
    }

    /// A line for `systemctl status`.
    pub fn status(&self, status: &str) {
        self.say(&format!("STATUS={status}"));
    }

    /// It ends.
    pub fn stopping(&self, status: &str) {
        self.say(&format!("STOPPING=1\nSTATUS={status}"));
    }

    /// It lives.
    pub fn alive(&self) {
        self.say("WATCHDOG=1");
    }

    /// How often systemd wants to be told so: half of the time after which it gives the agent up.
    pub fn watchdog() -> Option<Duration> {
        let text = std::env::var("WATCHDOG_USEC").ok()?;
        text.parse().ok().filter(|micros| *micros > 0).map(|micros: u64| Duration::from_micros(micros / 2))
    }

    fn say(&self, words: &str) {
        if let Some((socket, address)) = &self.0 {
            // Nobody there is no reason to stop.
            let _ = socket.send_to_addr(words.as_bytes(), address);
        }
    }
}
