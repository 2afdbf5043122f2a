//! The live replicas, and the owner of each piece of work among them.

use std::sync::Arc;

use rollcall_catalog::model::Name;
use rollcall_health::membership::Standing;
use rollcall_health::owner;
use tokio::sync::watch;

/// The live replicas. Clones read the same.
///
/// A replica without peers owns everything, and begins so: nothing waits until others have been looked for.
#[derive(Clone, Debug)]
pub struct Roster {
    me: Name,
    standing: watch::Receiver<Standing>,
    deaf: watch::Receiver<bool>,
}

// === impl Roster ===

impl Roster {
    /// What is told of `me` and its peers.
    pub(crate) fn new(me: Name, standing: watch::Receiver<Standing>) -> Self {
        Self { me, standing, deaf: watch::channel(false).1 }
    }

    /// The same, told whether a peer lives that is not heard.
    #[must_use]
    pub(super) fn deafened(self, deaf: watch::Receiver<bool>) -> Self {
        Self { deaf, ..self }
    }

    /// Whether a peer lives that is not heard: what it knows is not known here.
    pub fn is_deaf(&self) -> bool {
        *self.deaf.borrow()
    }

    /// Of one that has no peers and never will.
    pub fn alone(me: impl Into<Name>) -> Self {
        let me = me.into();
        let standing = Standing::alone(&me);
        Self::new(me, watch::channel(standing).1)
    }

    /// The identity of this replica.
    pub fn mine(&self) -> Name {
        Name::clone(&self.me)
    }

    /// Among whom work is shared, sorted. Never empty.
    pub fn live(&self) -> Arc<[Name]> {
        Arc::clone(&self.standing.borrow().live)
    }

    /// How the replicas stand.
    pub fn standing(&self) -> Standing {
        self.standing.borrow().clone()
    }

    /// The owner of `work`, which is named `NAMESPACE/REGISTRATION/ENDPOINT` (`rollcall_health::owner::work`).
    pub fn owner(&self, work: &str) -> Name {
        let standing = self.standing.borrow();
        owner::owner(work, standing.live.iter().map(|name| &**name)).map_or_else(|| self.mine(), Name::from)
    }

    /// Whether this replica owns `work`.
    pub fn is_mine(&self, work: &str) -> bool {
        self.owner(work) == self.me
    }

    /// Whether nobody else can be at `work`, whatever the others see ([`Standing::keeps`]).
    pub fn keeps(&self, work: &str) -> bool {
        self.standing.borrow().keeps(&self.me, work)
    }

    /// Waits until the replicas stand otherwise; for ever if they never will.
    pub async fn changed(&mut self) {
        if self.standing.changed().await.is_err() {
            std::future::pending::<()>().await;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn one_alone_owns_everything_and_is_told_of_those_who_come() {
        let me = Name::from("a");
        let (told, standing) = watch::channel(Standing::alone(&me));
        let mut roster = Roster::new(me, standing);
        assert!((0..100).all(|n| roster.is_mine(&format!("shop/vms/vm-{n}"))));
        told.send_replace(Standing::of(["a".into(), "b".into()], ["b".into()]));
        roster.changed().await;
        let mine = (0..1_000).filter(|n| roster.is_mine(&format!("shop/vms/vm-{n}"))).count();
        assert!((400..600).contains(&mine), "{mine} of 1,000");
    }
}
