//! Tests: log lines on their way to standard error.

use std::io::{PipeReader, Read, pipe};

use tracing_subscriber::layer::SubscriberExt;

use super::*;

fn piped() -> (Lines, PipeReader) {
    let (reader, writer) = pipe().unwrap();
    (Lines::to(writer, false, || {}).unwrap(), reader)
}

fn read_all(lines: Lines, mut reader: PipeReader) -> String {
    lines.close();
    let mut text = String::new();
    reader.read_to_string(&mut text).unwrap();
    text
}

#[test]
fn lines_come_in_their_order_and_flush_waits_for_them() {
    let (lines, reader) = piped();
    (0..100).for_each(|number| lines.put(format!("line {number}\n").as_bytes()));
    lines.flush(Duration::from_secs(60));
    assert!(lines.shared.queue().lines.is_empty());
    let expected: String = (0..100).map(|number| format!("line {number}\n")).collect();
    assert_eq!(read_all(lines, reader), expected);
}

#[test]
fn a_reader_that_stands_still_costs_lines_and_never_the_one_who_logs() {
    let (lines, reader) = piped();
    let before = counts::DROPPED.get();
    let line = format!("{}\n", "x".repeat(1000));
    // More than the pipe and the queue hold together. Blocking, this would never end.
    (0..2 * QUEUE_BYTES_MAX / line.len()).for_each(|_| lines.put(line.as_bytes()));
    assert!(counts::DROPPED.get() > before);
    assert!(lines.shared.queue().bytes <= QUEUE_BYTES_MAX);
    lines.flush(Duration::from_millis(1));
    let said = read_all(lines, reader);
    assert!(said.len() > QUEUE_BYTES_MAX / 2 && said.lines().all(|said| said.len() == 1000), "what was kept is whole");
}

#[test]
fn a_line_that_is_too_long_is_dropped_and_the_next_one_is_not() {
    let (lines, reader) = piped();
    lines.put(format!("{}\n", "x".repeat(LINE_BYTES_MAX)).as_bytes());
    lines.put(b"next\n");
    assert_eq!(read_all(lines, reader), "next\n");
}

#[test]
fn a_field_and_a_message_of_a_stranger_stay_within_their_line() {
    let (lines, reader) = piped();
    let subscriber = tracing_subscriber::registry()
        .with(tracing_subscriber::fmt::layer().with_ansi(false).with_writer(lines.clone()));
    tracing::subscriber::with_default(subscriber, || {
        let foreign = "no\n2026-11-28T00:00:00Z ERROR forged\u{1b}[2J";
        tracing::warn!(said = %foreign, "a client refused: {foreign}");
    });
    let text = read_all(lines, reader);
    assert_eq!(text.lines().count(), 1, "{text}");
    assert!(text.contains("no\\n2026") && !text.contains('\u{1b}'), "{text}");
}

#[test]
fn what_nobody_takes_any_more_is_dropped() {
    let (lines, reader) = piped();
    drop(reader);
    let before = counts::DROPPED.get();
    lines.put(b"to nobody\n");
    lines.flush(Duration::from_secs(60));
    assert!(counts::DROPPED.get() > before);
}
