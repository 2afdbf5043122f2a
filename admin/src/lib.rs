//! The face that every Rollcall process shows to its operators.
//!
//! - [`readiness`]: gates; a process is ready when all of its gates are open, and says which are not and why
//! - [`server`], [`routes`]: `/livez`, `/readyz`, `/metrics` and what the process adds under `/debug/`
//! - [`logs`]: structured logs on standard error
//! - [`shutdown`]: SIGTERM and SIGINT, the lame-duck delay, and the token that ends the process
//! - [`process`], [`build_info`]: the metrics that every process has
//! - [`conventions`]: what a test asks of a metrics page
//!
//! ```no_run
//! # use std::{sync::Arc, time::Duration};
//! # use rollcall_admin::{Readiness, Routes, logs, process, build_info, server::Server, shutdown};
//! # use prometheus_client::registry::Registry;
//! # async fn start() -> Result<(), Box<dyn std::error::Error>> {
//! logs::init(logs::Format::Text, "info")?;
//! let mut registry = Registry::default();
//! process::register(&mut registry);
//! build_info::register(&mut registry, "rollcall-dns", env!("CARGO_PKG_VERSION"));
//! let readiness = Readiness::default();
//! let catalog = readiness.gate("catalog");
//! let stop = shutdown::on_signal(readiness.clone(), Duration::from_secs(5))?;
//! let server = Server::bind("127.0.0.1:9153".parse()?).await?;
//! tokio::spawn(server.serve(readiness, Arc::new(registry), Routes::default(), stop));
//! catalog.open();
//! # Ok(()) }
//! ```

pub mod build_info;
pub mod conventions;
pub mod logs;
pub mod process;
pub mod readiness;
pub mod routes;
pub mod server;
pub mod shutdown;

pub use readiness::{Gate, Readiness};
pub use routes::{Ask, Reply, Routes};
pub use server::Server;
