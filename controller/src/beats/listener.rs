//! The tasks that keep the time of beats, and tell the checks what they come to.

use std::time::Duration;

use rollcall_health::beat::awake;
use tokio::sync::mpsc;
use tokio::time::MissedTickBehavior;

use super::hearing::Hearing;
use crate::checks::ears::Ears;
use crate::checks::runner::Order;

/// Keeps the time, for ever; without anybody to listen to it sleeps.
pub async fn keep_time(hearing: Hearing) {
    loop {
        hearing.occupied().await;
        let mut ticks = tokio::time::interval(Duration::from_millis(awake::TICK_MS));
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            ticks.tick().await;
            if !hearing.tick() {
                break;
            }
        }
    }
}

/// Judges those whose endpoints this replica is at, as the checks say.
pub async fn heed(hearing: Hearing, ears: Ears) {
    loop {
        hearing.listen(&ears.next().await);
    }
}

/// Lets each instance have the owner that it has among the replicas: what is heard of another's is told.
pub async fn follow(hearing: Hearing) {
    let mut roster = hearing.roster();
    loop {
        hearing.own();
        roster.changed().await;
    }
}

/// Tells the checks what beats come to. Apart from the time, which must not wait for anybody.
pub async fn tell(hearing: Hearing, orders: mpsc::Sender<Order>) {
    loop {
        for change in hearing.news().await {
            if orders.send(Order::Beat(Box::new(change))).await.is_err() {
                return;
            }
        }
    }
}
