//! Packets: queries of strangers.
#![no_main]

#[path = "../src/packets.rs"]
#[allow(dead_code, reason = "each target plays one kind")]
mod packets;

libfuzzer_sys::fuzz_target!(|data: &[u8]| packets::query(data));
