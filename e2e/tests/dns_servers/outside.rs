//! Services that are reached from outside the cluster, by the names of a domain of their own.

use anyhow::{Result, ensure};
use rollcall_e2e::clock;
use rollcall_e2e::dns::Kdig;
use serde_json::json;

use crate::support::shop::DIRECT;
use crate::support::{BOUND, Shop};

/// What a server is given, so that it has such names.
pub(crate) const FLAGS: [&str; 3] = ["--external-domain", "k8s.example.com", "--external-headless"];

const EDGE: &str = "
apiVersion: v1
kind: Service
metadata: {name: edge, namespace: shop}
spec:
  type: LoadBalancer
  externalIPs: [192.0.2.7]
  ports: [{name: http, port: 80}]
";

/// External addresses come from the Service, then from its load balancer; without both there is no name.
pub(crate) fn has_names(shop: &Shop, kdig: &Kdig) -> Result<()> {
    let name = "edge.shop.k8s.example.com.";
    let has = |what: &str, addresses: &[&str]| {
        clock::wait_until(what, BOUND, || Ok((kdig.data(name, "A")? == addresses).then_some(())))
    };
    shop.kubectl.apply(EDGE)?;
    has("the address of externalIPs", &["192.0.2.7"])?;
    let balancer = |ingress| json!({"status": {"loadBalancer": {"ingress": ingress}}}).to_string();
    let patch = |patch: String, more: &[&str]| {
        let words = [&["patch", "service", "edge", "-n", "shop", "--type", "merge", "--patch", &patch], more].concat();
        shop.kubectl.run(&words)
    };
    patch(balancer(json!([{"ip": "192.0.2.9"}])), &["--subresource", "status"])?;
    has("that of the load balancer, too", &["192.0.2.7", "192.0.2.9"])?;
    let ports = kdig.data("_http._tcp.edge.shop.k8s.example.com.", "SRV")?;
    ensure!(ports == [format!("0 0 80 {name}")], "{ports:?}");
    let back = kdig.data("9.2.0.192.in-addr.arpa.", "PTR")?;
    ensure!(back == [name], "{back:?}");

    patch(json!({"spec": {"externalIPs": null}}).to_string(), &[])?;
    patch(balancer(json!([{"hostname": "lb.example.net"}])), &["--subresource", "status"])?;
    clock::wait_until("the name of the load balancer", BOUND, || {
        Ok((kdig.data(name, "CNAME")? == ["lb.example.net."]).then_some(()))
    })?;
    let endpoints = kdig.data(&format!("{DIRECT}.shop.k8s.example.com."), "A")?;
    ensure!(endpoints == kdig.data(&crate::support::shop::name(DIRECT), "A")?, "{endpoints:?}");
    shop.kubectl.delete(&["service", "edge", "-n", "shop"])?;
    clock::wait_until("NXDOMAIN", BOUND, || Ok((kdig.ask(name, "A")?.rcode == "NXDOMAIN").then_some(())))
}
