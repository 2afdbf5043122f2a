//! Plays the corpus of a target (`fuzz/corpus`) in a test: each file as it is, and damaged a bounded number of times. Each run
//! is the same.

use std::{fs, path::Path};

/// How the corpus of a target is played.
pub(crate) struct Corpus {
    pub(crate) target: &'static str,
    /// With fewer files something is amiss.
    pub(crate) files_min: usize,
    /// Damaged variants of each file.
    pub(crate) variants: u64,
    /// Damages of a variant, at most.
    pub(crate) faults_max: usize,
    /// What a byte is overwritten with: bytes that hurt, or any, if there are none.
    pub(crate) bytes: &'static [u8],
}

/// Numbers without pattern, the same for each seed (xorshift).
struct Numbers(u64);

// === impl Corpus ===

impl Corpus {
    pub(crate) fn play(&self, play: fn(&[u8])) {
        let all = self.files();
        for (at, (path, bytes)) in all.iter().enumerate() {
            println!("{path}"); // the last of them says where a failure was
            play(bytes);
            let mut numbers = Numbers(0x9e37_79b9_7f4a_7c15 ^ u64::try_from(at + 1).expect("few"));
            for variant in 0..self.variants {
                let (mut bytes, other) = (bytes.clone(), &all[numbers.below(all.len())].1);
                self.damage(&mut numbers, &mut bytes, other);
                println!("variant {variant}: {bytes:02x?}");
                play(&bytes);
            }
        }
    }

    fn files(&self) -> Vec<(String, Vec<u8>)> {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../fuzz/corpus").join(self.target);
        let files = fs::read_dir(&folder).expect("a folder").map(|entry| entry.expect("a file").path());
        let mut all: Vec<_> =
            files.map(|path| (path.display().to_string(), fs::read(&path).expect("readable"))).collect();
        all.sort();
        assert!(all.len() >= self.files_min, "{} has {} files", folder.display(), all.len());
        all
    }

    fn byte(&self, numbers: &mut Numbers) -> u8 {
        match self.bytes {
            [] => u8::try_from(numbers.below(256)).expect("a byte"),
            bytes => bytes[numbers.below(bytes.len())],
        }
    }

    /// What is done to bytes of one file, with those of another.
    fn damage(&self, numbers: &mut Numbers, bytes: &mut Vec<u8>, other: &[u8]) {
        for _ in 0..=numbers.below(self.faults_max) {
            let at = numbers.below(bytes.len());
            match numbers.below(5) {
                0 if !bytes.is_empty() => bytes[at] ^= 1 << numbers.below(8),
                1 if !bytes.is_empty() => bytes[at] = self.byte(numbers),
                2 => bytes.truncate(at),
                3 => {
                    let again = bytes[at..(at + numbers.below(60)).min(bytes.len())].to_vec();
                    bytes.splice(at..at, again);
                }
                _ => bytes.splice(at.., other[numbers.below(other.len())..].iter().copied()).for_each(drop),
            }
        }
    }
}

// === impl Numbers ===

impl Numbers {
    fn below(&mut self, most: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from(self.0 >> 16).expect("64 bits") % most.max(1)
    }
}
