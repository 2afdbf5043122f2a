//! Questions about the catalog: the endpoints of a service, one of them to call, and why all is as it is.
//!
//! ```text
//!  snapshots --> follow --> wait: answers that somebody waits for are made anew, and who waits is woken if one differs
//!                   |
//!                   +-----> history: the last transitions of each endpoint
//!  ask --> filter --> encoded: answers by service and filter, kept as bytes
//! ```
//!
//! - [`endpoints`], [`resolve`], [`explain`], [`services`]: the questions
//! - [`filter`]: which endpoints; [`told`]: what is told of one
//! - [`vantage`]: from where endpoints are looked at
//! - [`encoded`]: answers as bytes; [`wait`]: long polls; [`follow`]: keeps both and the history in step with the catalog
//! - [`history`]: transitions, pure; [`openapi`]: the document

#[cfg(test)]
pub(crate) mod document;
mod encoded;
mod endpoints;
mod explain;
mod filter;
mod follow;
pub mod history;
mod openapi;
mod resolve;
mod services;
#[cfg(test)]
mod tests;
mod told;
mod vantage;
mod wait;

use std::sync::Arc;

use rollcall_catalog::Snapshot;
use rollcall_catalog::model::ServiceKey;
use tokio::sync::mpsc;

use super::ask::Ask;
use super::problem::{Action, Problem};
use super::routes::{Admits, Route, Routes};
use crate::checks::runner::Order;
use crate::federation::report::Reports;
use crate::time::clock::Clock;
use crate::writer::Snapshots;
use encoded::Encoder;
use history::Histories;
use vantage::Lookout;
use wait::Waiting;

/// What the questions are answered from. Clones are the same.
#[derive(Clone, Debug)]
pub struct Questions(Arc<Desk>);

#[derive(Debug)]
struct Desk {
    snapshots: Snapshots,
    encoder: Encoder,
    waiting: Waiting,
    histories: Histories,
    lookout: Lookout,
    linked: Linked,
}

/// How this cluster's links are, and the time.
#[derive(Clone, Debug, Default)]
pub struct Linked {
    /// By the cluster.
    pub reports: Reports,
    /// Time.
    pub clock: Clock,
}

const LIST: Admits = Admits::Right { verb: "list", resource: "catalogentries", of: "" };
const READ: Admits = Admits::Right { verb: "get", resource: "catalogentries", of: "service" };

/// Follows the catalog, and adds the questions to the table. `orders` is the way to the checks.
pub fn start(routes: Routes, snapshots: Snapshots, orders: mpsc::Sender<Order>, linked: Linked) -> Routes {
    let clock = linked.clock;
    let questions = Questions::new(snapshots, Lookout::new(orders), linked);
    tokio::spawn(follow::run(Arc::clone(&questions.0), clock));
    questions.routes(routes)
}

// === impl Questions ===

impl Questions {
    fn new(snapshots: Snapshots, lookout: Lookout, linked: Linked) -> Self {
        let (encoder, waiting, histories) = Default::default();
        Self(Arc::new(Desk { snapshots, encoder, waiting, histories, lookout, linked }))
    }

    fn routes(&self, routes: Routes) -> Routes {
        let desk = |answer: fn(&Arc<Desk>, Ask) -> Result<super::Answer, Problem>| {
            let desk = Arc::clone(&self.0);
            move |ask| std::future::ready(answer(&desk, ask))
        };
        let explains = || {
            let desk = Arc::clone(&self.0);
            move |ask| explain::answer(Arc::clone(&desk), ask)
        };
        let waits = Arc::clone(&self.0);
        routes
            .of_which_wait(&self.0.waiting.count)
            .with(Route::get("/openapi.json", |_| async { Ok(openapi::answer()) }).admits(Admits::Everybody))
            .with(Route::get("/v1/services", desk(services::answer)).admits(LIST))
            .with(Route::get("/v1/namespaces/{namespace}/services", desk(services::answer)).admits(LIST))
            .with(
                Route::get("/v1/namespaces/{namespace}/services/{service}/endpoints", move |ask| {
                    endpoints::answer(&waits, &ask)
                })
                .admits(READ),
            )
            .with(
                Route::get("/v1/namespaces/{namespace}/services/{service}/resolve", desk(resolve::answer)).admits(READ),
            )
            .with(Route::get("/v1/namespaces/{namespace}/services/{service}/explain", explains()).admits(READ))
            .with(
                Route::get("/v1/namespaces/{namespace}/services/{service}/explain/{endpoint}", explains()).admits(READ),
            )
    }
}

// === impl Desk ===

impl Desk {
    /// The catalog as it is.
    fn snapshot(&self) -> Result<Arc<Snapshot>, Problem> {
        let unsynced = || Problem::unavailable("this replica has not read the catalog yet; ask another one");
        self.snapshots.borrow().clone().ok_or_else(unsynced)
    }
}

/// The service that is asked for.
fn key(ask: &Ask) -> ServiceKey {
    ServiceKey::new(ask.name("namespace"), ask.name("service"))
}

fn no_service(key: &ServiceKey) -> Problem {
    let namespace = &key.namespace;
    Problem::not_found(format!("no service {key}"))
        .remedied(Action::ListServices, format!("/v1/namespaces/{namespace}/services"))
        .with("version", encoded::ABSENT)
}
