//! Tests: what was found by one's own word, with nobody there.

use super::*;
use crate::confirmation::{Testimony, Vote};

fn among(heard: &[&str]) -> Standing {
    Standing::of(["a", "b"].map(Name::from), heard.iter().map(|name| Name::from(*name)).collect::<Vec<_>>())
}

/// `a`, which has found vm-1 passing, said so to `b`, lost it, and found it dead then.
fn found_alone(others: u8) -> Driver {
    let mut driver = Driver::new(8);
    driver.checks = Checks::of("a".into(), 8);
    driver.checks.stand(Standing::of([Name::from("a")], [Name::from("b")]), driver.now);
    driver.plan(plan("198.51.100.1", &[check("web")]));
    driver.checks.ask_others(&origin("vms"), others, &[].into());
    driver.start();
    driver.finish(&ok());
    assert_eq!(driver.checks.said(&origin("vms")).len(), 1);
    driver.checks.stand(among(&[]), driver.now);
    driver.sleep(60_000);
    fail(&mut driver, 60);
    assert_eq!(driver.health(), Some(Health::Critical), "its readers are where it is");
    driver
}

fn fail(driver: &mut Driver, steps: usize) {
    for _ in 0..steps {
        if !driver.start().is_empty() {
            driver.finish(&bad());
        }
        driver.sleep(1_000);
    }
}

/// The number of the question that `b` is asked.
fn asked(driver: &mut Driver) -> Option<u64> {
    let told = std::iter::from_fn(|| driver.checks.take_telling()).collect::<Vec<_>>();
    told.into_iter().find_map(|telling| match telling {
        Telling::Doubt(number, Some(_)) => Some(number),
        _ => None,
    })
}

#[test]
fn it_is_said_to_nobody_before_who_is_back_sees_it_too() {
    for (vote, health, said) in [(Vote::Failed, Health::Critical, 1), (Vote::Reached, Health::Passing, 1)] {
        let mut driver = found_alone(3);
        driver.checks.stand(among(&["b"]), driver.now);
        assert_eq!(driver.checks.said(&origin("vms")), [], "b may know better");
        asked(&mut driver);
        while driver.start().is_empty() {
            driver.sleep(1_000);
        }
        driver.finish(&bad());
        let number = asked(&mut driver).expect("b is there");
        assert_eq!((driver.health(), driver.checks.said(&origin("vms")).len()), (Some(Health::Critical), 0));
        let testimony = Testimony { own: Some(vote), ..Testimony::default() };
        driver.checks.testified(&"b".into(), number, &testimony, driver.now);
        assert_eq!((driver.health(), driver.checks.said(&origin("vms")).len()), (Some(health), said), "{vote:?}");
    }
}

#[test]
fn where_the_policy_asks_nobody_ones_own_word_is_said() {
    let mut driver = found_alone(0);
    driver.checks.stand(among(&["b"]), driver.now);
    assert_eq!(driver.checks.said(&origin("vms")).len(), 1);
}

#[test]
fn what_passes_again_is_said_at_once() {
    let mut driver = found_alone(3);
    driver.checks.stand(among(&["b"]), driver.now);
    while driver.start().is_empty() {
        driver.sleep(1_000);
    }
    driver.finish(&ok());
    assert_eq!((driver.health(), driver.checks.said(&origin("vms")).len()), (Some(Health::Passing), 1));
}
