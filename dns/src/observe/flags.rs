//! Whether each query is written: flags.

use std::path::PathBuf;

/// What is written of queries.
#[derive(Clone, Debug, clap::Args)]
pub struct ObserveArgs {
    /// Writes a line of JSON to standard output for each query: all, or those of failed, whose answer is neither NOERROR nor
    /// NXDOMAIN. Default: none.
    #[arg(long, env = "ROLLCALL_QUERY_LOG", value_name = "WHICH")]
    pub query_log: Option<Which>,

    /// Unix socket of what reads dnstap (Frame Streams), such as /run/dnstap.sock: each query and its answer is sent there. It may
    /// appear later.
    #[arg(long, env = "ROLLCALL_DNSTAP", value_name = "PATH")]
    pub dnstap: Option<PathBuf>,

    /// So many of the most frequent names, of those that do not exist, and of clients are told as metrics: 0 to 50. Whoever reads metrics
    /// sees them then.
    #[arg(long, env = "ROLLCALL_TOP_METRICS", value_name = "NUMBER", default_value_t = 0)]
    #[arg(value_parser = clap::value_parser!(u8).range(0..=50))]
    pub top_metrics: u8,
}

// === impl ObserveArgs ===

impl ObserveArgs {
    /// Whether anybody is to be told of each query.
    pub fn is_of_each(&self) -> bool {
        self.query_log.is_some() || self.dnstap.is_some()
    }
}

/// Of which queries there is a line.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Which {
    /// Of all.
    All,
    /// Of those that failed.
    Failed,
}
