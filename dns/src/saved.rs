//! The catalog on disk, so that a server that starts while no controller is there has what the last one knew.
//!
//! ```text
//!  stream --> subscription --Update--> Saver --at a bounded rate--> file     (one thread)
//!  file --checked--> Saved --Upsert--> subscription --> zone                 (once, at the start)
//! ```
//!
//! - [`format`]: the bytes, and why some are refused; pure
//! - [`load`]: a file at the start
//! - [`keep`]: what changed since goes into the next file, which takes the place of the last one whole
//! - [`metrics`]: what is counted
//!
//! A file is a series of resources as they came, with their versions: when a controller is back, it is told these and
//! sends the difference. Nothing of the catalog is held in memory for it but what changed since the last write.

pub mod format;
pub mod keep;
pub mod load;
pub mod metrics;

use rollcall_xds::resource::ResourceType;

pub use keep::Saver;
pub use load::Saved;

/// Types that are kept, in the order of their codes; a further one comes last. That of the zone says that the rest is whole.
pub const TYPES: [ResourceType; 4] =
    [ResourceType::EndpointBucket, ResourceType::Service, ResourceType::Zone, ResourceType::Machine];

/// Largest file that is read or written, in bytes: some 2,000,000 endpoints.
pub const FILE_BYTES_MAX: u64 = 256 << 20;
