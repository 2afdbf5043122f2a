//! From the API server's answer to a write until the bytes reach a subscribed client, and until DNS answers it.

use std::net::Ipv4Addr;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use kube::api::{Api, ApiResource, DynamicObject, GroupVersionKind, Patch, PatchParams};
use kube::config::{KubeConfigOptions, Kubeconfig};
use rollcall_e2e::{Kubectl, clock};
use serde_json::{Value, json};

use crate::Targets;
use crate::figures::Figures;
use crate::watcher::{DnsWatcher, StreamWatcher};

const CHANGES: u32 = 300;
/// Between changes: each is measured alone.
const PAUSE: Duration = Duration::from_millis(30);
const NAMESPACE: &str = "load-0";

/// What is changed.
#[derive(Clone, Copy, Debug)]
enum Origin {
    /// A ServiceRegistration of a service without a Service.
    Registration,
    /// An EndpointSlice of a headless Service.
    Slice,
}

/// One change.
struct Sample {
    stream: Duration,
    dns: Duration,
}

/// Latencies of both origins.
pub(crate) fn measure(kubectl: &Kubectl, targets: Targets) -> Result<Figures> {
    kubectl.apply(&headless().to_string())?;
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    let mut figures = Figures::new();
    for origin in [Origin::Registration, Origin::Slice] {
        kubectl.apply(&origin.object(address(0)).to_string())?;
        let samples = runtime.block_on(changes(kubectl, targets, origin))?;
        let name = origin.label();
        figures.extend(percentiles(&format!("{name} to stream"), samples.iter().map(|sample| sample.stream)));
        figures.extend(percentiles(&format!("{name} to DNS"), samples.iter().map(|sample| sample.dns)));
    }
    Ok(figures)
}

async fn changes(kubectl: &Kubectl, targets: Targets, origin: Origin) -> Result<Vec<Sample>> {
    let api = origin.api(kubectl).await?;
    let mut stream = StreamWatcher::start(targets.stream, origin.service());
    let dns = DnsWatcher::new(targets.dns, &format!("{}.{NAMESPACE}.svc.cluster.local", origin.service()))?;
    stream.saw(address(0)).await?;
    dns.answers(address(0))?;
    let mut samples = Vec::new();
    for number in 1..=CHANGES {
        tokio::time::sleep(PAUSE).await;
        let address = address(number);
        let watching = {
            let dns = dns.clone();
            // From before the write on: the answer may be there before the API server's answer to the writer.
            tokio::task::spawn_blocking(move || dns.answers(address))
        };
        let patch = Patch::Merge(origin.object(address));
        api.patch(origin.service(), &PatchParams::default(), &patch).await.context("writing a change")?;
        let written = clock::now();
        samples
            .push(Sample { stream: since(written, stream.saw(address).await?), dns: since(written, watching.await??) });
    }
    Ok(samples)
}

fn since(written: Instant, seen: Instant) -> Duration {
    seen.saturating_duration_since(written)
}

/// Of 198.19.240.0/20, which the generated endpoints do not reach.
fn address(number: u32) -> Ipv4Addr {
    Ipv4Addr::from_bits(Ipv4Addr::new(198, 19, 240, 1).to_bits() + number)
}

fn percentiles(name: &str, samples: impl Iterator<Item = Duration>) -> [(String, f64); 2] {
    let mut sorted: Vec<f64> = samples.map(|sample| sample.as_secs_f64() * 1e3).collect();
    sorted.sort_by(f64::total_cmp);
    let at = |percent: usize| sorted.get(sorted.len() * percent / 100).copied().unwrap_or(f64::NAN);
    [(format!("{name}, p50 ms"), at(50)), (format!("{name}, p99 ms"), at(99))]
}

fn headless() -> Value {
    json!({
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": Origin::Slice.service(), "namespace": NAMESPACE},
        "spec": {"clusterIP": "None", "ports": [{"name": "http", "port": 80}]},
    })
}

// === impl Origin ===

impl Origin {
    fn label(self) -> &'static str {
        match self {
            Self::Registration => "registration",
            Self::Slice => "slice",
        }
    }

    /// The service's name, and the object's.
    fn service(self) -> &'static str {
        match self {
            Self::Registration => "probe-registration",
            Self::Slice => "probe-slice",
        }
    }

    fn object(self, address: Ipv4Addr) -> Value {
        let metadata = json!({"name": self.service(), "namespace": NAMESPACE});
        match self {
            Self::Registration => json!({
                "apiVersion": "rollcall.dev/v1alpha1",
                "kind": "ServiceRegistration",
                "metadata": metadata,
                "spec": {
                    "service": self.service(),
                    "ports": [{"name": "http", "port": 8080}],
                    "endpoints": [{"name": "vm", "addresses": [address]}],
                },
            }),
            Self::Slice => json!({
                "apiVersion": "discovery.k8s.io/v1",
                "kind": "EndpointSlice",
                "metadata": {
                    "name": self.service(),
                    "namespace": NAMESPACE,
                    "labels": {"kubernetes.io/service-name": self.service()},
                },
                "addressType": "IPv4",
                "ports": [{"name": "http", "port": 8080, "protocol": "TCP"}],
                "endpoints": [{"addresses": [address], "conditions": {"ready": true}}],
            }),
        }
    }

    async fn api(self, kubectl: &Kubectl) -> Result<Api<DynamicObject>> {
        let kind = match self {
            Self::Registration => GroupVersionKind::gvk("rollcall.dev", "v1alpha1", "ServiceRegistration"),
            Self::Slice => GroupVersionKind::gvk("discovery.k8s.io", "v1", "EndpointSlice"),
        };
        let kubeconfig = Kubeconfig::read_from(kubectl.kubeconfig())?;
        let config = kube::Config::from_custom_kubeconfig(kubeconfig, &KubeConfigOptions::default()).await?;
        let client = kube::Client::try_from(config)?;
        Ok(Api::namespaced_with(client, NAMESPACE, &ApiResource::from_gvk(&kind)))
    }
}
