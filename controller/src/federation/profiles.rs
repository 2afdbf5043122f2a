//! The ClusterProfiles (KEP-4322) of this cluster, by which links find others: which of them a link follows, and what it says.
//!
//! They are watched from the first link on that names one: where there is no inventory nothing is asked for. Kept are as many as it
//! has, and of each no more than links go by.

use std::sync::Arc;

use kube::{Api, Client};
use rollcall_admin::Readiness;
use rollcall_catalog::model::Name;
use rollcall_crds::{ClusterProfile, ClusterProfileRef};
use tokio::sync::watch;

use super::table::{News, Reader, Table};
use crate::kubernetes::ObjectKey;
use crate::kubernetes::freshness::{Freshness, Source, SourceId};
use crate::kubernetes::guarded::Bad;
use crate::kubernetes::informer::{Handler, Informer, Unlisted};
use crate::time::clock::Clock;

mod reading;

pub use reading::{Access, PROVIDER, Profile};

/// All that there are, once a link names one. Clones are the same.
#[derive(Clone, Debug)]
pub struct Profiles {
    all: Table<ObjectKey, Arc<Profile>>,
    /// Whether a link names one.
    wanted: watch::Sender<bool>,
    /// Of one gate: what keeps the watch from its objects. Nobody's readiness waits for it.
    watched: Readiness,
}

/// The one that a link names, kept in step with what the link says and with the profile.
#[derive(Debug)]
pub struct Followed {
    profiles: Profiles,
    news: Reader<ObjectKey, Arc<Profile>>,
    named: Option<ObjectKey>,
    /// Whether all were listed when it was last looked.
    complete: bool,
}

// === impl Profiles ===

impl Default for Profiles {
    fn default() -> Self {
        Self { all: Table::default(), wanted: watch::Sender::new(false), watched: Readiness::default() }
    }
}

impl Profiles {
    /// Starts what will watch them.
    pub fn start(client: Client, clock: Clock) -> Self {
        let profiles = Self::default();
        let gate = profiles.watched.gate(Source::ClusterProfiles.as_str());
        gate.close("the ClusterProfiles of this cluster have not been listed yet");
        let (handler, mut wanted) = (profiles.clone(), profiles.wanted.subscribe());
        tokio::spawn(async move {
            if wanted.wait_for(|wanted| *wanted).await.is_ok() {
                let freshness = Freshness::new(SourceId::only(Source::ClusterProfiles), clock);
                Informer::new(Api::all(client), handler, freshness, gate, Unlisted::new(1)).run().await;
            }
        });
        profiles
    }

    /// The way of the profile of this name to the cluster of this id.
    fn access(&self, named: &ObjectKey, id: &str) -> Result<Access, String> {
        let name = format!("ClusterProfile {}/{}", named.namespace, named.name);
        match self.all.get(named) {
            Some(profile) => profile.access(id).cloned().map_err(|words| format!("{name} {words}")),
            None if self.all.is_complete() => Err(format!(
                "{name} does not exist: correct spec.clusterProfile, or have the inventory make it, or give the link addresses in its place"
            )),
            None => {
                let closed = self.watched.closed().into_iter().find_map(|gate| gate.closed);
                let why = closed.unwrap_or_else(|| Arc::from("the profiles are being listed"));
                Err(format!("{name} is not known: {why}"))
            }
        }
    }
}

impl Handler<ClusterProfile> for Profiles {
    async fn apply(&mut self, profile: ClusterProfile) {
        let key = ObjectKey::of(&profile.metadata);
        self.all.put(&key, Some(Arc::new(Profile::of(profile.status.as_ref()))));
    }

    async fn delete(&mut self, gone: &ObjectKey) {
        self.all.put(gone, None);
    }

    async fn unreadable(&mut self, bad: Box<Bad>) {
        let key = ObjectKey::of(&bad.metadata);
        if self.all.get(&key).is_none() {
            self.all.put(&key, Some(Arc::new(Profile::unreadable(&bad.words))));
        }
    }

    async fn synced(&mut self) {
        self.all.complete();
    }
}

// === impl Followed ===

impl Followed {
    /// None yet.
    pub fn new(profiles: Profiles) -> Self {
        let news = profiles.all.follow();
        Self { profiles, news, named: None, complete: false }
    }

    /// Waits until a profile is another, if the link names one.
    pub async fn changed(&mut self) {
        match self.named {
            Some(_) => self.news.changed().await,
            None => std::future::pending().await,
        }
    }

    /// Looks at which the link names, and at what changed. Whether the way may be another than before.
    pub fn look(&mut self, named: Option<&ClusterProfileRef>) -> bool {
        let named =
            named.map(|named| ObjectKey { namespace: Name::from(&*named.namespace), name: Name::from(&*named.name) });
        let complete = self.profiles.all.is_complete();
        let anew = named != self.named || (named.is_some() && complete != self.complete);
        (self.named, self.complete) = (named, complete);
        let Some(named) = &self.named else { return anew };
        self.profiles.wanted.send_if_modified(|wanted| !std::mem::replace(wanted, true));
        let changed = match self.news.news() {
            News::Keys(keys) => keys.contains(named),
            News::All => true,
        };
        anew || changed
    }

    /// The way to the cluster of this id by the profile that is named; `None` when none is.
    ///
    /// # Errors
    /// When there is none, in words with the remedy.
    pub fn access(&self, id: &str) -> Result<Option<Access>, String> {
        self.named.as_ref().map(|named| self.profiles.access(named, id)).transpose()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn profile(name: &str) -> ClusterProfile {
        let status = serde_json::json!({ "accessProviders": [
            { "name": PROVIDER, "cluster": { "server": format!("https://{name}:18000") } },
        ] });
        let mut profile = ClusterProfile::new(name, rollcall_crds::cluster_profile::ClusterProfileSpec {});
        profile.metadata.namespace = Some("fleet".to_owned());
        profile.status = Some(serde_json::from_value(status).expect("a status"));
        profile
    }

    #[tokio::test]
    async fn a_link_is_told_of_its_own_profile_alone_and_they_are_watched_once_one_is_named() {
        let mut profiles = Profiles::default();
        let gate = profiles.watched.gate("clusterprofiles");
        let mut followed = Followed::new(profiles.clone());
        let address = |followed: &Followed| Ok::<_, String>(followed.access("east")?.map(|access| access.address));
        assert!(!followed.look(None) && !*profiles.wanted.borrow());
        assert_eq!(address(&followed), Ok(None));

        let named = ClusterProfileRef { namespace: "fleet".to_owned(), name: "east".to_owned() };
        assert!(followed.look(Some(&named)) && *profiles.wanted.borrow());
        gate.close("listing clusterprofiles fails");
        assert!(address(&followed).is_err_and(|said| said.ends_with("is not known: listing clusterprofiles fails")));
        profiles.apply(profile("west")).await;
        assert!(!followed.look(Some(&named)), "it is another one's");
        profiles.synced().await;
        followed.changed().await;
        assert!(followed.look(Some(&named)), "all are known by now");
        assert!(address(&followed).is_err_and(|said| said.contains("fleet/east does not exist")));

        profiles.apply(profile("east")).await;
        assert!(followed.look(Some(&named)) && !followed.look(Some(&named)));
        assert_eq!(address(&followed), Ok(Some("east:18000".to_owned())));
        profiles.apply(profile("east")).await;
        assert!(!followed.look(Some(&named)), "it says the same");
        profiles.delete(&ObjectKey::of(&profile("east").metadata)).await;
        assert!(followed.look(Some(&named)));
        assert!(followed.look(None) && address(&followed) == Ok(None));
    }
}
