//! The corpus of the fuzz targets (`fuzz/`), as it is and damaged a bounded number of times: each run the same.

#[path = "../../fuzz/src/clients.rs"]
mod clients;
#[path = "../../fuzz/src/corpus.rs"]
mod corpus;

use corpus::Corpus;

#[test]
fn the_corpus_of_clients_breaks_nothing() {
    Corpus { target: "http2_clients", files_min: 4, variants: 150, faults_max: 6, bytes: &[] }.play(clients::play);
}
