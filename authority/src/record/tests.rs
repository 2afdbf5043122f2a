//! Tests: the authority in the Secret.

use super::*;
use crate::issue;

const NOW_S: i64 = 1_800_000_000;

fn authority() -> Authority {
    let make = || issue::authority(NOW_S, 3600).expect("an authority");
    Authority {
        signing: make(),
        next: Some(Next { ca: make(), published_s: Some(NOW_S) }),
        retired: vec![Retired { certificate: make().certificate, until_s: NOW_S + 60 }],
        leaf_lifetime_s: 600,
    }
}

fn with(json: serde_json::Value) -> Data {
    Data::from([(SECRET_KEY.to_owned(), ByteString(json.to_string().into_bytes()))])
}

fn json(authority: &Authority) -> serde_json::Value {
    serde_json::from_slice(&write(authority)[SECRET_KEY].0).expect("JSON")
}

#[test]
fn what_is_written_reads_back() {
    let authority = authority();
    assert_eq!(read(&write(&authority)), Ok(Some(authority)));
    assert_eq!(read(&Data::new()), Ok(None));
}

#[test]
fn content_that_cannot_be_used_is_named() {
    let authority = authority();
    let said = |data: &Data| read(data).expect_err("refused").to_string();
    let foreign =
        Data::from([("tls.crt".to_owned(), ByteString(Vec::new())), ("tls.key".to_owned(), ByteString(Vec::new()))]);
    assert_eq!(said(&foreign), "it holds tls.crt, tls.key, which Rollcall did not write");
    assert!(said(&with(serde_json::json!("garbage"))).contains("authority.json is damaged"));
    let mut newer = json(&authority);
    newer["version"] = 2.into();
    assert!(said(&with(newer)).contains("a newer Rollcall wrote it"));
    let mut mixed = json(&authority);
    mixed["signing"]["key"] = mixed["next"]["key"].clone();
    assert!(said(&with(mixed)).contains("a key does not belong to its certificate"));
    let mut leaf = json(&authority);
    leaf["signing"]["certificate"] = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----".into();
    assert!(said(&with(leaf)).contains("damaged"));
}

#[test]
fn times_that_cannot_be_are_damage() {
    let good = json(&authority());
    let century = 100 * 365 * 24 * 3600_i64;
    let cases = [
        ("/leafLifetimeSeconds", vec![i64::MIN, -1, 0, century, i64::MAX]),
        ("/nextPublishedSeconds", vec![i64::MIN, -1, 253_402_300_800, i64::MAX]),
        ("/retired/0/untilSeconds", vec![i64::MIN, -1, 253_402_300_800, i64::MAX]),
    ];
    for (place, times) in cases {
        for time in times {
            let mut bad = good.clone();
            *bad.pointer_mut(place).expect("it is written") = time.into();
            let said = read(&with(bad)).expect_err(place).to_string();
            assert!(said.contains("damaged") && said.contains(&time.to_string()), "{place} = {time}: {said}");
        }
    }
}

#[test]
fn a_version_that_never_was_is_damage_and_not_newer() {
    let mut old = json(&authority());
    old["version"] = 0.into();
    assert!(matches!(read(&with(old)), Err(RecordError::Damaged { .. })));
}

#[test]
fn errors_show_no_key() {
    let good = json(&authority());
    let key = good["signing"]["key"].as_str().expect("a key").to_owned();
    let secret = key.lines().nth(1).expect("base64");
    let mut misplaced = good.clone();
    misplaced["signing"] = key.clone().into();
    let mut cut = good.clone();
    cut["signing"]["key"] = key.replace(secret, &secret[1..]).into();
    let mut swapped = good.clone();
    swapped["signing"]["certificate"] = key.clone().into();
    for damaged in [misplaced, cut, swapped] {
        let said = read(&with(damaged)).expect_err("refused").to_string();
        assert!(!said.contains(&secret[1..]), "{said}");
    }
}
