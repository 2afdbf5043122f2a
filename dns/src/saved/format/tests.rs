//! Tests: the bytes of a file.

use super::*;

fn upsert(name: &str, value: &'static [u8]) -> Upsert {
    Upsert { name: name.into(), version: "v1".into(), value: Bytes::from_static(value) }
}

fn entries() -> Vec<Entry> {
    vec![
        Entry { ty: ResourceType::EndpointBucket, resource: upsert("shop/db/1/0", b"endpoints") },
        Entry { ty: ResourceType::Service, resource: upsert("shop/db", b"") },
        Entry { ty: ResourceType::Zone, resource: upsert("zone", b"cluster.local") },
        Entry { ty: ResourceType::Machine, resource: upsert("node-a", b"address") },
    ]
}

fn file() -> Vec<u8> {
    let mut writer = Writer::new(Vec::new(), true, 1_700_000_000).unwrap();
    for Entry { ty, resource } in entries() {
        writer.add(ty, &resource.name, &resource.version, &resource.value).unwrap();
    }
    writer.finish().unwrap()
}

fn read(bytes: &[u8]) -> Result<Vec<Entry>, FormatError> {
    verify(bytes, bytes.len() as u64)?;
    let mut reader = Reader::new(bytes)?;
    assert!(reader.whole && reader.unix_time == 1_700_000_000);
    std::iter::from_fn(|| reader.next_entry().transpose()).collect()
}

#[test]
fn what_was_written_is_read() {
    assert_eq!(read(&file()).unwrap(), entries());
}

#[test]
fn a_file_that_was_cut_off_anywhere_is_refused() {
    let whole = file();
    for len in 0..whole.len() {
        let error = read(&whole[..len]).expect_err("a part is not the whole");
        assert!(matches!(error, FormatError::Truncated | FormatError::Checksum), "{len}: {error}");
    }
}

#[test]
fn a_file_of_which_any_bit_was_turned_is_refused() {
    let whole = file();
    for bit in 0..8 * whole.len() {
        let mut damaged = whole.clone();
        damaged[bit / 8] ^= 1 << (bit % 8);
        assert!(read(&damaged).is_err(), "bit {bit}");
    }
    let mut longer = whole;
    longer.push(0);
    assert!(matches!(read(&longer), Err(FormatError::Checksum)));
}

#[test]
fn files_of_others_and_of_other_versions_are_named() {
    let said = |bytes: &[u8]| read(bytes).unwrap_err().to_string();
    assert_eq!(said(b"nameserver 192.0.2.53\n"), "it is no snapshot of rollcall-dns");
    assert_eq!(said(&[0; 4096]), "it is no snapshot of rollcall-dns");
    let of_format = |format: u32| {
        let mut other = file();
        other[8..12].copy_from_slice(&format.to_le_bytes());
        said(&other)
    };
    for other in [0, 3] {
        assert_eq!(
            of_format(other),
            format!("it is of format {other}, and this version of rollcall-dns reads formats 1 to 2")
        );
    }
    let too_large = verify(&file()[..], crate::saved::FILE_BYTES_MAX + 1).unwrap_err();
    assert!(too_large.to_string().contains("more than the 268435456 that are read"), "{too_large}");
}

/// It has the codes of now, but for that of machines.
#[test]
fn a_file_of_the_format_before_is_read() {
    let mut before = file();
    let body = before.len() - usize::try_from(CHECKSUM_BYTES).unwrap();
    before[8..12].copy_from_slice(&1_u32.to_le_bytes());
    let sum = xxhash_rust::xxh3::xxh3_64(&before[..body]);
    before[body..].copy_from_slice(&sum.to_le_bytes());
    assert_eq!(read(&before).unwrap(), entries());
}

/// A right checksum over what nobody writes: each length is believed only as far as there are bytes.
#[test]
fn what_contradicts_itself_is_refused_without_taking_room_for_it() {
    let signed = |body: &[u8]| {
        let mut bytes = MAGIC.to_vec();
        bytes.extend(FORMAT.to_le_bytes());
        bytes.push(1);
        bytes.extend(1_700_000_000_u64.to_le_bytes());
        bytes.extend(body);
        let sum = xxhash_rust::xxh3::xxh3_64(&bytes);
        bytes.extend(sum.to_le_bytes());
        bytes
    };
    let header = |code: u8, name: u16, value: u32| {
        [&[code][..], &name.to_le_bytes(), &0_u16.to_le_bytes(), &value.to_le_bytes()].concat()
    };
    for (body, expected) in [
        (header(9, 0, 0), "a type that there is not"),
        (header(1, 0, u32::MAX), "a value that no stream brings"),
        (header(1, u16::MAX, 4), "cut off"),
        (header(1, 0, 64 << 20), "cut off"),
        ([&header(1, 1, 0)[..], &[0xff]].concat(), "a name that is no text"),
        ([&[0][..], &7_u64.to_le_bytes()].concat(), "another number of entries"),
    ] {
        let error = read(&signed(&body)).unwrap_err().to_string();
        assert!(error.contains(expected), "{error}, not {expected}");
    }
}
