//! The Helm chart: what it renders, what it refuses, and whether a real API server takes all of it. That it
//! runs is for the tests with a real node.
//!
//! ```text
//! rendered    what `helm template` makes of values, to be asked for objects
//! refused     wrong values, and what the user is told
//! <concern>   what the objects say, by concern
//! lifecycle   installed, upgraded, rolled back and uninstalled, without pods that run
//! manifests   what is made of the chart for those who install without Helm
//! admission   every object, shown to an API server that enforces the pod security level "restricted"
//! ```

mod admission;
mod certificates;
mod dns;
mod lifecycle;
mod manifests;
mod monitoring;
mod network;
mod pods;
mod refused;
mod rendered;
mod rights;
mod sameness;
mod services;
