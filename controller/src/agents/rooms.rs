//! The rooms that decide about agents and hear what they say, as this one speaks to them.

use std::net::IpAddr;
use std::sync::Arc;

use futures::future::BoxFuture;
use rollcall_catalog::ServiceKey;
use rollcall_catalog::input::Origin;
use rollcall_health::beat::{self, OnMachine};
use rollcall_xds::tls::Shown;

use super::admission::{Admission, Caller, Denial, Ears, Interval};
use crate::access::{Access, Denied, Identity, Right};
use crate::beats::{Hearing, Refused};
use rollcall_vantage::lookout::Lookout;

/// Somebody whom the API server knows.
struct Known {
    access: Access,
    identity: Identity,
}

/// What RBAC has to allow: `create` of it, in the namespace, for the service's name.
const RESOURCE: &str = "serviceregistrations/agent";

/// And of these, in all namespaces, for the name of the machine or of the node: what it says counts wherever a policy names it.
const AGENT_LOOKOUT: &str = "vantages/agent";
const DNS_LOOKOUT: &str = "vantages/dns";

/// Said to an agent that shows nothing.
const NO_CREDENTIAL: &str = "no token and no certificate: give the agent the token of a ServiceAccount in token_file (kubectl create \
                             token NAME), or a client certificate in cert_file and key_file";

/// Who judges agents, and who hears them.
pub fn others(access: &Access, hearing: &Hearing) -> (Arc<dyn Admission>, Arc<dyn Ears>) {
    (Arc::new(access.clone()), Arc::new(hearing.clone()))
}

impl Admission for Access {
    fn identify<'a>(
        &'a self,
        authorization: Option<&'a str>,
        shown: &'a Shown,
        peer: IpAddr,
    ) -> BoxFuture<'a, Result<Arc<dyn Caller>, Denial>> {
        Box::pin(async move {
            let identity = self.caller(authorization, shown, peer).await.map_err(|denied| match denied {
                Denied::NoCredential => Denial::Refused(NO_CREDENTIAL.to_owned()),
                denied => denied.into(),
            })?;
            let known: Arc<dyn Caller> = Arc::new(Known { access: self.clone(), identity });
            Ok(known)
        })
    }
}

impl Caller for Known {
    fn name(&self) -> String {
        self.identity.to_string()
    }

    fn may_be_asked<'a>(&'a self, lookout: Lookout, name: &'a str) -> BoxFuture<'a, Result<(), Denial>> {
        Box::pin(async move {
            let resource = match lookout {
                Lookout::Agent => AGENT_LOOKOUT,
                Lookout::DnsServer => DNS_LOOKOUT,
            };
            Ok(self.access.may(&self.identity, Right { verb: "create", resource, namespace: "", name }).await?)
        })
    }

    fn may<'a>(&'a self, service: &'a ServiceKey) -> BoxFuture<'a, Result<(), Denial>> {
        Box::pin(async move {
            let (namespace, name) = (&*service.namespace, &*service.name);
            let right = Right { verb: "create", resource: RESOURCE, namespace, name };
            Ok(self.access.may(&self.identity, right).await?)
        })
    }
}

impl From<Denied> for Denial {
    fn from(denied: Denied) -> Self {
        match denied {
            Denied::NoCredential
            | Denied::Unknown(_)
            | Denied::Certificate(_)
            | Denied::Nameless
            | Denied::Forbidden { .. } => Self::Refused(denied.to_string()),
            Denied::Busy(..) | Denied::Unavailable(_) => Self::Unknown(denied.to_string()),
        }
    }
}

impl Ears for Hearing {
    fn beat(&self, origin: &Origin, endpoint: &str, checks: &Arc<[OnMachine]>) -> Result<Interval, String> {
        interval(self.report(origin, endpoint, &beat::Said::PASS.with_machine(Arc::clone(checks))))
    }

    fn stopped(&self, origin: &Origin, endpoint: &str) -> Result<(), String> {
        Self::stopped(self, origin, endpoint).map_err(|refused| refused.to_string())
    }
}

fn interval(heard: Result<beat::Due, Refused>) -> Result<Interval, String> {
    heard.map(|due| due.interval).map_err(|refused| refused.to_string())
}
