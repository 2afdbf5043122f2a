//! The corpus of the fuzz targets (`fuzz/`), as it is and damaged a bounded number of times: each run the same.

#[path = "../../fuzz/src/corpus.rs"]
mod corpus;
#[path = "../../fuzz/src/frames.rs"]
mod frames;
#[path = "../../fuzz/src/requests.rs"]
mod requests;

use corpus::Corpus;

fn of(target: &'static str) -> Corpus {
    Corpus { target, files_min: 4, variants: 150, faults_max: 6, bytes: &[] }
}

#[test]
fn the_corpus_of_the_incremental_variant_breaks_nothing() {
    of("delta_requests").play(requests::delta);
}

#[test]
fn the_corpus_of_the_state_of_the_world_breaks_nothing() {
    of("world_requests").play(requests::world);
}

#[test]
fn the_corpus_of_bodies_is_read_alike_however_it_is_cut() {
    of("framed_requests").play(frames::play);
}
