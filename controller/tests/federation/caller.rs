//! A caller: what it is given of a service by its own stream, where that is, and in which order.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex};

use envoy_types::pb::envoy::config::core::v3::address::Address;
use envoy_types::pb::envoy::config::endpoint::v3::lb_endpoint::HostIdentifier;
use envoy_types::pb::envoy::config::endpoint::v3::{ClusterLoadAssignment, LbEndpoint};
use prost::Message;
use rollcall_xds::client::{self, Config, Credential, Event, Names};
use rollcall_xds::resource::ResourceType;
use tokio::sync::watch;
use tokio::task::JoinHandle;

use crate::cluster::{Cluster, SYSTEM, until};

type Seen = Arc<Mutex<Option<ClusterLoadAssignment>>>;

/// One that follows the endpoints of one name.
pub(crate) struct Caller {
    seen: Seen,
    task: JoinHandle<()>,
    /// As long as it is there, the name is asked for.
    _names: watch::Sender<Names>,
}

impl Caller {
    /// Of a cluster, by the Envoy cluster's name.
    pub(crate) async fn of(cluster: &Cluster, name: &str) -> Self {
        let ca = until("its authority", || {
            let map = cluster.api.get("v1", "configmaps", SYSTEM, "rollcall-ca")?;
            map["data"]["ca.crt"].as_str().map(str::to_owned)
        });
        let ca = ca.await.into_bytes();
        cluster.api.token("token-of-caller", &format!("system:serviceaccount:{SYSTEM}:caller"), &[]);
        let value = "Bearer token-of-caller".to_owned();
        let (sender, names) =
            watch::channel(BTreeMap::from([(ResourceType::Endpoints, BTreeSet::from([name.into()]))]));
        let config = Config {
            ca: Some(ca.into()),
            server_name: Some("rollcall.test".to_owned()),
            credential: Some(Credential { key: "authorization", value }),
            types: Vec::new(),
            names,
            ..Config::new(vec![format!("https://{}", cluster.grpc)], "caller")
        };
        let seen = Seen::default();
        let into = Arc::clone(&seen);
        let task = tokio::spawn(async move {
            let sink = move |event: Event| {
                if let Event::Update(update) = event {
                    for upsert in update.upserts {
                        let assignment =
                            ClusterLoadAssignment::decode(upsert.value).map_err(|error| error.to_string())?;
                        *into.lock().expect("nobody panics with it") = Some(assignment);
                    }
                }
                Ok(())
            };
            client::run(config, sink, std::future::pending()).await.expect("a good configuration");
        });
        Self { seen, task, _names: sender }
    }

    /// Waits until it is given this: priority, cluster (none of its own), and addresses of each locality.
    pub(crate) async fn is_given(&self, what: &str, expected: &[(u32, &str, &[&str])]) {
        let expected: Vec<_> = expected
            .iter()
            .map(|(priority, cluster, ips)| {
                (*priority, (*cluster).to_owned(), ips.iter().map(ToString::to_string).collect())
            })
            .collect();
        for _ in 0..1_200 {
            if self.given() == expected {
                return;
            }
            tokio::time::sleep(std::time::Duration::from_millis(100)).await;
        }
        panic!("{what}: {:?} and not {expected:?}", self.given());
    }

    /// Waits until it is given these addresses, wherever they are.
    pub(crate) async fn has(&self, what: &str, ips: &[&str]) {
        let has = || {
            let mut all: Vec<_> = self.given().into_iter().flat_map(|(.., ips)| ips).collect();
            all.sort_unstable();
            (all == ips).then_some(())
        };
        until(&format!("{what}: {ips:?}"), has).await;
    }

    fn given(&self) -> Vec<(u32, String, Vec<String>)> {
        let seen = self.seen.lock().expect("nobody panics with it").clone().unwrap_or_default();
        let parts = seen.endpoints.iter().map(|part| {
            let cluster = part.locality.as_ref().map(|place| place.sub_zone.clone()).unwrap_or_default();
            let mut ips: Vec<_> = part.lb_endpoints.iter().filter_map(ip).collect();
            ips.sort_unstable();
            (part.priority, cluster, ips)
        });
        parts.collect()
    }
}

impl Drop for Caller {
    fn drop(&mut self) {
        self.task.abort();
    }
}

fn ip(endpoint: &LbEndpoint) -> Option<String> {
    let Some(HostIdentifier::Endpoint(host)) = &endpoint.host_identifier else { return None };
    match host.address.as_ref()?.address.as_ref()? {
        Address::SocketAddress(socket) => Some(socket.address.clone()),
        _ => None,
    }
}
