//! Services across clusters by the Multi-Cluster Services API (KEP-1645): what clusters export under one name is one service
//! here, with a ServiceImport, a virtual address and EndpointSlices of its own.
//!
//! ```text
//!  own exports, snapshots --+                       +--> catalog: endpoints of the derived Service, by cluster
//!                           +--> room --union-->----+--> writer (leader): ServiceImport, derived Service
//!  links --offers-----------+                       +--> status of ServiceExports: Conflict
//! ```
//!
//! - [`said`]: how an export wants to be called, beside its ports; [`offers`]: what each cluster exports now
//! - [`union`]: the exports of all clusters become one service; pure
//! - [`own`]: what this cluster exports, as one of them
//! - [`room`]: who keeps all of it in step; [`plans`]: what should stand in the API
//! - [`seen`]: the ServiceImports that do; [`object`]: both as objects; [`writer`]: writes the difference
//!
//! The derived Service gets its address from the API server and keeps it as long as there is an export. Its EndpointSlices are
//! written, and its names served, as those of any other Service.

pub mod object;
pub mod offers;
pub mod own;
pub mod plans;
pub mod room;
pub mod said;
pub mod seen;
pub mod union;
pub mod writer;
