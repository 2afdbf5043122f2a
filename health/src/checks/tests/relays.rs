//! Tests: those who are no replicas are asked, too.

use super::*;
use crate::confirmation::Vote;

const AGENT: &str = "agent/vm-9";
const NODE: &str = "dns/node-a";

/// The replica `a`, alone but for those who are no replicas, whose endpoint passed and has failed twice.
fn failing(further: &[&str]) -> Driver {
    let mut driver = Driver::new(8);
    driver.checks = Checks::of("a".into(), 8);
    driver.plan(plan("198.51.100.1", &[check("web")]));
    driver.checks.ask_others(&origin("vms"), 0, &further.iter().map(|who| Name::from(*who)).collect());
    for (outcome, then_ms) in [(ok(), 60_000), (bad(), 10), (bad(), 10)] {
        driver.start();
        driver.finish(&outcome);
        driver.sleep(then_ms);
    }
    driver.start();
    driver
}

/// Somebody answers.
fn answers(driver: &mut Driver, who: &str, vote: Vote) -> Option<Health> {
    let at = driver.relays.iter().position(|relay| *relay.who == *who).expect("he was asked");
    let relay = driver.relays.remove(at);
    driver.checks.relayed(relay.id, vote, driver.now);
    driver.start();
    driver.health()
}

/// What explanations have of who was asked.
fn told(driver: &Driver) -> Vec<(String, Health)> {
    let accounts = driver.checks.accounts(&origin("vms"));
    let said = accounts.iter().flat_map(|account| &account.said);
    let asked = |(witness, said): &(Witness, crate::ledger::Evidence)| match &witness.vantage {
        Vantage::Peer(who) => Some((who.to_string(), said.health)),
        _ => None,
    };
    said.filter_map(asked).collect()
}

#[test]
fn an_agent_that_does_not_reach_it_either_convicts() {
    let mut driver = failing(&[AGENT]);
    assert_eq!(driver.health(), Some(Health::Passing), "in doubt as long as it has not answered");
    assert_eq!(driver.relays.len(), 1);
    assert_eq!(driver.relays[0].target.address, "198.51.100.1:80".parse().expect("an address"));
    assert_eq!(answers(&mut driver, AGENT, Vote::Failed), Some(Health::Critical));
    assert_eq!(told(&driver), [(AGENT.to_owned(), Health::Critical)]);
    driver.sleep(60_000);
    driver.start();
    assert_eq!(driver.finish(&ok()), Some(Health::Passing), "who was asked is counted once");
    assert_eq!(told(&driver), [], "and it is over");
}

#[test]
fn the_majority_decides_and_who_could_not_find_out_does_not_count() {
    let mut driver = failing(&[AGENT, NODE]);
    assert_eq!(answers(&mut driver, AGENT, Vote::Reached), Some(Health::Passing));
    assert_eq!(answers(&mut driver, NODE, Vote::Abstained), Some(Health::Passing), "half of two reach it");
    assert_eq!(
        told(&driver),
        [(AGENT.to_owned(), Health::Passing), (NODE.to_owned(), Health::Unknown)],
        "and each is told by its name"
    );
    let mut driver = failing(&[AGENT, NODE]);
    answers(&mut driver, AGENT, Vote::Reached);
    assert_eq!(answers(&mut driver, NODE, Vote::Failed), Some(Health::Critical), "two of three do not");
    let mut driver = failing(&[AGENT, NODE]);
    answers(&mut driver, AGENT, Vote::Abstained);
    assert_eq!(answers(&mut driver, NODE, Vote::Abstained), Some(Health::Critical), "nobody is waited for who is away");
}

#[test]
fn who_is_silent_is_waited_for_until_the_deadline_alone() {
    let mut driver = failing(&[AGENT]);
    driver.sleep(1_400);
    driver.start();
    assert_eq!(driver.health(), Some(Health::Passing));
    driver.sleep(600);
    driver.start();
    assert_eq!(driver.health(), Some(Health::Critical));
    assert_eq!(answers(&mut driver, AGENT, Vote::Reached), Some(Health::Critical), "too late: nobody asks any more");
}

#[test]
fn nobody_is_asked_to_dial_what_may_not_be_dialled() {
    let mut driver = Driver::new(8);
    driver.checks = Checks::of("b".into(), 8);
    driver.plan(plan("198.51.100.1", &[check("web")]));
    driver.admission = Admission::Withheld;
    let ask = Ask {
        origin: origin("vms"),
        endpoint: "vm-1".into(),
        check: "web".into(),
        address: "198.51.100.1:80".parse().expect("an address"),
        asked: vec![AGENT.into()],
    };
    driver.checks.asked(&"a".into(), 7, Some(ask));
    driver.start();
    assert!(driver.relays.is_empty());
    let said = said(&mut driver);
    assert_eq!(said, [(7, Some((None, vec![(AGENT.to_owned(), Vote::Abstained)])))]);
}

#[test]
fn a_replica_asks_those_that_are_connected_to_it_for_another_one() {
    let mut driver = Driver::new(8);
    driver.checks = Checks::of("b".into(), 8);
    driver.plan(plan("198.51.100.1", &[check("web")]));
    let ask = |address: &str| Ask {
        origin: origin("vms"),
        endpoint: "vm-1".into(),
        check: "web".into(),
        address: address.parse().expect("an address"),
        asked: vec!["c".into(), AGENT.into(), NODE.into()],
    };
    driver.checks.asked(&"a".into(), 7, Some(ask("198.51.100.1:80")));
    driver.start();
    answers(&mut driver, NODE, Vote::Abstained);
    answers(&mut driver, AGENT, Vote::Reached);
    let both = vec![(AGENT.to_owned(), Vote::Reached), (NODE.to_owned(), Vote::Abstained)];
    assert_eq!(
        said(&mut driver).last(),
        Some(&(7, Some((None, both)))),
        "all that was said so far, and no vote of its own"
    );
    driver.checks.asked(&"a".into(), 7, None);
    assert_eq!(said(&mut driver), [(7, None)]);
    // Of what it does not know it can ask nobody.
    driver.checks.asked(&"a".into(), 8, Some(ask("203.0.113.9:80")));
    driver.start();
    assert!(driver.relays.is_empty(), "an address that is in no plan is dialled by nobody");
    let abstained = vec![(AGENT.to_owned(), Vote::Abstained), (NODE.to_owned(), Vote::Abstained)];
    assert_eq!(said(&mut driver).last(), Some(&(8, Some((None, abstained)))));
}

type Said = (u64, Option<(Option<Vote>, Vec<(String, Vote)>)>);

/// What it told `a` since the last call.
fn said(driver: &mut Driver) -> Vec<Said> {
    driver.checks.stand(Standing::of(["a", "b"].map(Name::from), [Name::from("a")]), driver.now);
    let told = std::iter::from_fn(|| driver.checks.take_telling()).collect::<Vec<_>>();
    let said = |telling| match telling {
        Telling::Testimony(_, number, said) => Some((number, said)),
        _ => None,
    };
    let votes = |said: crate::confirmation::Testimony| {
        (said.own, said.relayed.into_iter().map(|(who, vote)| (who.to_string(), vote)).collect())
    };
    told.into_iter().filter_map(said).map(|(number, said)| (number, said.map(votes))).collect()
}
