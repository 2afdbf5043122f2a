//! Who decides about agents, and who is told that their instances live: what other rooms are to this one.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use futures::future::BoxFuture;
use rollcall_catalog::ServiceKey;
use rollcall_catalog::input::Origin;
use rollcall_health::beat::OnMachine;
use rollcall_xds::tls::Shown;

use rollcall_vantage::lookout::Lookout;

/// Says who an agent is.
pub trait Admission: Send + Sync + 'static {
    /// Who calls with this `Authorization` and this certificate, from this address. The words of a refusal say what to do.
    fn identify<'a>(
        &'a self,
        authorization: Option<&'a str>,
        shown: &'a Shown,
        peer: IpAddr,
    ) -> BoxFuture<'a, Result<Arc<dyn Caller>, Denial>>;
}

/// Who an agent is.
pub trait Caller: Send + Sync + 'static {
    /// Their name, for the log.
    fn name(&self) -> String;

    /// Whether they may be asked, as this and by this name, what replicas doubt.
    fn may_be_asked<'a>(&'a self, lookout: Lookout, name: &'a str) -> BoxFuture<'a, Result<(), Denial>>;

    /// Whether they may register instances of this service as an agent.
    fn may<'a>(&'a self, service: &'a ServiceKey) -> BoxFuture<'a, Result<(), Denial>>;
}

/// Hears that instances live.
pub trait Ears: Send + Sync + 'static {
    /// It lives, and this is what each check on its machine says.
    ///
    /// # Errors
    /// Why that cannot be taken in, in a sentence.
    fn beat(&self, origin: &Origin, endpoint: &str, checks: &Arc<[OnMachine]>) -> Result<Interval, String>;

    /// It stops: callers get it no longer.
    ///
    /// # Errors
    /// As [`Ears::beat`].
    fn stopped(&self, origin: &Origin, endpoint: &str) -> Result<(), String>;
}

/// Until the next beat is to be sent.
pub type Interval = Duration;

/// Why somebody is not admitted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Denial {
    /// They may not, or nobody knows them.
    Refused(String),
    /// That cannot be found out now.
    Unknown(String),
}
