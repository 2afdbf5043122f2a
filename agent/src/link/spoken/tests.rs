//! What an agent says, as its board changes.

use std::sync::Arc;

use super::*;
use crate::board::Held;
use crate::config::Service;

fn held(id: &str) -> (String, Held) {
    let service = Service {
        id: id.to_owned(),
        instance: wire::Instance { service: id.to_owned(), ..wire::Instance::default() },
        checks: Vec::new(),
        beat: std::time::Duration::from_secs(2),
        drain: std::time::Duration::ZERO,
    };
    (id.to_owned(), Held { service: Arc::new(service), results: BTreeMap::new(), maintenance: None, answer: None })
}

fn told(health: Said) -> Told {
    Told { health, since_ms: 7, output: "x".repeat(2000), at_ms: 0 }
}

#[test]
fn a_stream_begins_with_everything_and_goes_on_with_changes() {
    let mut board = Board { services: [held("a"), held("b")].into(), ..Board::default() };
    let mut spoken = Spoken::new("vm-17", "id", false);
    let [Report::Hello(hello)] = &*spoken.next(&board) else { panic!("a Hello") };
    assert_eq!((&*hello.machine, hello.revision, hello.instances.len()), ("vm-17", 1, 2));
    assert_eq!(spoken.next(&board), []);
    board.services.get_mut("b").expect("b").results.insert("disk".into(), told(Said::Critical));
    let [Report::Results(results)] = &*spoken.next(&board) else { panic!("results") };
    let result = &results.results[0];
    assert_eq!((result.instance, &*result.check, result.verdict()), (1, "disk", Verdict::Critical));
    assert_eq!(result.output.len(), 1024);
    board.services.get_mut("b").expect("b").results.insert("disk".into(), Told { at_ms: 9, ..told(Said::Critical) });
    assert_eq!(spoken.next(&board), [], "nothing new was seen");
    board.services.get_mut("a").expect("a").maintenance = Some("a new disk".into());
    let [Report::Hello(hello), Report::Results(results)] = &*spoken.next(&board) else { panic!("all of it") };
    assert_eq!((hello.revision, &*hello.instances[0].maintenance, results.results.len()), (2, "a new disk", 1));
    board.leaving = true;
    assert_eq!(spoken.next(&board), [Report::Goodbye(wire::Goodbye::default())]);
    assert_eq!(spoken.next(&board), []);
}

#[test]
fn answers_about_an_earlier_hello_are_nobodys() {
    let board = Board { services: [held("a")].into(), ..Board::default() };
    let mut spoken = Spoken::new("vm-17", "id", false);
    spoken.next(&board);
    let answers = |revision, instance| {
        let answer = wire::Answer { instance, state: State::Registered.into(), words: "a-1".into() };
        Answers { revision, answers: vec![answer] }
    };
    assert_eq!(spoken.about(answers(1, 0)), [("a".to_owned(), State::Registered, "a-1".to_owned())]);
    assert_eq!(spoken.about(answers(2, 0)), []);
    assert_eq!(spoken.about(answers(1, 7)), []);
}
