//! What is counted of servers that died.

use prometheus_client::metrics::counter::Counter;
use prometheus_client::registry::Registry;

/// The metrics of the holder, which the server shows for it.
#[derive(Debug, Default)]
pub struct Metrics {
    deaths: Counter,
}

// === impl Metrics ===

impl Metrics {
    /// Registers them.
    pub fn register(&self, to: &mut Registry) {
        let help = "Times that the process which answers died and was started again by the one that holds its sockets \
                    (--hold-sockets). 0 is normal: look for OOM kills, and in the log";
        to.register("server_deaths", help, self.deaths.clone());
    }

    /// So many have died before this one.
    pub fn died(&self, deaths: u64) {
        self.deaths.inc_by(deaths);
    }
}
