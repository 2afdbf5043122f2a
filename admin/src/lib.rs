//! The face that every Rollcall process shows to its operators.
//!
//! - [`readiness`]: gates; a process is ready when all of its gates are open, and says which are not and why
//! - [`server`], [`routes`]: `/livez`, `/readyz`, `/metrics` and what the process adds under `/debug/`
//! - [`access`]: who may see and change what is below `/debug/`
//! - [`telemetry`] sets up both of the next
//! - [`logs`], [`filter`], [`log_level`]: structured logs on standard error, and what is logged, also at run time
//! - [`traces`]: spans by OTLP
//! - [`notices`], [`api_server`]: Events about the process itself
//! - [`descriptors`]: how many files and connections it may have open, and who may have how many of them
//! - [`ports`]: an address that is not free is waited for
//! - [`shutdown`]: SIGTERM and SIGINT, the lame-duck delay, and the token that ends the process
//! - [`process`], [`build_info`]: the metrics that every process has; [`page`]: how rooms write their own
//! - [`conventions`], [`metrics_doc`]: what tests ask of a metrics page, and what docs/metrics.md says of it
//!
//! ```no_run
//! # use std::{sync::Arc, time::Duration};
//! # use rollcall_admin::{Notices, Readiness, Routes, Telemetry, logs, process, build_info, server::Server, shutdown};
//! # use prometheus_client::registry::Registry;
//! # async fn start() -> Result<(), Box<dyn std::error::Error>> {
//! let telemetry = Telemetry::start(logs::Format::Text, &"info".parse()?, None, "rollcall-dns", "0.1.0")?;
//! let mut registry = Registry::default();
//! process::register(&mut registry);
//! build_info::register(&mut registry, "rollcall-dns", env!("CARGO_PKG_VERSION"));
//! let readiness = Readiness::default();
//! let catalog = readiness.gate("catalog");
//! let stop = shutdown::on_signal(readiness.clone(), Duration::from_secs(5))?;
//! let server = Server::bind("127.0.0.1:9153".parse()?).await?;
//! tokio::spawn(server.serve(readiness.clone(), Arc::new(registry), telemetry.on(Routes::default()), stop.clone()));
//! tokio::spawn(Notices::of_this_pod("dns").watch(readiness, stop));
//! catalog.open();
//! # Ok(()) }
//! ```

pub mod access;
pub mod api_server;
mod bucket;
pub mod build_info;
mod clock;
pub mod conventions;
pub mod descriptors;
pub mod filter;
pub mod log_level;
pub mod logs;
pub mod metrics_doc;
pub mod notices;
pub mod page;
pub mod ports;
pub mod process;
pub mod readiness;
pub mod routes;
pub mod server;
pub mod shutdown;
pub mod telemetry;
pub mod traces;

pub use access::{Access, DebugAccess};
pub use descriptors::Descriptors;
pub use filter::Filter;
pub use log_level::LogLevel;
pub use logs::{LogRate, foreign};
pub use notices::Notices;
pub use readiness::{Gate, Readiness};
pub use routes::{Ask, Reply, Routes};
pub use server::Server;
pub use telemetry::Telemetry;
