//! Persistent collections: what one writer changes and many readers hold on to. A copy shares everything with its
//! original; a change after that copies the path to what it touches.
//!
//! - [`map`]: a map whose clone is one pointer
//! - [`ring`]: the last changes, by which a reader of an old copy learns where to look

pub mod map;
pub mod ring;

pub use map::Map;
pub use ring::Ring;
