//! An agent, or the DNS server of a node, that lets itself be asked what replicas doubt.

use std::sync::Arc;

use rollcall_catalog::model::Name;
use rollcall_vantage::wire;
use rollcall_xds::proto::rollcall::v1::agent_reply::Reply;
use rollcall_xds::proto::rollcall::v1::{Found, Posted, hello};

use super::Attendance;
use crate::agents::admission::Denial;
use crate::agents::metrics::Refusal;
use crate::checks::lookouts::Desk;
use rollcall_vantage::lookout::Lookout;

/// As what it wants to be asked, and whether it is.
#[derive(Debug, Default)]
pub(super) struct Post {
    wanted: Option<Lookout>,
    /// By this name.
    pub(super) held: Option<Name>,
    /// Whether it may be could not be found out.
    pub(super) is_deferred: bool,
}

// === impl Attendance ===

impl Attendance {
    /// What a Hello says of it.
    pub(super) async fn on_lookout(&mut self, said: hello::Lookout) {
        let wanted = match said {
            hello::Lookout::Nobody => None,
            hello::Lookout::Agent => Some(Lookout::Agent),
            hello::Lookout::DnsServer => Some(Lookout::DnsServer),
        };
        if self.post.wanted != wanted || self.post.held.is_none() {
            self.leave_post();
            self.post.wanted = wanted;
            self.look_at_post().await;
        }
    }

    /// Whether RBAC lets it be asked, now and again.
    pub(super) async fn look_at_post(&mut self) {
        let Some(lookout) = self.post.wanted else { return };
        let may = self.caller.may_be_asked(lookout, &self.machine).await;
        self.post.is_deferred = matches!(may, Err(Denial::Unknown(_)));
        match may {
            Ok(()) if self.post.held.is_none() => {
                let name = lookout.named(&self.machine);
                self.shared.lookouts.enter(&name, self.session, Arc::clone(&self.outbox) as Arc<dyn Desk>);
                self.post.held = Some(name);
                self.replies.push_back(Reply::Posted(Posted { is_asked: true, words: String::new() }));
            }
            // A yes of before stands as long as nobody says no.
            Ok(()) | Err(Denial::Unknown(_)) => {}
            Err(Denial::Refused(words)) => {
                self.shared.metrics.refused(Refusal::Forbidden);
                self.leave_post();
                self.replies.push_back(Reply::Posted(Posted { is_asked: false, words }));
            }
        }
    }

    /// What it found out.
    pub(super) fn on_found(&self, found: &Found) {
        if let Some(name) = &self.post.held {
            self.shared.lookouts.found(name, found.number, wire::vote(found));
        }
    }

    pub(super) fn leave_post(&mut self) {
        if let Some(name) = self.post.held.take() {
            self.shared.lookouts.leave(&name, self.session);
        }
    }
}
