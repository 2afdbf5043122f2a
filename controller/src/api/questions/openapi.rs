//! The OpenAPI document (`openapi.json` beside this file), held against the answers by tests.

use bytes::Bytes;

use super::super::answer::Answer;

pub(super) const DOCUMENT: &str = include_str!("openapi.json");

pub(super) fn answer() -> Answer {
    Answer::encoded(Bytes::from_static(DOCUMENT.as_bytes()))
}
