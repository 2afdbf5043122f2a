//! Metrics and readiness of a running program.

use std::net::SocketAddr;

use anyhow::{Context, Result, bail};
use rollcall_e2e::http;

/// The sum of all samples of a metric, or of those whose labels contain `label`; an error when there is none.
pub(crate) fn metric(admin: SocketAddr, name: &str, label: &str) -> Result<f64> {
    let page = http::get(admin, "/metrics")?.body;
    let samples = page.lines().filter_map(|line| {
        let rest = line.strip_prefix(name).filter(|rest| rest.starts_with(['{', ' ']))?;
        let (labels, value) = rest.rsplit_once(' ')?;
        labels.contains(label).then(|| value.parse::<f64>())
    });
    let samples = samples.collect::<Result<Vec<_>, _>>().with_context(|| format!("the metric {name}"))?;
    if samples.is_empty() {
        bail!("http://{admin}/metrics has no {name} with {label:?}");
    }
    Ok(samples.iter().sum())
}

/// Status and text of `/readyz`.
pub(crate) fn readyz(admin: SocketAddr) -> Result<(u16, String)> {
    http::get(admin, "/readyz").map(|answer| (answer.status, answer.body))
}
