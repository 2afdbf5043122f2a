//! What clients of HTTP/2 may say: see `../src/clients.rs`.
#![no_main]

#[path = "../src/clients.rs"]
mod clients;

libfuzzer_sys::fuzz_target!(|data: &[u8]| clients::play(data));
