//! Beats between replicas: what is heard here of instances that another one owns, and what others hear of ours.

use std::time::Duration;

use bytes::Bytes;
use prost::Message;
use rollcall_catalog::model::Name;
use rollcall_health::beat::hearsay::{BATCH_MS, Overheard};
use rollcall_health::beat::{Said, Status};
use rollcall_xds::proto::rollcall::v1 as proto;
use rollcall_xds::proto::rollcall::v1::overheard_beat::Status as Word;
use rollcall_xds::resource::ResourceType;
use tracing::warn;
use xxhash_rust::xxh3::xxh3_64;

use super::hearing::Hearing;
use super::machine;
use crate::replicas::{Exchange, Heard, News};

/// Tells the other replicas in batches what is heard here, for ever. Nothing while there is nothing.
pub async fn tell(hearing: Hearing, exchange: Exchange) {
    loop {
        hearing.hearsay().await;
        loop {
            // What comes within the pause goes with it.
            tokio::time::sleep(Duration::from_millis(BATCH_MS)).await;
            let (batch, more) = hearing.batch();
            let parts: Vec<_> = batch.iter().map(|(part, told)| (part.to_string(), body(told))).collect();
            if !parts.is_empty() {
                exchange.publish_all(ResourceType::Beats, parts.iter().map(|(part, body)| (&**part, body.clone())));
            }
            if !more {
                break;
            }
        }
    }
}

/// Takes in what the other replicas hear, for ever.
pub async fn listen(hearing: Hearing, mut heard: Heard) {
    loop {
        for (from, news) in heard.next().await {
            match news {
                News::Said(_, body) => take_in(&hearing, &from, &body),
                // A beat that was is not taken back.
                News::Unsaid(_) | News::Gone => {}
            }
        }
    }
}

fn take_in(hearing: &Hearing, from: &Name, body: &[u8]) {
    match proto::OverheardBeats::decode(body) {
        // Half of the hash tells the replicas of one controller apart.
        Ok(beats) => hearing.overheard(xxh3_64(from.as_bytes()) as u32, beats.beats.iter().map(overheard)),
        Err(error) => warn!(%from, %error, "what a replica heard cannot be read; is it of another version?"),
    }
}

fn body(told: &[Overheard]) -> Option<Bytes> {
    let beats = told.iter().map(|told| proto::OverheardBeat {
        instance: told.instance,
        number: told.number,
        ago_ms: told.ago_ms,
        status: folded(&told.said).into(),
        note: told.said.note().unwrap_or_default().to_owned(),
        machine: told.said.machine().map(|checks| machine::told(checks)),
    });
    let beats: Vec<_> = beats.collect();
    (!beats.is_empty()).then(|| proto::OverheardBeats { beats }.encode_to_vec().into())
}

/// How it finds itself, and its checks on the machine; what these say stands beside it, for whoever can read that.
fn folded(said: &Said) -> Word {
    let own = match said.status() {
        Status::Pass => Word::Pass,
        Status::Warn => Word::Warn,
        Status::Fail => Word::Fail,
        Status::Stopped => Word::Stopped,
    };
    let checks = said.machine().into_iter().flat_map(|checks| checks.iter());
    checks.map(|check| machine::word(check.health)).fold(own, |worst, word| if word > worst { word } else { worst })
}

fn overheard(beat: &proto::OverheardBeat) -> Overheard {
    let checks = beat.machine.as_ref().map(machine::read);
    let status = match beat.status() {
        // The worst of its checks, which say that themselves.
        Word::Warn | Word::Fail if checks.is_some() => Status::Pass,
        Word::Pass => Status::Pass,
        Word::Warn => Status::Warn,
        Word::Fail => Status::Fail,
        Word::Stopped => Status::Stopped,
    };
    let said = Said::new(status, &beat.note);
    let said = match checks {
        Some(checks) => said.with_machine(checks),
        None => said,
    };
    Overheard { instance: beat.instance, number: beat.number, ago_ms: beat.ago_ms, said }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use rollcall_catalog::input::{Origin, OriginKind};
    use rollcall_catalog::model::{Addresses, Health};
    use rollcall_health::beat::{Beating, OnMachine};

    use super::*;
    use crate::beats::metrics::{Metrics, Way};
    use crate::replicas::Roster;
    use crate::time::clock::Clock;
    use rollcall_health::membership::Standing;

    /// A replica by this name, of two.
    fn replica(me: &str) -> (Hearing, Exchange, Metrics) {
        let metrics = Metrics::default();
        let live = Standing::of([Name::from("a"), Name::from("b")], []);
        let roster = Roster::new(me.into(), tokio::sync::watch::channel(live).1);
        let hearing = Hearing::new(roster, Clock::default(), metrics.clone());
        let vm = |n: u8| Beating {
            name: format!("vm-{n}").into(),
            addresses: Addresses::V4([198, 51, 100, n].into()),
            vouched: false,
        };
        hearing.register(&vms(), Some(Arc::default()), &(1..=20).map(vm).collect::<Vec<_>>());
        hearing.registered(&vms());
        (hearing, Exchange::new(me.into()), metrics)
    }

    fn vms() -> Arc<Origin> {
        Arc::new(Origin::here(OriginKind::ServiceRegistration, "shop", "vms"))
    }

    #[tokio::test(start_paused = true)]
    async fn beats_that_come_to_one_replica_are_heard_by_whoever_owns_the_instance() {
        let ((a, told_by_a, _), (b, told_to_b, metrics)) = (replica("a"), replica("b"));
        tokio::spawn(listen(b.clone(), told_to_b.subscribe(ResourceType::Beats)));
        drop(b.news().await);
        for n in 1..=20 {
            a.report(&vms(), &format!("vm-{n}"), &Said::new(Status::Warn, "hot")).expect("known");
        }
        // What the stream between them does.
        for (part, told) in a.batch().0 {
            told_to_b.heard(&"a".into(), ResourceType::Beats, &part.to_string().into(), body(&told));
        }
        let news = b.news().await;
        assert!(news.iter().all(|change| change.evidence.health == Health::Warning), "{news:?}");
        assert!(news.iter().all(|change| change.evidence.reason.ends_with("hot")), "{news:?}");
        // What is checked on their machines, check by check.
        let disk = OnMachine { name: "disk".into(), health: Health::Critical, saw: "check disk: full".into() };
        let checks: Arc<[_]> = [disk.clone()].into();
        let whole = Overheard { instance: 1, number: 1, ago_ms: 0, said: Said::PASS.with_machine(checks) };
        let wire = proto::OverheardBeats::decode(body(std::slice::from_ref(&whole)).expect("one")).expect("beats");
        assert_eq!(
            (wire.beats[0].status(), overheard(&wire.beats[0])),
            (Word::Fail, whole),
            "and folded, for those of before"
        );
        let own = a.news().await.iter().filter(|change| change.evidence.health == Health::Warning).count();
        assert_eq!(news.len() + own, 20, "each instance is decided by one of them");
        assert_eq!(metrics.heard(Way::Peer), news.len() as u64);
        // And what there is for it.
        tokio::spawn(tell(a.clone(), told_by_a.clone()));
        tokio::spawn(crate::beats::listener::keep_time(a.clone()));
        a.beat(&vms(), "vm-1").and_then(|_| a.beat(&vms(), "vm-2")).expect("known");
        (3..=20).for_each(|n| drop(a.beat(&vms(), &format!("vm-{n}"))));
        let mut published = told_by_a.snapshots();
        let told = |all: &Option<Arc<rollcall_xds::cache::Snapshot>>| {
            all.as_ref().map_or(0, |all| all.len(ResourceType::Beats))
        };
        published.wait_for(|all| told(all) > 0).await.expect("it is told");
        published.wait_for(|all| told(all) == 0).await.expect("it is told no more after a while");
    }
}
