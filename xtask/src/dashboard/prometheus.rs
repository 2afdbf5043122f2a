//! A Prometheus that scrapes every second.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use rollcall_e2e::install::NAMESPACE;
use rollcall_e2e::process::{Process, Program};
use rollcall_e2e::{clock, http, net};
use serde_json::{Value, json};

use super::record::{Series, Times};

/// What is scraped.
#[derive(Debug)]
pub(super) struct Scraped {
    pub(super) job: &'static str,
    pub(super) instance: String,
    pub(super) address: SocketAddr,
}

/// Prometheus, running.
#[derive(Debug)]
pub(super) struct Prometheus {
    _process: Process,
    address: SocketAddr,
}

/// The window of rates, for Grafana's `$__rate_interval`: some scrapes.
const RATE_INTERVAL: &str = "10s";
const READY_BOUND: Duration = Duration::from_secs(120);

// === impl Prometheus ===

impl Prometheus {
    /// Starts it with its data and log in `folder`, and waits until all targets have been scraped.
    pub(super) fn start(program: &Path, targets: &[Scraped], folder: &Path) -> Result<Self> {
        let address = net::free_loopback()?;
        let config = folder.join("prometheus.yaml");
        // JSON is YAML.
        std::fs::write(&config, configuration(targets).to_string()).context("writing Prometheus' configuration")?;
        let arguments = [
            format!("--config.file={}", config.display()),
            format!("--storage.tsdb.path={}", folder.join("prometheus").display()),
            format!("--web.listen-address={address}"),
            "--log.level=warn".to_owned(),
        ];
        let mut process = Program::new("prometheus", program, folder).args(arguments).start()?;
        process.wait_until("all targets to be scraped", READY_BOUND, || {
            let up = query(address, "/api/v1/query", &[("query", "sum(up)")])?;
            let up = up["result"][0]["value"][1].as_str().and_then(|up| up.parse().ok()).unwrap_or(0);
            Ok((up == targets.len()).then_some(()))
        })?;
        Ok(Self { _process: process, address })
    }

    /// The series of a query over a time, named by the legend's format.
    pub(super) fn range(&self, query_text: &str, legend: &str, times: Times) -> Result<Vec<Series>> {
        let (start, end) = (times.start_s.to_string(), times.end_s.to_string());
        let arguments = [("query", &*substitute(query_text)), ("start", &*start), ("end", &*end), ("step", "1")];
        let data = query(self.address, "/api/v1/query_range", &arguments)?;
        let series = data["result"].as_array().context("Prometheus gave no result")?;
        Ok(series.iter().map(|series| read(series, legend)).filter(|series| !series.points.is_empty()).collect())
    }
}

fn configuration(targets: &[Scraped]) -> Value {
    let job = |target: &Scraped| {
        json!({
            "job_name": target.instance,
            "static_configs": [{
                "targets": [target.address.to_string()],
                "labels": {"job": target.job, "instance": target.instance, "namespace": NAMESPACE},
            }],
        })
    };
    json!({
        "global": {"scrape_interval": "1s", "scrape_timeout": "1s"},
        "scrape_configs": targets.iter().map(job).collect::<Vec<_>>(),
    })
}

/// What Grafana does to a query before it sends it.
fn substitute(query: &str) -> String {
    let query = query.replace("$__rate_interval", RATE_INTERVAL);
    ["$namespace", "$job", "$instance"].into_iter().fold(query, |query, variable| query.replace(variable, ".*"))
}

fn query(server: SocketAddr, path: &str, arguments: &[(&str, &str)]) -> Result<Value> {
    clock::check_interrupt()?;
    let arguments: Vec<String> = arguments.iter().map(|(name, value)| format!("{name}={}", encode(value))).collect();
    let answer = http::get(server, &format!("{path}?{}", arguments.join("&")))?;
    let mut answer: Value = serde_json::from_str(&answer.body).with_context(|| format!("{path}: {}", answer.body))?;
    if answer["status"] != "success" {
        bail!("Prometheus says: {}", answer["error"].as_str().unwrap_or_default());
    }
    Ok(answer["data"].take())
}

/// RFC 3986 §2.1: everything but unreserved characters.
fn encode(text: &str) -> String {
    let encode = |byte: u8| match byte {
        b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => char::from(byte).to_string(),
        _ => format!("%{byte:02X}"),
    };
    text.bytes().map(encode).collect()
}

fn read(series: &Value, legend: &str) -> Series {
    let labels: BTreeMap<String, String> = serde_json::from_value(series["metric"].clone()).unwrap_or_default();
    let point = |pair: &Value| Some((pair[0].as_f64()?, pair[1].as_str()?.parse::<f64>().ok()?));
    let points = series["values"].as_array().map(Vec::as_slice).unwrap_or_default().iter().filter_map(point);
    // A quantile of nothing is not a number.
    Series { name: name(legend, &labels), points: points.filter(|(_, value)| value.is_finite()).collect() }
}

fn name(legend: &str, labels: &BTreeMap<String, String>) -> String {
    labels.iter().fold(legend.to_owned(), |name, (label, value)| name.replace(&format!("{{{{{label}}}}}"), value))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_query_is_sent_as_grafana_would() {
        let sent = substitute(r#"rate(a_total{job=~"$job"}[$__rate_interval])"#);
        assert_eq!(sent, r#"rate(a_total{job=~".*"}[10s])"#);
        assert_eq!(encode("a b{c=\"d\"}"), "a%20b%7Bc%3D%22d%22%7D");
    }

    #[test]
    fn series_are_named_by_their_labels() {
        let labels = BTreeMap::from([("job".to_owned(), "dns".to_owned()), ("rcode".to_owned(), "NOERROR".to_owned())]);
        assert_eq!(name("{{rcode}} p99", &labels), "NOERROR p99");
    }
}
