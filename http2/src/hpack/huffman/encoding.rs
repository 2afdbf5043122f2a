//! Writes strings as other encoders do, for tests: ours sends them as they are.

use std::sync::LazyLock;

use super::LENGTHS;

/// The code of each octet, and of the end, and its length: by counting up through all before it.
pub(super) static CODES: LazyLock<[(u32, u8); 257]> = LazyLock::new(|| {
    let mut all: Vec<_> = LENGTHS.iter().enumerate().map(|(octet, len)| (*len, octet)).collect();
    all.sort_unstable();
    let (mut code, mut before) = (0, 0);
    let mut codes = [(0, 0); 257];
    for (len, octet) in all {
        code <<= len - before;
        codes[octet] = (code, len);
        (code, before) = (code + 1, len);
    }
    codes
});

pub(in super::super) fn encode(plain: &[u8]) -> Vec<u8> {
    let (mut coded, mut bits, mut have) = (Vec::new(), 0_u64, 0);
    for octet in plain {
        let (code, len) = CODES[usize::from(*octet)];
        (bits, have) = (bits << len | u64::from(code), have + len);
        while have >= 8 {
            have -= 8;
            coded.push((bits >> have) as u8);
        }
    }
    if have > 0 {
        coded.push((bits << (8 - have)) as u8 | 0xff >> have);
    }
    coded
}
