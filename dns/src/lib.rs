//! The DNS server: a client of the catalog's stream, an index of names, UDP and TCP fronts.
//!
//! ```text
//!  catalog --delta xDS--> subscription --> zone (index) <-- answer <-- front (UDP, TCP) <-- resolvers
//! ```
//!
//! - [`subscription`]: keeps the zone in step with the stream; the protobufs end there
//! - [`zone`]: the index of names, pure
//! - [`answer`]: a query's bytes in, the response's bytes out, pure
//! - [`forward`]: questions for other servers, when there are any to ask
//! - [`front`]: sockets and connections, with their limits
//! - [`diagnose`]: `rollcall-dns diagnose`, which asks a server as clients do
//! - [`holder`]: a process that holds the sockets, so that the death of the server loses no query
//! - [`hosts`]: names of a hosts file
//! - [`saved`]: the catalog on disk, for a start without a controller
//! - [`metrics`], [`args`], [`start`], [`clock`]: what operators see and set, how the parts are joined, the time
//! - [`advertise`]: under which addresses clients reach this server

pub mod advertise;
pub mod answer;
pub mod args;
pub mod clock;
pub mod diagnose;
pub mod forward;
pub mod front;
pub mod holder;
pub mod hosts;
pub mod metrics;
pub mod observe;
pub mod saved;
pub mod start;
pub mod subscription;
pub mod zone;
