//! Requests of the state-of-the-world variant into the engine.
#![no_main]

#[path = "../src/requests.rs"]
#[allow(dead_code, reason = "each target plays one variant")]
mod requests;

libfuzzer_sys::fuzz_target!(|data: &[u8]| requests::world(data));
