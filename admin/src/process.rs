//! Metrics of the process itself under Prometheus' standard names, read from `/proc/self` at each scrape.

use std::fmt;
use std::fs;

use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric};
use prometheus_client::metrics::counter::ConstCounter;
use prometheus_client::metrics::gauge::ConstGauge;
use prometheus_client::registry::Registry;

/// Registers `process_cpu_seconds_total`, `process_open_fds`, `process_max_fds`, `process_resident_memory_bytes`,
/// `process_resident_memory_max_bytes` and `process_start_time_seconds`. The registry must have no prefix.
pub fn register(registry: &mut Registry) {
    registry.register_collector(Box::new(Process));
}

/// Resident memory now, in bytes; 0 where `/proc` does not say.
pub fn resident_memory_bytes() -> u64 {
    memory("VmRSS:").unwrap_or(0)
}

#[derive(Debug)]
struct Process;

/// `USER_HZ`: the unit of `/proc/self/stat`, 100 on every Linux architecture that Kubernetes runs on.
const TICKS_PER_SECOND: f64 = 100.0;

// === impl Process ===

impl Collector for Process {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> Result<(), fmt::Error> {
        let mut gauge = |name: &str, help: &str, value: Option<f64>| -> fmt::Result {
            let Some(value) = value else { return Ok(()) };
            let gauge = ConstGauge::new(value);
            gauge.encode(encoder.encode_descriptor(name, help, None, gauge.metric_type())?)
        };
        gauge("process_open_fds", "Number of open file descriptors.", open_fds())?;
        gauge("process_max_fds", "Maximum number of open file descriptors.", max_fds())?;
        gauge("process_resident_memory_bytes", "Resident memory size in bytes.", memory("VmRSS:").map(as_f64))?;
        let peak = memory("VmHWM:").map(as_f64);
        gauge("process_resident_memory_max_bytes", "Largest resident memory size so far in bytes.", peak)?;
        gauge("process_start_time_seconds", "Start time of the process since unix epoch in seconds.", start_time())?;
        let Some(seconds) = cpu_seconds() else { return Ok(()) };
        let counter = ConstCounter::new(seconds);
        let help = "Total user and system CPU time spent in seconds.";
        counter.encode(encoder.encode_descriptor("process_cpu_seconds", help, None, counter.metric_type())?)
    }
}

fn open_fds() -> Option<f64> {
    Some(as_f64(fs::read_dir("/proc/self/fd").ok()?.count() as u64))
}

fn max_fds() -> Option<f64> {
    let limits = fs::read_to_string("/proc/self/limits").ok()?;
    let soft = limits.lines().find_map(|line| line.strip_prefix("Max open files"))?;
    soft.split_whitespace().next()?.parse().ok()
}

/// A line of `/proc/self/status`, which counts in kB.
fn memory(line: &str) -> Option<u64> {
    let status = fs::read_to_string("/proc/self/status").ok()?;
    let value = status.lines().find_map(|each| each.strip_prefix(line))?;
    Some(value.split_whitespace().next()?.parse::<u64>().ok()? * 1024)
}

fn start_time() -> Option<f64> {
    let boot = fs::read_to_string("/proc/stat").ok()?;
    let boot: f64 = boot.lines().find_map(|line| line.strip_prefix("btime "))?.trim().parse().ok()?;
    Some(boot + stat(22)? / TICKS_PER_SECOND)
}

fn cpu_seconds() -> Option<f64> {
    Some((stat(14)? + stat(15)?) / TICKS_PER_SECOND)
}

/// A field of `/proc/self/stat` by its number in proc(5). The second one, the command, may hold spaces and parentheses.
fn stat(field: usize) -> Option<f64> {
    let stat = fs::read_to_string("/proc/self/stat").ok()?;
    let (_, rest) = stat.rsplit_once(')')?;
    rest.split_whitespace().nth(field - 3)?.parse().ok()
}

/// Exact up to 2^53, which is more than any machine has of these.
fn as_f64(value: u64) -> f64 {
    value as f64
}
