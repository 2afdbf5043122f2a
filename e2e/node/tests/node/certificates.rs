//! Certificates of the stream that change while it is open.

use anyhow::{Context, Result, ensure};
use rollcall_e2e::clock;
use rollcall_e2e::node::NodeCluster;

use crate::release::{Part, Release};
use crate::runner::{Scenario, scenarios};
use crate::traffic::{RESOLVE, as_cluster_dns, expect_no_loss, load};
use crate::workload::{BOUND, Namespace, web};

pub(crate) const SCENARIOS: &[Scenario] =
    scenarios![certificates_and_their_authority_rotate_under_open_streams_and_nobody_notices];

/// So short that both rotate within the time of a test: a leaf after 8 s, the authority after a minute.
const SHORT: &[&str] =
    &["--set", "certificates.authority.caLifetime=120s", "--set", "certificates.authority.leafLifetime=12s"];

fn certificates_and_their_authority_rotate_under_open_streams_and_nobody_notices(
    cluster: &mut NodeCluster,
) -> Result<()> {
    let flags = as_cluster_dns(cluster, "clusterDNS");
    let flags: Vec<&str> = flags.iter().map(String::as_str).chain(SHORT.iter().copied()).collect();
    let release = Release::install(cluster, &flags)?;
    let shop = Namespace::create(cluster.kubectl(), "rotation")?;
    shop.apply(web("web", 1))?;
    shop.ready("web", 1)?;
    load(&shop, "resolver", &[RESOLVE, &["web"]].concat())?;
    let streams_before = sum(&release, Part::Controller, "rollcall_xds_streams_accepted_total")?;
    // Some while the controllers started.
    let lost_before = sum(&release, Part::Dns, "rollcall_dns_stream_disconnects_total")?;
    let bundle_before = bundle(&release)?;
    let long = BOUND * 2;
    clock::wait_until("a rotation of the authority, and of leaves on every replica", long, || {
        let authorities = samples(&release, Part::Controller, "rollcall_tls_rotations_total{what=\"authority\"}")?;
        let leaves = samples(&release, Part::Controller, "rollcall_tls_rotations_total{what=\"leaf\"}")?;
        let rotated = authorities.iter().any(|count| *count >= 1.0) && leaves.iter().all(|count| *count >= 3.0);
        Ok(rotated.then_some(()))
    })?;
    let report = expect_no_loss(&shop, "resolver")?;
    let opened = sum(&release, Part::Controller, "rollcall_xds_streams_accepted_total")? - streams_before;
    let lost = sum(&release, Part::Dns, "rollcall_dns_stream_disconnects_total")? - lost_before;
    // A rotation that ends streams ends that of each server. One alone is a ping that a loaded machine was late to answer.
    let servers = release.pods(Part::Dns)?.len() as f64;
    for (count, what) in [(opened, "streams were opened anew"), (lost, "streams were lost")] {
        ensure!((0.0..servers).contains(&count), "{count} {what} by {servers} DNS servers");
    }
    ensure!(bundle(&release)? != bundle_before, "the bundle is what it was before the authority changed");
    eprintln!("  authority and leaves rotated; {} queries, none lost; {lost} of {servers} streams lost", report.sent);
    // Who comes now trusts the new authority.
    release.kubectl(&["rollout", "restart", "deployment", &Part::Dns.fullname()])?;
    release.kubectl(&["rollout", "status", "deployment", &Part::Dns.fullname(), "--timeout=5m"])?;
    expect_no_loss(&shop, "resolver").map(drop)
}

fn bundle(release: &Release<'_>) -> Result<String> {
    let map = release.get(&["configmap", "rollcall-ca"])?;
    map["data"]["ca.crt"].as_str().map(String::from).context("the ConfigMap holds no ca.crt")
}

fn sum(release: &Release<'_>, part: Part, metric: &str) -> Result<f64> {
    Ok(samples(release, part, metric)?.iter().sum())
}

/// A metric of each pod; 0 where it is not on the page.
fn samples(release: &Release<'_>, part: Part, metric: &str) -> Result<Vec<f64>> {
    let pages = release.pages(part, "/metrics")?;
    let value = |page: &str| {
        let line = page.lines().find_map(|line| line.strip_prefix(metric)?.strip_prefix(' '))?;
        line.split(' ').next()?.parse::<f64>().ok()
    };
    Ok(pages.iter().map(|(_, page)| value(&page.body).unwrap_or_default()).collect())
}
