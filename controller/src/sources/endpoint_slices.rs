//! EndpointSlices of others become contributions; those that Rollcall wrote go to the write-back, which compares them
//! with what they should be.

use std::collections::HashSet;
use std::net::IpAddr;
use std::sync::Arc;

use k8s_openapi::api::discovery::v1::{Endpoint as SliceEndpoint, EndpointPort, EndpointSlice};
use rollcall_catalog::Input;
use rollcall_catalog::input::{Contribution, Fault, Origin, OriginKind, Problem, Unusable};
use rollcall_catalog::intern::Interner;
use rollcall_catalog::model::{
    Addresses, Attributes, Conditions, Description, Endpoint, HealthSource, Name, PodRef, Port, Ports, ServiceKey, Uid,
};

use super::services::protocol;
use crate::federation::restored::Restored;
use crate::kubernetes::ObjectKey;
use crate::kubernetes::freshness::Source;
use crate::kubernetes::informer::Handler;
use crate::kubernetes::{Names, created};
use crate::writeback::observed::{Observations, Seen};
use crate::writeback::owned;
use crate::writeback::slices::{SERVICE_LABEL, SOURCE_CLUSTER_LABEL, SUSPECT_LABEL};
use crate::writer::{Inbox, Message};

/// Hands EndpointSlices to the catalog, and our own to the write-back.
pub struct EndpointSlices {
    inbox: Inbox,
    observations: Observations,
    names: Names,
    ports: Interner<[Port]>,
    attributes: Arc<Attributes>,
    ours: HashSet<ObjectKey>,
    restored: Option<Restored>,
}

// === impl EndpointSlices ===

impl EndpointSlices {
    /// A handler that speaks to `inbox` and, of our own slices, to `observations`.
    pub fn new(inbox: Inbox, observations: Observations) -> Self {
        let (names, ports) = (Names::default(), Interner::default());
        Self { inbox, observations, names, ports, attributes: Arc::default(), ours: HashSet::new(), restored: None }
    }

    /// Of our own slices with endpoints of another cluster the catalog is told as well, until that cluster is heard.
    #[must_use]
    pub fn restoring(self, restored: Option<Restored>) -> Self {
        Self { restored, ..self }
    }

    /// What one of ours says of another cluster's endpoints.
    fn restore(&mut self, key: &ObjectKey, slice: &EndpointSlice) -> Option<Contribution> {
        let restored = self.restored.clone()?;
        let labels = slice.metadata.labels.as_ref()?;
        let cluster = labels.get(SOURCE_CLUSTER_LABEL)?;
        let suspect = labels.contains_key(SUSPECT_LABEL);
        let read = self.contribution(key, slice)?;
        restored.slice((cluster, suspect), key, &read)
    }

    fn origin(&mut self, key: &ObjectKey) -> Arc<Origin> {
        let namespace = self.names.get(&key.namespace);
        Arc::new(Origin::here(OriginKind::EndpointSlice, namespace, Name::clone(&key.name)))
    }

    /// What a slice says; `None` when it belongs to no Service.
    fn contribution(&mut self, key: &ObjectKey, slice: &EndpointSlice) -> Option<Contribution> {
        let service = slice.metadata.labels.as_ref()?.get(SERVICE_LABEL).filter(|name| is_service_name(name))?;
        let ports = self.slice_ports(slice.ports.as_deref().unwrap_or_default());
        let origin = self.origin(key);
        let service = ServiceKey { namespace: Name::clone(&origin.namespace), name: self.names.get(service) };
        let (mut endpoints, mut unusable) = (Vec::new(), Vec::new());
        for said in slice.endpoints.iter().flatten() {
            endpoints.extend(self.endpoint(said, &ports, &origin.namespace).map(Arc::new));
            unusable.extend(not_used(said));
        }
        Some(Contribution {
            created: created(&slice.metadata),
            ports: Ports::clone(&ports),
            endpoints: endpoints.into(),
            unusable,
            ..Contribution::new(origin, service)
        })
    }

    fn slice_ports(&mut self, ports: &[EndpointPort]) -> Ports {
        let mut ports: Vec<_> = ports.iter().filter_map(|port| self.port(port)).collect();
        ports.sort_unstable();
        self.ports.share(ports)
    }

    fn port(&mut self, port: &EndpointPort) -> Option<Port> {
        Some(Port {
            name: self.names.get(port.name.as_deref().unwrap_or_default()),
            number: u16::try_from(port.port?).ok()?,
            protocol: protocol(port.protocol.as_deref())?,
            app_protocol: self.names.maybe(port.app_protocol.as_deref()),
        })
    }

    /// One endpoint. Of several addresses the first counts: kube-proxy ignores the others, and so does everyone else.
    fn endpoint(&mut self, endpoint: &SliceEndpoint, ports: &Ports, namespace: &Name) -> Option<Endpoint> {
        let address: IpAddr = endpoint.addresses.first()?.parse().ok()?;
        let target = endpoint.target_ref.as_ref().filter(|target| target.kind.as_deref() == Some("Pod"));
        let pod = target.and_then(|target| {
            let name = Name::from(target.name.as_deref().filter(|name| !name.is_empty())?);
            let elsewhere = target.namespace.as_deref().filter(|other| !other.is_empty() && **other != **namespace);
            let pod = PodRef {
                namespace: elsewhere.map(|other| self.names.get(other)),
                uid: target.uid.as_deref().and_then(Uid::of),
            };
            Some((name, pod))
        });
        let (named, pod) = pod.unzip();
        Some(Endpoint {
            addresses: Addresses::from(address),
            described: Arc::new(Description {
                named,
                ports: Ports::clone(ports),
                hostname: endpoint.hostname.as_deref().map(Name::from),
                zone: self.names.maybe(endpoint.zone.as_deref()),
                region: None,
                node: self.names.maybe(endpoint.node_name.as_deref()),
                weight: 1,
                conditions: conditions(endpoint),
                health_source: HealthSource::Conditions { pod },
                attributes: Arc::clone(&self.attributes),
            }),
        })
    }
}

impl Handler<EndpointSlice> for EndpointSlices {
    async fn apply(&mut self, slice: EndpointSlice) {
        let key = ObjectKey::of(&slice.metadata);
        let ours = owned::is_ours(&slice);
        // A slice whose manager was changed is withdrawn from the side where it was.
        if ours != self.ours.contains(&key) {
            self.delete(&key).await;
        }
        if ours {
            if let Some(contribution) = self.restore(&key, &slice) {
                self.inbox.send(Message::Say(Input::Contribution(contribution))).await;
            }
            self.ours.insert(key);
            self.observations.send(Seen::slice(slice)).await;
            return;
        }
        let message = match self.contribution(&key, &slice) {
            Some(contribution) => Input::Contribution(contribution),
            None => Input::Gone(self.origin(&key)),
        };
        self.inbox.send(Message::Say(message)).await;
    }

    async fn delete(&mut self, gone: &ObjectKey) {
        if self.ours.remove(gone) {
            self.observations.send(Seen::SliceGone(gone.clone())).await;
        } else {
            let origin = self.origin(gone);
            self.inbox.send(Message::Say(Input::Gone(origin))).await;
        }
    }

    async fn synced(&mut self) {
        self.observations.send(Seen::Synced(Source::EndpointSlices)).await;
        self.inbox.send(Message::Synced(Source::EndpointSlices)).await;
    }
}

/// The addresses of an endpoint that nobody is given, and why.
fn not_used(endpoint: &SliceEndpoint) -> impl Iterator<Item = Unusable> {
    endpoint.addresses.iter().enumerate().filter_map(|(at, address)| {
        let words = match (at, address.parse::<IpAddr>()) {
            (0, Ok(_)) => return None,
            (_, Ok(_)) => {
                "is not the first address of its endpoint, and all consumers use the first alone; give it an \
                           endpoint of its own"
            }
            (_, Err(_)) => {
                "is a name (addressType FQDN), which has no consumers; give an address, or make the Service an \
                            ExternalName"
            }
        };
        let problem = Problem { fault: Fault::UnsupportedValue, words: format!("{address} {words}").into() };
        Some(Unusable { name: address.as_str().into(), problem })
    })
}

/// A Service's name is a DNS label (RFC 1123 §2.1); a label's value may be other things too, which name no Service.
fn is_service_name(name: &str) -> bool {
    let inner = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    (1..=63).contains(&name.len()) && name.bytes().all(inner) && !name.starts_with('-') && !name.ends_with('-')
}

/// An absent condition means ready and serving, and not terminating (discovery/v1 `EndpointConditions`).
fn conditions(endpoint: &SliceEndpoint) -> Conditions {
    let said = endpoint.conditions.as_ref();
    let ready = said.and_then(|said| said.ready).unwrap_or(true);
    Conditions {
        ready,
        serving: said.and_then(|said| said.serving).unwrap_or(ready),
        terminating: said.and_then(|said| said.terminating).unwrap_or(false),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn out(addresses: &[&str]) -> Vec<(String, String)> {
        let addresses = addresses.iter().map(ToString::to_string).collect();
        let endpoint = SliceEndpoint { addresses, ..SliceEndpoint::default() };
        not_used(&endpoint).map(|out| (out.name.to_string(), out.problem.words.to_string())).collect()
    }

    #[test]
    fn what_no_consumer_uses_of_a_slice_is_said_with_its_reason() {
        assert_eq!(out(&["192.0.2.1"]), []);
        let further = out(&["192.0.2.1", "192.0.2.2"]);
        assert_eq!(further[0].0, "192.0.2.2");
        assert!(further[0].1.starts_with("192.0.2.2 is not the first address of its endpoint"), "{further:?}");
        let name = out(&["db.example.net"]);
        assert!(name[0].1.starts_with("db.example.net is a name (addressType FQDN)"), "{name:?}");
    }
}
