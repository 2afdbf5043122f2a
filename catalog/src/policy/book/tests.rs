//! Tests: which policy is in force.

use std::time::Duration;

use super::*;
use crate::policy::{Confirmation, Damping, RemovalGuard, Section, Staleness, Warned, WhenStale};

fn key(name: &str) -> PolicyKey {
    PolicyKey::new("shop", name)
}

fn stale(after_s: u64) -> Staleness {
    Staleness { after: Duration::from_secs(after_s), then: WhenStale::Serve }
}

fn of(service: Option<&str>, created: i64) -> Statement {
    Statement { service: service.map(Name::from), created, ..Statement::default() }
}

fn says(book: &mut Book, name: &str, statement: Statement) -> Vec<Affected> {
    book.set(&key(name), Some(Arc::new(statement)))
}

/// What is in force for a service, and where each section is from.
fn in_force(book: &mut Book, service: &str) -> (Policy, Vec<Option<String>>) {
    let policy = book.of(&ServiceKey::new("shop", service));
    let from = Section::ALL.map(|section| policy.source(section).map(|name| name.to_string()));
    (Policy::clone(&policy), from.into())
}

#[test]
fn section_by_section_the_nearest_is_in_force() {
    let mut book = Book::default();
    book.set_default(Arc::new(Policy { damping: Some(Damping::default()), ..Policy::default() }));
    let guard = RemovalGuard::default();
    let all = Statement { removal: Some(Some(guard)), staleness: Some(Some(stale(60))), ..of(None, 1) };
    says(&mut book, "all", all);
    let warning = Some(Warned { percent: 10 });
    let own = Statement { staleness: Some(Some(stale(10))), damping: Some(None), warning, ..of(Some("web"), 2) };
    says(&mut book, "web", own);

    let (web, from) = in_force(&mut book, "web");
    assert_eq!((web.removal, web.staleness, web.damping), (Some(guard), Some(stale(10)), None));
    assert_eq!((web.warning.percent, book.of(&ServiceKey::new("bank", "web")).warning.percent), (10, 100));
    let name = |name: &str| Some(name.to_owned());
    assert_eq!(from, [name("web"), name("all"), name("web"), None, name("web"), None]);

    let (other, from) = in_force(&mut book, "other");
    assert_eq!(
        (other.removal, other.staleness, other.damping),
        (Some(guard), Some(stale(60)), Some(Damping::default()))
    );
    assert_eq!(from, [name("all"), name("all"), None, None, None, None]);

    let elsewhere = book.of(&ServiceKey::new("bank", "web"));
    assert_eq!((elsewhere.removal, elsewhere.staleness, elsewhere.damping.is_some()), (None, None, true));
}

#[test]
fn of_two_with_one_target_the_older_is_in_force_and_the_other_is_told() {
    let mut book = Book::default();
    says(&mut book, "second", Statement { staleness: Some(Some(stale(2))), ..of(None, 20) });
    says(&mut book, "first", Statement { staleness: Some(Some(stale(1))), ..of(None, 10) });
    says(&mut book, "twin", Statement { staleness: Some(Some(stale(3))), ..of(None, 20) });
    assert_eq!(in_force(&mut book, "web").0.staleness, Some(stale(1)));
    let losers: Vec<_> = book.each().filter_map(|(key, _, older)| Some((&*key.name, &**older?))).collect();
    assert_eq!(losers, [("second", "first"), ("twin", "first")]);
    book.set(&key("first"), None);
    assert_eq!(in_force(&mut book, "web").0.staleness, Some(stale(2)), "of one age by name");
}

#[test]
fn what_is_affected_is_what_a_policy_was_for_and_what_it_is_for() {
    let mut book = Book::default();
    let web = Affected::Service(ServiceKey::new("shop", "web"));
    let said = Statement { confirmation: Some(Confirmation::by_replicas(0)), ..of(Some("web"), 1) };
    assert_eq!(says(&mut book, "a", said.clone()), std::slice::from_ref(&web));
    assert_eq!(says(&mut book, "a", said.clone()), [], "nothing new");
    let moved = Statement { service: None, ..said };
    assert_eq!(says(&mut book, "a", moved), [web, Affected::Namespace("shop".into())]);
    assert_eq!(in_force(&mut book, "web").0.confirmation.replicas, 0);
    assert_eq!(book.set(&key("a"), None), [Affected::Namespace("shop".into())]);
    assert_eq!(in_force(&mut book, "web").0, Policy::default());
    assert!(book.targets.is_empty());
}
