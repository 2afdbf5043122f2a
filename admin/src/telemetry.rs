//! Logs and traces of a process, set up together: the filter that is changed at run time is the filter of both.

use prometheus_client::registry::Registry;

use crate::filter::Filter;
use crate::logs::{self, Format, Log, LogsError};
use crate::routes::Routes;
use crate::traces::{self, Sender, Traces};

/// What was set up. The default is nothing: tests have their own. Clones share it.
#[derive(Clone, Debug, Default)]
pub struct Telemetry {
    log: Option<Log>,
    traces: Option<Traces>,
}

/// Why logs or traces could not be set up.
#[derive(Debug, thiserror::Error)]
pub enum TelemetryError {
    /// Logs.
    #[error(transparent)]
    Logs(#[from] LogsError),
    /// Traces.
    #[error("--otlp-endpoint cannot be used: {0}")]
    Traces(String),
}

// === impl Telemetry ===

impl Telemetry {
    /// Sends logs to standard error, and traces to `endpoint` if there is one. Must be called within a runtime.
    pub fn start(
        format: Format,
        filter: &Filter,
        endpoint: Option<&str>,
        service: &'static str,
        version: &'static str,
    ) -> Result<Self, TelemetryError> {
        let sender = || Sender { service, version, instance: instance() };
        let traces = endpoint.map(|endpoint| Traces::to(endpoint, sender())).transpose();
        let traces = traces.map_err(|error| TelemetryError::Traces(error.to_string()))?;
        let log = logs::init(format, filter, traces.as_ref())?;
        Ok(Self { log: Some(log), traces })
    }

    /// Adds the page of the log filter.
    pub fn on(&self, routes: Routes) -> Routes {
        match &self.log {
            Some(log) => log.level.on(routes),
            None => routes,
        }
    }

    /// Registers `rollcall_traces_spans_total` and `rollcall_log_lines_total`.
    pub fn register(&self, registry: &mut Registry) {
        logs::register(registry);
        traces::register(self.traces.as_ref(), registry);
    }

    /// Sends the last spans and writes the last lines, for 2 seconds each at most.
    pub async fn flush(self) {
        if let Some(traces) = self.traces {
            traces.flush().await;
        }
        if let Some(log) = self.log {
            // It waits for a thread, and nothing else is left to be done on this one; if it is, 2 s are the end of it.
            log.flush();
        }
    }
}

/// The pod's name, or the host's with the process id.
fn instance() -> String {
    let host = || std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    std::env::var("POD_NAME").unwrap_or_else(|_| format!("{}-{}", host().trim(), std::process::id()))
}
