//! HPACK (RFC 7541): how fields of headers are written.
//!
//! What is received is read in full, with the table that its encoder keeps here, since the protocol leaves no choice. What is
//! sent has no table: the fields of an answer are few and go once for each stream, and a table would be memory for life.
//!
//! - [`known`]: the fields that everybody knows, by their index
//! - [`table`]: those that the other side has added
//! - [`numbers`] and [`huffman`]: how a number and a string are written
//! - [`decoder`], [`encoder`]: blocks of fields

mod decoder;
mod encoder;
mod huffman;
mod known;
mod numbers;
mod table;

pub(crate) use decoder::{Broken, Decoder};
pub(crate) use encoder::Encoder;
