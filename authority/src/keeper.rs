//! Carries the plan out: reads the authority, does what is due, signs a leaf in memory.

use std::sync::Arc;
use std::time::Duration;

use rollcall_xds::tls::Clients;
use tracing::{info, warn};

use crate::current::Current;
use crate::issue::{self, Leaf};
use crate::model::{Authority, Ca, Retired};
use crate::plan::{self, Settings, Step};
use crate::record;
use crate::store::{Found, Store, Trouble};

#[cfg(test)]
mod tests;

/// Keeps the certificate of one replica.
#[derive(Debug)]
pub struct Keeper<S> {
    store: S,
    settings: Settings,
    names: Vec<String>,
    current: Current,
    wall_s: fn() -> i64,
    random: fn() -> f64,
    leaf: Option<Leaf>,
    /// Who may show certificates of this authority, and by which bundle.
    clients: Option<(Arc<Clients>, String)>,
    /// Whose leaves are in use, as of the last look: in case the Secret is emptied.
    remembers: Vec<Retired>,
}

/// Steps in one go. The longest way is five: publish a new authority, note it, promote it, publish, sign.
const STEPS_MAX: usize = 10;
/// Pauses after a failure, doubling.
const RETRY_MIN: Duration = Duration::from_secs(1);
const RETRY_MAX: Duration = Duration::from_secs(30);

// === impl Keeper ===

impl<S: Store> Keeper<S> {
    /// A keeper without a certificate yet, of leaves for `names`. `wall_s` reads seconds since 1970, `random` gives a number
    /// in `0.0..1.0`.
    pub fn new(
        store: S,
        settings: Settings,
        names: Vec<String>,
        current: Current,
        wall_s: fn() -> i64,
        random: fn() -> f64,
    ) -> Self {
        Self { store, settings, names, current, wall_s, random, leaf: None, clients: None, remembers: Vec::new() }
    }

    /// It vouches for these clients too.
    #[must_use]
    pub fn vouching_for(self, clients: Option<Arc<Clients>>) -> Self {
        Self { clients: clients.map(|clients| (clients, String::new())), ..self }
    }

    /// Keeps it for ever.
    pub async fn run(mut self) {
        let retry_max = RETRY_MAX.min(self.settings.look_every());
        let mut retry = RETRY_MIN;
        loop {
            let now_s = (self.wall_s)();
            let pause = match self.look(now_s).await {
                Ok(()) => {
                    retry = RETRY_MIN;
                    self.current.refreshed(now_s);
                    self.pause(now_s)
                }
                Err(reason) => {
                    self.current.failed(&reason, now_s);
                    let pause = retry.mul_f64(0.5 + (self.random)() / 2.0);
                    retry = (retry * 2).min(retry_max);
                    pause
                }
            };
            tokio::time::sleep(pause).await;
        }
    }

    /// One look, with all the steps that are due.
    async fn look(&mut self, now_s: i64) -> Result<(), String> {
        for _ in 0..STEPS_MAX {
            let found = self.store.read().await.map_err(|trouble| trouble.to_string())?;
            let read = record::read(&found.data());
            let authority =
                read.map_err(|error| format!("the authority cannot be used: {error}. {}", self.store.repair()))?;
            let step = plan::step(authority.as_ref(), found.bundle(), now_s, self.settings);
            match (step, authority) {
                (Step::Sign, Some(authority)) => return self.sign(&authority, now_s),
                (step, authority) => match self.take(step, found, authority, now_s).await {
                    // Another replica was faster: see what it did.
                    Ok(()) | Err(Trouble::Conflict) => {}
                    Err(Trouble::Failed(reason)) => return Err(reason),
                },
            }
        }
        Err("other replicas change the authority again and again; do their flags --tls-… differ?".to_owned())
    }

    async fn take(&self, step: Step, found: Found, before: Option<Authority>, now_s: i64) -> Result<(), Trouble> {
        match (step, before) {
            (Step::Begin, before) => {
                let (settings, made) = (self.settings, self.make(now_s)?);
                let authority = plan::begun(before.as_ref(), &self.remembers, made, now_s, settings);
                self.record(found, &authority).await?;
                info!(until = rollcall_xds::tls::date(authority.signing.not_after_s), "made an authority");
                self.replaced_at_once(before.is_some());
            }
            (Step::Announce, Some(before)) => {
                let authority = plan::announced(&before, self.make(now_s)?);
                self.record(found, &authority).await?;
                info!(
                    overlap_s = self.settings.overlap_s(),
                    "made the next authority; it signs when clients have had the time to see it"
                );
            }
            (Step::Record(authority), _) => self.record(found, &authority).await?,
            (Step::Promote(authority), _) => {
                self.record(found, &authority).await?;
                self.current.authority_rotated();
                info!(
                    until = rollcall_xds::tls::date(authority.signing.not_after_s),
                    "the next authority signs from now on"
                );
            }
            (Step::Publish(bundle), _) => self.store.write_bundle(found, bundle).await?,
            // Both need an authority, and say so by their arms above.
            (Step::Announce | Step::Sign, _) => {}
        }
        Ok(())
    }

    /// Says what it means that an authority signs without having been announced.
    fn replaced_at_once(&self, recorded: bool) {
        if recorded {
            warn!(
                "the authority had run out before another could follow: clients refuse us until they have the new bundle"
            );
        } else if self.remembers.is_empty() {
            return;
        } else {
            warn!(
                "the Secret of the authority was emptied: certificates of the one before stay good until they are renewed"
            );
        }
        self.current.authority_rotated();
    }

    async fn record(&self, found: Found, authority: &Authority) -> Result<(), Trouble> {
        self.store.write_authority(found, record::write(authority)).await
    }

    fn make(&self, now_s: i64) -> Result<Ca, Trouble> {
        issue::authority(now_s, self.settings.ca_lifetime_s).map_err(|error| Trouble::Failed(error.to_string()))
    }

    /// Signs a leaf if one is due. Only ever after a look: what signs is what signs now, and clients have its bundle.
    fn sign(&mut self, authority: &Authority, now_s: i64) -> Result<(), String> {
        self.current.authority(authority.signing.not_after_s);
        self.vouch(authority)?;
        self.remembers = plan::outgoing(authority, now_s, self.settings);
        let good = |leaf: &Leaf| {
            // A clock that was set back leaves a leaf that is not valid yet.
            let valid_from_s = leaf.identity.validity().not_before_s;
            (valid_from_s..leaf.renew_s).contains(&now_s) && authority.trusts(&leaf.signed_by)
        };
        if self.leaf.as_ref().is_some_and(good) {
            return Ok(());
        }
        let lifetime_s = self.settings.leaf_lifetime_s;
        let leaf = issue::leaf(&authority.signing, &self.names, now_s, lifetime_s, (self.random)());
        let leaf = leaf.map_err(|error| error.to_string())?;
        self.current.replace(leaf.identity.clone());
        self.leaf = Some(leaf);
        Ok(())
    }

    /// Has clients known by the bundle as it is now.
    fn vouch(&mut self, authority: &Authority) -> Result<(), String> {
        let Some((clients, known)) = &mut self.clients else { return Ok(()) };
        let bundle = authority.bundle();
        if *known != bundle {
            clients.trust(bundle.as_bytes())?;
            *known = bundle;
        }
        Ok(())
    }

    /// Until the next look: soon enough for the leaf and for what other replicas do, and not with them at once.
    fn pause(&self, now_s: i64) -> Duration {
        let due_s = self.leaf.as_ref().map_or(0, |leaf| leaf.renew_s - now_s).max(1);
        let look = self.settings.look_every().min(Duration::from_secs(due_s.unsigned_abs()));
        look.mul_f64(0.8 + 0.2 * (self.random)())
    }
}
