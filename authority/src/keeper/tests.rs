//! Tests: carries the plan out.

use std::sync::{Arc, Mutex};

use k8s_openapi::api::core::v1::{ConfigMap, Secret};
use rollcall_admin::Readiness;
use rollcall_xds::tls::Certificates;

use super::*;
use crate::metrics::Metrics;
use crate::record::Data;

/// The two objects, as the API server has them.
#[derive(Clone, Default)]
struct Memory(Arc<Mutex<Kept>>);

#[derive(Default)]
struct Kept {
    secret: Secret,
    configmap: ConfigMap,
    versions: u64,
    writes: usize,
    broken: Option<String>,
    /// What another replica does before the next write.
    rival: Option<Data>,
}

impl Kept {
    fn version(&mut self) -> Option<String> {
        self.versions += 1;
        Some(self.versions.to_string())
    }
}

impl Store for Memory {
    async fn read(&self) -> Result<Found, Trouble> {
        let kept = self.0.lock().expect("not poisoned");
        match &kept.broken {
            Some(reason) => Err(Trouble::Failed(reason.clone())),
            None => Ok(Found::new(kept.secret.clone(), kept.configmap.clone())),
        }
    }

    async fn write_authority(&self, found: Found, data: Data) -> Result<(), Trouble> {
        let mut kept = self.0.lock().expect("not poisoned");
        if let Some(rival) = kept.rival.take() {
            (kept.secret.data, kept.secret.metadata.resource_version) = (Some(rival), kept.version());
        }
        let mut secret = found.into_secret(data);
        if secret.metadata.resource_version != kept.secret.metadata.resource_version {
            return Err(Trouble::Conflict);
        }
        secret.metadata.resource_version = kept.version();
        (kept.secret, kept.writes) = (secret, kept.writes + 1);
        Ok(())
    }

    async fn write_bundle(&self, found: Found, bundle: String) -> Result<(), Trouble> {
        let mut kept = self.0.lock().expect("not poisoned");
        let mut configmap = found.into_configmap(bundle);
        if configmap.metadata.resource_version != kept.configmap.metadata.resource_version {
            return Err(Trouble::Conflict);
        }
        configmap.metadata.resource_version = kept.version();
        (kept.configmap, kept.writes) = (configmap, kept.writes + 1);
        Ok(())
    }

    fn repair(&self) -> String {
        "remove its data".to_owned()
    }
}

impl Memory {
    fn bundle(&self) -> String {
        let kept = self.0.lock().expect("not poisoned");
        Found::new(kept.secret.clone(), kept.configmap.clone()).bundle().unwrap_or_default().to_owned()
    }

    fn data(&self) -> Option<Data> {
        self.0.lock().expect("not poisoned").secret.data.clone()
    }

    fn writes(&self) -> usize {
        self.0.lock().expect("not poisoned").writes
    }
}

/// A replica and what it shows.
struct Replica {
    keeper: Keeper<Memory>,
    certificates: Arc<Certificates>,
    readiness: Readiness,
    metrics: Arc<Metrics>,
}

const SETTINGS: Settings = Settings { ca_lifetime_s: 3600, leaf_lifetime_s: 600 };
const START_S: i64 = 1_800_000_000;

impl Replica {
    fn new(store: &Memory) -> Self {
        let (certificates, readiness, metrics) =
            (Arc::<Certificates>::default(), Readiness::default(), Arc::<Metrics>::default());
        let current = Current::new(certificates.clone(), readiness.gate("certificate"), metrics.clone());
        let keeper =
            Keeper::new(store.clone(), SETTINGS, vec!["localhost".to_owned()], current, crate::testing::wall_s, || 0.5)
                .vouching_for(Some(certificates.clients().clone()));
        Self { keeper, certificates, readiness, metrics }
    }

    /// A look, and what it is that clients must trust then.
    async fn look(&mut self, now_s: i64) -> Result<String, String> {
        let looked = self.keeper.look(now_s).await;
        match &looked {
            Ok(()) => self.keeper.current.refreshed(now_s),
            Err(reason) => self.keeper.current.failed(reason, now_s),
        }
        looked.map(|()| self.keeper.leaf.as_ref().map(|leaf| leaf.signed_by.clone()).unwrap_or_default())
    }
}

#[tokio::test]
async fn replicas_agree_on_one_authority_and_write_it_once() {
    let store = Memory::default();
    let (mut one, mut two) = (Replica::new(&store), Replica::new(&store));
    let by = one.look(START_S).await.expect("a leaf");
    assert_eq!(two.look(START_S).await.expect("a leaf"), by);
    assert_eq!(store.bundle(), by, "clients are told to trust it");
    assert!(one.certificates.clients().ask(), "and may have certificates of it");
    assert_eq!(store.writes(), 2, "one Secret, one ConfigMap");
    assert!(one.readiness.is_ready());
    assert_eq!(one.metrics.leaf_expiry(), Some((START_S + 600) as f64));
    assert_eq!(one.metrics.authority_expiry(), Some((START_S + 3600) as f64));
    one.look(START_S + 60).await.expect("nothing to do");
    assert_eq!(store.writes(), 2);
}

#[tokio::test]
async fn a_replica_that_lost_the_race_takes_what_the_other_made() {
    let (store, rival) = (Memory::default(), Memory::default());
    let by = Replica::new(&rival).look(START_S).await.expect("a leaf");
    store.0.lock().expect("not poisoned").rival = rival.data();
    assert_eq!(Replica::new(&store).look(START_S).await.expect("a leaf"), by);
}

#[tokio::test]
async fn leaves_are_renewed_and_the_authority_moves_on_with_an_overlap() {
    let store = Memory::default();
    let mut replica = Replica::new(&store);
    let first = replica.look(START_S).await.expect("a leaf");
    let mut seen = vec![first.clone()];
    for minute in 1..=120 {
        let before = store.bundle();
        let by = replica.look(START_S + minute * 60).await.expect("a leaf");
        assert!(before.contains(&by), "minute {minute}: the bundle of a minute ago does not hold what signs");
        if seen.last() != Some(&by) {
            seen.push(by);
        }
        let leaf = replica.certificates.current().expect("a certificate");
        assert!(leaf.validity().not_after_s > START_S + minute * 60 + 100, "minute {minute}");
    }
    assert!((4..=5).contains(&seen.len()), "{}", seen.len());
    assert!(!store.bundle().contains(&first), "the first is forgotten");
    assert_eq!(replica.metrics.authority_rotations.load(std::sync::atomic::Ordering::Relaxed) + 1, seen.len() as u64);
    let rotations = replica.metrics.leaf_rotations.load(std::sync::atomic::Ordering::Relaxed);
    assert!((15..=20).contains(&rotations), "{rotations}");
}

#[tokio::test]
async fn broken_content_is_named_and_left_alone_until_it_is_removed() {
    let store = Memory::default();
    let foreign = Data::from([("tls.key".to_owned(), k8s_openapi::ByteString(b"secret".to_vec()))]);
    store.0.lock().expect("not poisoned").secret.data = Some(foreign.clone());
    let mut replica = Replica::new(&store);
    let said = replica.look(START_S).await.expect_err("refused");
    assert!(said.contains("it holds tls.key, which Rollcall did not write. remove its data"), "{said}");
    assert_eq!((store.writes(), store.data()), (0, Some(foreign)));
    assert!(!replica.readiness.is_ready());
    store.0.lock().expect("not poisoned").secret.data = None;
    replica.look(START_S).await.expect("a new authority");
    assert!(replica.readiness.is_ready());
}

#[tokio::test]
async fn an_api_server_that_is_away_leaves_the_leaf_until_it_expires() {
    let store = Memory::default();
    let mut replica = Replica::new(&store);
    replica.look(START_S).await.expect("a leaf");
    store.0.lock().expect("not poisoned").broken = Some("no answer within 5 s".to_owned());
    for second in [1, 400, 599] {
        replica.look(START_S + second).await.expect_err("away");
        assert!(replica.readiness.is_ready(), "after {second} s");
    }
    replica.look(START_S + 601).await.expect_err("away");
    let closed = replica.readiness.closed();
    assert!(closed[0].to_string().contains("expired on"), "{closed:?}");
    store.0.lock().expect("not poisoned").broken = None;
    replica.look(START_S + 602).await.expect("a leaf");
    assert!(replica.readiness.is_ready());
}

#[tokio::test]
async fn a_leaf_of_an_authority_that_nobody_knows_is_replaced_at_once() {
    let (store, rival) = (Memory::default(), Memory::default());
    let mut replica = Replica::new(&store);
    let first = replica.look(START_S).await.expect("a leaf");
    let other = Replica::new(&rival).look(START_S).await.expect("a leaf");
    store.0.lock().expect("not poisoned").secret.data = rival.data();
    assert_eq!(replica.look(START_S + 1).await.expect("a leaf"), other);
    assert_ne!(first, other);
    assert_eq!(store.bundle(), other);
}

#[tokio::test]
async fn an_emptied_secret_takes_no_leaf_from_those_that_clients_know() {
    let store = Memory::default();
    let (mut one, mut two) = (Replica::new(&store), Replica::new(&store));
    let first = one.look(START_S).await.expect("a leaf");
    two.look(START_S).await.expect("a leaf");
    {
        let mut kept = store.0.lock().expect("not poisoned");
        (kept.secret.data, kept.configmap.data) = (None, None);
    }
    for replica in [&mut one, &mut two] {
        assert_eq!(replica.look(START_S + 60).await.expect("a leaf"), first, "clients have no other bundle yet");
    }
    assert!(store.bundle().contains(&first), "who comes now is told to trust it");
    let renewed = one.look(START_S + 600).await.expect("a leaf");
    assert!(renewed != first && store.bundle().contains(&renewed), "the next is by the new one");
    let forgotten_s = START_S + 60 + 600 + 300;
    two.look(forgotten_s).await.expect("a leaf");
    assert_eq!(store.bundle(), renewed, "the old one is forgotten when all its leaves have expired");
}

#[tokio::test]
async fn a_leaf_that_is_not_valid_yet_is_replaced_when_the_clock_is_set_back() {
    let store = Memory::default();
    let mut replica = Replica::new(&store);
    Replica::new(&store).look(START_S).await.expect("another replica's clock is right");
    replica.look(START_S + 1000).await.expect("a leaf");
    let certificates = replica.certificates.clone();
    let validity = || certificates.current().expect("a certificate").validity();
    assert!(validity().not_before_s > START_S + 100);
    replica.look(START_S + 100).await.expect("a leaf");
    let validity = validity();
    assert!((validity.not_before_s..=validity.not_after_s).contains(&(START_S + 100)), "{validity:?}");
}
