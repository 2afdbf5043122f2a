//! The corpus of the fuzz targets (`fuzz/`), as it is and damaged a bounded number of times: each run the same.

#[path = "../../fuzz/src/corpus.rs"]
mod corpus;
#[path = "../../fuzz/src/packets.rs"]
mod packets;

use corpus::Corpus;

fn of(target: &'static str) -> Corpus {
    // Bytes that begin labels and pointers.
    Corpus { target, files_min: 9, variants: 400, faults_max: 4, bytes: &[0, 1, 0x3f, 0x40, 0xc0, 0xff] }
}

#[test]
fn packets_of_strangers_break_nothing() {
    of("dns_queries").play(packets::query);
}

#[test]
fn answers_of_hostile_servers_break_nothing() {
    of("dns_answers").play(packets::upstream);
}
