//! The corpus of the fuzz targets (`fuzz/`), as it is and damaged a bounded number of times: each run the same.

#[path = "../../fuzz/src/packets.rs"]
mod packets;

use std::path::Path;

/// Variants of each file.
const VARIANTS: u64 = 400;

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
        for _ in 0..=self.below(4) {
            let at = self.below(bytes.len());
            match self.below(5) {
                0 if !bytes.is_empty() => bytes[at] ^= 1 << self.below(8),
                1 if !bytes.is_empty() => bytes[at] = [0, 1, 0x3f, 0x40, 0xc0, 0xff][self.below(6)],
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

fn play(target: &str, play: fn(&[u8])) {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../fuzz/corpus").join(target);
    let files = std::fs::read_dir(&folder).expect("a folder").map(|entry| entry.expect("a file").path());
    let mut all: Vec<_> = files.map(|path| (path.clone(), std::fs::read(path).expect("readable"))).collect();
    all.sort();
    assert!(all.len() > 8, "{} has {} files", folder.display(), all.len());
    for (at, (path, bytes)) in all.iter().enumerate() {
        println!("{}", path.display()); // the last of them says where a failure was
        play(bytes);
        let mut numbers = Numbers(0x9e37_79b9_7f4a_7c15 ^ u64::try_from(at + 1).expect("few"));
        for variant in 0..VARIANTS {
            let (mut bytes, other) = (bytes.clone(), &all[numbers.below(all.len())].1);
            numbers.damage(&mut bytes, other);
            println!("variant {variant}: {bytes:02x?}");
            play(&bytes);
        }
    }
}

#[test]
fn packets_of_strangers_break_nothing() {
    play("dns_queries", packets::query);
}

#[test]
fn answers_of_hostile_servers_break_nothing() {
    play("dns_answers", packets::upstream);
}
