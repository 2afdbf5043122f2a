//! What this replica tells its peers, and what it hears from them.
//!
//! Both are named resources of the types that only replicas see: each states what is now, a newer one replaces an older,
//! and who is slow misses none that still holds. So nothing here waits for anybody, and what is kept is bounded by what
//! replicas publish.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use rollcall_catalog::model::Name;
use rollcall_xds::cache::{self, Cache};
use rollcall_xds::resource::{PerType, Resource, ResourceType};
use tokio::sync::{Notify, watch};

/// Both directions. Clones are the same exchange.
#[derive(Clone, Debug)]
pub struct Exchange(Arc<Shared>);

/// What one type of resources brings from all peers.
#[derive(Debug)]
pub struct Heard {
    ty: ResourceType,
    shared: Arc<Shared>,
    notify: Arc<Notify>,
}

/// What a peer says of one name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum News {
    /// This is so now. The name is without the peer's identity.
    Said(Arc<str>, Bytes),
    /// Nothing more is said of it.
    Unsaid(Arc<str>),
    /// The peer is gone for good, and all that it said with it.
    Gone,
}

#[derive(Debug)]
struct Shared {
    me: Name,
    own: Mutex<Cache>,
    published: watch::Sender<Option<Arc<cache::Snapshot>>>,
    inboxes: Mutex<PerType<Vec<Arc<Inbox>>>>,
}

/// What one subscriber has not read yet: the newest of each name.
#[derive(Debug, Default)]
struct Inbox {
    unread: Mutex<Unread>,
    notify: Arc<Notify>,
}

#[derive(Debug, Default)]
struct Unread {
    gone: BTreeSet<Name>,
    named: BTreeMap<(Name, Arc<str>), Option<Bytes>>,
}

// === impl Exchange ===

impl Exchange {
    /// The exchange of the replica `me`, on which nothing was said yet.
    pub fn new(me: Name) -> Self {
        let mut own = Cache::new();
        let published = watch::Sender::new(Some(own.publish()));
        Self(Arc::new(Shared { me, own: Mutex::new(own), published, inboxes: Mutex::default() }))
    }

    /// The identity of this replica.
    pub fn mine(&self) -> &Name {
        &self.0.me
    }

    /// Tells every peer that `name` is this now, or no more. The resource is named `IDENTITY/NAME`.
    pub fn publish(&self, ty: ResourceType, name: &str, body: Option<Bytes>) {
        self.publish_all(ty, [(name, body)]);
    }

    /// The same of several names at once: peers see all or none of it.
    pub fn publish_all<'a>(&self, ty: ResourceType, all: impl IntoIterator<Item = (&'a str, Option<Bytes>)>) {
        let mut own = lock(&self.0.own);
        for (name, body) in all {
            let name = format!("{}/{name}", self.0.me);
            match body {
                Some(body) => _ = own.upsert(ty, Resource::from_body(ty, name, body)),
                None => _ = own.remove(ty, &name),
            }
        }
        let snapshot = own.publish();
        // Under the lock: of two that publish at once, the older must not come last.
        self.0.published.send_if_modified(|current| {
            let changed = current.as_ref().is_none_or(|current| !Arc::ptr_eq(current, &snapshot));
            *current = Some(snapshot);
            changed
        });
    }

    /// What peers say with resources of this type, from now on.
    pub fn subscribe(&self, ty: ResourceType) -> Heard {
        let inbox = Arc::<Inbox>::default();
        let notify = Arc::clone(&inbox.notify);
        lock(&self.0.inboxes)[ty].push(inbox);
        Heard { ty, shared: Arc::clone(&self.0), notify }
    }

    /// What streams of peers are served.
    pub fn snapshots(&self) -> rollcall_xds::server::Snapshots {
        self.0.published.subscribe()
    }

    /// A peer said this.
    pub fn heard(&self, from: &Name, ty: ResourceType, name: &Arc<str>, body: Option<Bytes>) {
        for inbox in &lock(&self.0.inboxes)[ty] {
            lock(&inbox.unread).named.insert((Name::clone(from), Arc::clone(name)), body.clone());
            inbox.notify.notify_one();
        }
    }

    /// A peer is gone for good.
    pub fn gone(&self, from: &Name) {
        for (_, inboxes) in lock(&self.0.inboxes).iter() {
            for inbox in inboxes {
                let mut unread = lock(&inbox.unread);
                unread.named.retain(|(of, _), _| of != from);
                unread.gone.insert(Name::clone(from));
                inbox.notify.notify_one();
            }
        }
    }
}

// === impl Heard ===

impl Heard {
    /// Waits for news; all that there is by then, each name once, with who says it.
    pub async fn next(&mut self) -> Vec<(Name, News)> {
        loop {
            let notified = Arc::clone(&self.notify);
            let notified = notified.notified();
            let news = self.take();
            if !news.is_empty() {
                return news;
            }
            notified.await;
        }
    }

    fn take(&self) -> Vec<(Name, News)> {
        let inboxes = lock(&self.shared.inboxes);
        let Some(inbox) = inboxes[self.ty].iter().find(|inbox| Arc::ptr_eq(&inbox.notify, &self.notify)) else {
            return Vec::new();
        };
        let Unread { gone, named } = std::mem::take(&mut *lock(&inbox.unread));
        let named = named.into_iter().map(|((from, name), body)| match body {
            Some(body) => (from, News::Said(name, body)),
            None => (from, News::Unsaid(name)),
        });
        gone.into_iter().map(|from| (from, News::Gone)).chain(named).collect()
    }
}

impl Drop for Heard {
    fn drop(&mut self) {
        lock(&self.shared.inboxes)[self.ty].retain(|inbox| !Arc::ptr_eq(&inbox.notify, &self.notify));
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn the_newest_of_each_name_is_read_once_and_who_is_gone_takes_his_words_along() {
        let exchange = Exchange::new("a".into());
        let mut heard = exchange.subscribe(ResourceType::Beats);
        let (b, c) = (Name::from("b"), Name::from("c"));
        let say = |from: &Name, name: &str, body: &'static [u8]| {
            exchange.heard(from, ResourceType::Beats, &name.into(), Some(Bytes::from_static(body)));
        };
        say(&b, "1", b"old");
        say(&b, "1", b"new");
        say(&c, "1", b"c's");
        exchange.heard(&b, ResourceType::Beats, &"2".into(), None);
        exchange.heard(&b, ResourceType::Doubt, &"1".into(), Some(Bytes::new()));
        let said = |name: &str, body: &'static [u8]| News::Said(name.into(), Bytes::from_static(body));
        assert_eq!(
            heard.next().await,
            [(b.clone(), said("1", b"new")), (b.clone(), News::Unsaid("2".into())), (c.clone(), said("1", b"c's"))]
        );
        say(&b, "1", b"newer");
        exchange.gone(&b);
        say(&b, "3", b"again");
        assert_eq!(heard.next().await, [(b.clone(), News::Gone), (b, said("3", b"again"))]);
    }

    #[test]
    fn what_is_published_is_named_by_its_replica_and_seen_whole() {
        let exchange = Exchange::new("a".into());
        let snapshots = exchange.snapshots();
        exchange.publish_all(ResourceType::Doubt, [("1", Some(Bytes::from_static(b"x"))), ("2", Some(Bytes::new()))]);
        exchange.publish(ResourceType::Doubt, "2", None);
        let snapshot = snapshots.borrow().clone().expect("always there");
        assert_eq!((snapshot.len(ResourceType::Doubt), snapshot.revision()), (1, 2));
        assert!(snapshot.get(ResourceType::Doubt, "a/1").is_some());
    }
}
