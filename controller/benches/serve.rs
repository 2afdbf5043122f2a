//! From one changed endpoint to the resources that streams are sent: the merge, and the encoding of what changed beside the
//! encoding of the whole service.
//!
//! `cargo bench --workspace --bench serve` prints a table and writes `target/bench/serve.json`.
#![allow(
    clippy::disallowed_methods,
    clippy::unwrap_used,
    reason = "a bench measures real time and may stop on any fault"
)]

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};
use std::{fs, iter};

use rollcall_catalog::Catalog;
use rollcall_catalog::input::Input;
use rollcall_catalog::model::ServiceKey;
use rollcall_catalog::service::Service;
use rollcall_catalog::time::Now;
use rollcall_controller::registration::Reader;
use rollcall_controller::serve::served::Served;
use rollcall_crds::ServiceRegistration;
use rollcall_xds::cache::Cache;

const SIZES: [usize; 3] = [10, 1_000, 5_000];
const CHANGES: u32 = 200;
/// As many as one registration may hold.
const PER_REGISTRATION: usize = 100;

fn main() {
    let rows = SIZES.map(|endpoints| (endpoints, measure(endpoints)));
    println!("{:>10} {:>12} {:>14} {:>14} {:>12}", "endpoints", "merge", "encode change", "encode all", "on the wire");
    for (endpoints, Figures { merge, change, all, wire_bytes }) in &rows {
        println!("{endpoints:>10} {merge:>12.1?} {change:>14.1?} {all:>14.1?} {:>9.1} KB", *wire_bytes as f64 / 1e3);
    }
    let figures: serde_json::Map<_, _> =
        rows.iter().map(|(endpoints, row)| (endpoints.to_string(), row.json())).collect();
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../target/bench");
    fs::create_dir_all(&folder).unwrap();
    let json = serde_json::json!({ "unit": "ns", "changes": CHANGES, "by_endpoints": figures });
    fs::write(folder.join("serve.json"), format!("{json:#}\n")).unwrap();
}

/// Of one change, on average.
struct Figures {
    merge: Duration,
    change: Duration,
    all: Duration,
    /// Of the resources that differ.
    wire_bytes: usize,
}

// === impl Figures ===

impl Figures {
    fn json(&self) -> serde_json::Value {
        let ns = |took: Duration| u64::try_from(took.as_nanos()).unwrap();
        serde_json::json!({
            "merge": ns(self.merge), "encode_change": ns(self.change), "encode_all": ns(self.all), "wire_bytes": self.wire_bytes
        })
    }
}

fn measure(endpoints: usize) -> Figures {
    let (mut catalog, mut reader) = (Catalog::default(), Reader::default());
    for first in (0..endpoints).step_by(PER_REGISTRATION) {
        let registration = registration(first, PER_REGISTRATION.min(endpoints - first), 1);
        catalog.apply(Input::Contribution(reader.read(&registration).contribution));
    }
    catalog.publish(Now::default());
    let mut cache = Cache::new();
    let mut served = Some(Served::update(None, &service(&catalog), &mut cache));
    let mut before = cache.publish();

    let (mut merge, mut change, mut all, mut wire_bytes) = (Duration::ZERO, Duration::ZERO, Duration::ZERO, 0);
    for n in 0..CHANGES {
        let registration = registration(0, PER_REGISTRATION.min(endpoints), n + 2);
        catalog.apply(Input::Contribution(reader.read(&registration).contribution));
        merge += timed(|| _ = catalog.publish(Now::default()));
        let now = service(&catalog);
        let last = served.take();
        change += timed(|| served = Some(Served::update(last, &now, &mut cache)));
        all += timed(|| drop(Served::update(None, &now, &mut Cache::new())));
        let after = cache.publish();
        wire_bytes += match after.changes_since(before.revision()) {
            rollcall_xds::cache::Changes::Keys(keys) => {
                keys.filter_map(|(ty, name)| Some(after.get(*ty, name)?.wire.len())).sum::<usize>()
            }
            _ => 0,
        };
        before = after;
    }
    Figures {
        merge: merge / CHANGES,
        change: change / CHANGES,
        all: all / CHANGES,
        wire_bytes: wire_bytes / CHANGES as usize,
    }
}

fn timed(work: impl FnOnce()) -> Duration {
    let start = Instant::now();
    work();
    start.elapsed()
}

fn service(catalog: &Catalog) -> Arc<Service> {
    Arc::clone(catalog.snapshot().get(&ServiceKey::new("shop", "payments")).unwrap())
}

/// Some machines of the service; the first has that weight.
fn registration(first: usize, count: usize, weight: u32) -> ServiceRegistration {
    let weights = iter::once(weight).chain(iter::repeat(1));
    let machine = |(n, weight): (usize, u32)| {
        serde_json::json!({
            "name": format!("vm-{n}"),
            "addresses": [format!("198.18.{}.{}", n / 250, n % 250 + 1)],
            "zone": format!("zone-{}", n % 3),
            "weight": weight,
        })
    };
    let machines: Vec<_> = (first..first + count).zip(weights).map(machine).collect();
    let object = serde_json::json!({
        "apiVersion": "rollcall.dev/v1alpha1",
        "kind": "ServiceRegistration",
        "metadata": { "name": format!("machines-{first}"), "namespace": "shop", "creationTimestamp": "2026-11-01T00:00:00Z" },
        "spec": { "service": "payments", "ports": [{ "name": "http", "port": 8080 }], "endpoints": machines },
    });
    serde_json::from_value(object).unwrap()
}
