//! The corpus of the fuzz targets (`fuzz/`), as it is and damaged a bounded number of times: each run the same.

#[path = "../../fuzz/src/clients.rs"]
mod clients;

use std::path::Path;

/// Variants of each file.
const VARIANTS: u64 = 150;

/// Numbers without pattern, the same for each seed (xorshift).
struct Numbers(u64);

impl Numbers {
    fn below(&mut self, most: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from(self.0 >> 16).expect("64 bits") % most.max(1)
    }

    /// What is done to bytes of one file, with those of another.
    fn damage(&mut self, bytes: &mut Vec<u8>, other: &[u8]) {
        for _ in 0..=self.below(6) {
            let at = self.below(bytes.len());
            match self.below(5) {
                0 if !bytes.is_empty() => bytes[at] ^= 1 << self.below(8),
                1 if !bytes.is_empty() => bytes[at] = u8::try_from(self.below(256)).expect("a byte"),
                2 => bytes.truncate(at),
                3 => {
                    let again = bytes[at..(at + self.below(60)).min(bytes.len())].to_vec();
                    bytes.splice(at..at, again);
                }
                _ => bytes.splice(at.., other[self.below(other.len())..].iter().copied()).for_each(drop),
            }
        }
    }
}

fn corpus(target: &str) -> Vec<(String, Vec<u8>)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../fuzz/corpus").join(target);
    let files = std::fs::read_dir(&folder).expect("a folder").map(|entry| entry.expect("a file").path());
    let read = |path: std::path::PathBuf| (path.display().to_string(), std::fs::read(&path).expect("readable"));
    let mut all: Vec<_> = files.map(read).collect();
    all.sort();
    assert!(all.len() > 3, "{} has {} files", folder.display(), all.len());
    all
}

fn play(target: &str, play: fn(&[u8])) {
    let all = corpus(target);
    for (at, (path, bytes)) in all.iter().enumerate() {
        println!("{path}"); // the last of them says where a failure was
        play(bytes);
        let mut numbers = Numbers(0x9e37_79b9_7f4a_7c15 ^ u64::try_from(at + 1).expect("few"));
        for variant in 0..VARIANTS {
            let (mut bytes, other) = (bytes.clone(), &all[numbers.below(all.len())].1);
            numbers.damage(&mut bytes, other);
            println!("variant {variant}: {bytes:?}");
            play(&bytes);
        }
    }
}

#[test]
fn the_corpus_of_clients_breaks_nothing() {
    play("http2_clients", clients::play);
}
