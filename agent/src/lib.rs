//! The agent: registers what runs on its machine, checks it there, and says that it lives.
//!
//! ```text
//!  files --> config --> board <--results-- checks (tasks)
//!                        ^ |
//!  status, maintenance --+ +--Hello, Beats, Results--> link --> controller (one stream)
//!  (control)               +--> state (a file)        <--Answers--
//! ```
//!
//! - [`config`]: the files, and what is wrong with them
//! - [`board`]: what the agent knows, in one place
//! - [`checks`]: checks on the machine; [`link`]: the connection to a controller
//! - [`state`]: what outlives a restart; [`control`]: `status` and `maintenance`
//! - [`dns`]: DNS for the machine; [`notify`]: what systemd is told; [`metrics`]: what is measured
//! - [`start`], [`args`], [`clock`]: how the parts are joined, the command line, the time

pub mod args;
pub mod board;
pub mod checks;
pub mod clock;
pub mod config;
pub mod control;
pub mod dns;
pub mod link;
pub mod metrics;
pub mod notify;
pub mod start;
pub mod state;
