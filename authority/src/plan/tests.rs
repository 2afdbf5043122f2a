//! Tests: the phases of an authority's life.

use super::*;
use crate::model::Key;

const DAY_S: i64 = 24 * 3600;
const SETTINGS: Settings = Settings { ca_lifetime_s: 365 * DAY_S, leaf_lifetime_s: 7 * DAY_S };
const OVERLAP_S: i64 = 7 * DAY_S / 10;

fn ca(name: &str, made_s: i64, settings: Settings) -> Ca {
    let key = Key(format!("key of {name}"));
    Ca { certificate: name.to_owned(), key, not_after_s: made_s + settings.ca_lifetime_s }
}

fn fresh(now_s: i64) -> Authority {
    begun(None, &[], ca("one", now_s, SETTINGS), now_s, SETTINGS)
}

fn next(authority: &Authority, bundle: &str, now_s: i64) -> Step {
    step(Some(authority), Some(bundle), now_s, SETTINGS)
}

#[test]
fn the_overlap_lets_the_bundle_spread_and_shrinks_with_short_lives() {
    let overlap = |ca_lifetime_s, leaf_lifetime_s| Settings { ca_lifetime_s, leaf_lifetime_s }.overlap_s();
    assert_eq!(overlap(365 * DAY_S, 7 * DAY_S), OVERLAP_S);
    assert_eq!(overlap(DAY_S, 600), 300, "at least five minutes");
    assert_eq!(overlap(60, 12), 6, "a tenth of a life that a test waits for");
    assert_eq!(Settings { ca_lifetime_s: 60, leaf_lifetime_s: 12 }.look_every(), Duration::from_secs(1));
    assert_eq!(SETTINGS.look_every(), Duration::from_secs(60));
}

#[test]
fn the_first_authority_signs_once_its_bundle_is_published() {
    assert_eq!(step(None, None, 0, SETTINGS), Step::Begin);
    let authority = fresh(0);
    assert_eq!(step(Some(&authority), None, 0, SETTINGS), Step::Publish("one\n".to_owned()));
    assert_eq!(next(&authority, "tampered with", 0), Step::Publish("one\n".to_owned()));
    assert_eq!(next(&authority, "one\n", 0), Step::Sign);
    assert_eq!(next(&authority, "one\n", 365 * DAY_S / 2 - 1), Step::Sign);
}

#[test]
fn another_follows_over_published_overlapping_signing_and_forgotten() {
    let turn_s = 365 * DAY_S / 2;
    let one = fresh(0);
    assert_eq!(next(&one, "one\n", turn_s), Step::Announce);
    let both = announced(&one, ca("two", turn_s, SETTINGS));
    assert_eq!(next(&both, "one\n", turn_s), Step::Publish("one\ntwo\n".to_owned()));
    // Published late: the time of publication counts, not that of its making.
    let Step::Record(noted) = next(&both, "one\ntwo\n", turn_s + 900) else { panic!("the publication is noted") };
    assert_eq!(next(&noted, "one\ntwo\n", turn_s + 900 + OVERLAP_S - 1), Step::Sign);
    let promotion_s = turn_s + 900 + OVERLAP_S;
    let Step::Promote(moved) = next(&noted, "one\ntwo\n", promotion_s) else { panic!("signing moves") };
    assert_eq!((moved.signing.certificate.as_str(), &moved.next), ("two", &None));
    assert!(moved.trusts("one") && moved.trusts("two") && !moved.trusts("three"));
    assert_eq!(next(&moved, "one\ntwo\n", promotion_s), Step::Publish("two\none\n".to_owned()));
    let gone_s = promotion_s + 7 * DAY_S + OVERLAP_S;
    assert_eq!(next(&moved, "two\none\n", gone_s - 1), Step::Sign);
    let Step::Record(alone) = next(&moved, "two\none\n", gone_s) else { panic!("the old one is forgotten") };
    assert_eq!(alone.bundle(), "two\n");
    assert!(!format!("{moved:?}").contains("key of"), "keys are not shown");
}

#[test]
fn an_authority_that_ran_out_is_replaced_at_once() {
    let end_s = 365 * DAY_S;
    let one = fresh(0);
    assert_eq!(next(&one, "one\n", end_s), Step::Begin);
    let two = begun(Some(&one), &[], ca("two", end_s + 1, SETTINGS), end_s + 1, SETTINGS);
    assert_eq!(two.bundle(), "two\n", "nothing that expired stays in the bundle");
    let both = announced(&one, ca("three", end_s - DAY_S, SETTINGS));
    assert!(matches!(next(&both, "", end_s), Step::Promote(moved) if moved.signing.certificate == "three"));
}

#[test]
fn a_longer_life_of_leaves_is_noted_before_any_is_signed() {
    let authority = fresh(0);
    let longer = Settings { leaf_lifetime_s: 30 * DAY_S, ..SETTINGS };
    let Step::Record(noted) = step(Some(&authority), Some("one\n"), 0, longer) else { panic!("it is noted") };
    assert_eq!(noted.leaf_lifetime_s, 30 * DAY_S);
    assert_eq!(step(Some(&noted), Some("one\n"), 0, longer), Step::Sign);
    assert_eq!(next(&noted, "one\n", 0), Step::Sign, "a replica with shorter leaves does not take it back");
}

#[test]
fn a_clock_that_was_ahead_does_not_hold_a_rotation_up() {
    let mut both = announced(&fresh(0), ca("two", 0, SETTINGS));
    if let Some(next) = &mut both.next {
        next.published_s = Some(400 * DAY_S);
    }
    let Step::Record(noted) = next(&both, "one\ntwo\n", 100) else { panic!("it is noted again") };
    assert_eq!(noted.next.and_then(|next| next.published_s), Some(100));
}

#[test]
fn a_next_that_would_run_out_as_soon_as_it_signs_is_replaced() {
    let (now_s, hour) = (200 * DAY_S, Settings { ca_lifetime_s: 3600, leaf_lifetime_s: 600 });
    let mut both = announced(&fresh(0), ca("short", now_s, hour));
    if let Some(next) = &mut both.next {
        next.published_s = Some(now_s);
    }
    assert_eq!(step(Some(&both), Some("one\nshort\n"), now_s, hour), Step::Sign, "good for who asked for it");
    assert_eq!(next(&both, "one\nshort\n", now_s), Step::Announce, "the flags are as they were");
    let mended = announced(&both, ca("long", now_s, SETTINGS));
    assert_eq!(mended.bundle(), "one\nlong\n");
    assert!(matches!(next(&mended, "one\nlong\n", now_s), Step::Record(_)), "its publication is noted anew");
}

#[test]
fn a_record_that_is_gone_is_made_up_for_by_what_is_remembered() {
    let one = fresh(0);
    let both = announced(&one, ca("never signed", 0, SETTINGS));
    let remembered = outgoing(&both, DAY_S, SETTINGS);
    let anew = begun(None, &remembered, ca("two", DAY_S, SETTINGS), DAY_S, SETTINGS);
    assert_eq!(anew.bundle(), "two\none\n");
    assert_eq!(anew.retired[0].until_s, DAY_S + SETTINGS.leaf_lifetime_s + OVERLAP_S);
    let later_s = anew.retired[0].until_s;
    assert_eq!(begun(None, &remembered, ca("two", later_s, SETTINGS), later_s, SETTINGS).bundle(), "two\n");
    let near_end_s = 364 * DAY_S;
    assert_eq!(outgoing(&one, near_end_s, SETTINGS)[0].until_s, 365 * DAY_S, "no longer than it is valid");
}

/// Three replicas that look at different times, over several lives of authorities: whoever has a bundle as old as the
/// overlap allows accepts every certificate in use.
#[test]
fn a_client_with_an_old_bundle_accepts_every_replica_at_all_times() {
    for settings in [
        SETTINGS,
        Settings { ca_lifetime_s: 60, leaf_lifetime_s: 12 },
        Settings { ca_lifetime_s: DAY_S, leaf_lifetime_s: 600 },
    ] {
        let tick_s = (settings.overlap_s() / 12).max(1);
        let lag = usize::try_from((settings.overlap_s() - tick_s) / tick_s).expect("small");
        let (mut secret, mut bundle, mut made) = (None, None, 0);
        let mut leaves: [Option<(String, i64)>; 3] = Default::default();
        let mut bundles: Vec<String> = Vec::new();
        for tick in 0..4 * settings.ca_lifetime_s / tick_s {
            let now_s = tick * tick_s;
            let replica = usize::try_from(tick % 3).expect("small");
            let mut make = || {
                made += 1;
                ca(&format!("ca-{made}"), now_s, settings)
            };
            let signing = loop {
                match step(secret.as_ref(), bundle.as_deref(), now_s, settings) {
                    Step::Begin => secret = Some(begun(secret.as_ref(), &[], make(), now_s, settings)),
                    Step::Announce => secret = secret.map(|before| announced(&before, make())),
                    Step::Record(authority) | Step::Promote(authority) => secret = Some(authority),
                    Step::Publish(text) => bundle = Some(text),
                    Step::Sign => break secret.as_ref().map(|authority| authority.signing.clone()).expect("it signs"),
                }
            };
            let due = |leaf: &Option<(String, i64)>| {
                leaf.as_ref().is_none_or(|(_, signed_s)| now_s - signed_s >= settings.leaf_lifetime_s * 2 / 3)
            };
            if due(&leaves[replica]) {
                assert!(now_s < signing.not_after_s, "what signs is valid");
                leaves[replica] = Some((signing.certificate, now_s));
            }
            bundles.push(bundle.clone().expect("published"));
            let old = &bundles[bundles.len().saturating_sub(1 + lag)];
            for (by, _) in leaves.iter().flatten() {
                assert!(old.lines().any(|known| known == by), "at {now_s}: {by} is not in {old:?}; {settings:?}");
            }
        }
        assert!((7..=9).contains(&made), "an authority for each half life: {made}, {settings:?}");
    }
}
