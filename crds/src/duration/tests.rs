//! Tests: durations as Kubernetes users write them.

use super::*;

fn parse(text: &str) -> Result<Duration, ParseDurationError> {
    text.parse::<ApiDuration>().map(ApiDuration::get)
}

#[test]
fn every_unit_and_their_sums_are_read() {
    let table = [
        ("0s", 0),
        ("100ms", 100),
        ("10s", 10_000),
        ("1m30s", 90_000),
        ("1h", 3_600_000),
        ("1h2m3s4ms", 3_723_004),
        ("500ms1s", 1_500), // any order, as Go
        ("1s1s", 2_000),
        ("1h1m1s1ms1ms", 3_661_002), // more parts than are written
        ("0000001s", 1_000),
        ("99999h", ApiDuration::MAX.get().as_millis() as u64),
    ];
    for (text, milliseconds) in table {
        assert_eq!(parse(text), Ok(Duration::from_millis(milliseconds)), "{text}");
    }
}

#[test]
fn a_bad_text_is_refused_with_the_remedy() {
    let table = [
        ("", "empty duration: give a number and a unit, such as 10s"),
        ("s", "duration \"s\": expected a whole number at \"s\"; write 1500ms for 1.5s"),
        ("-1s", "duration \"-1s\": expected a whole number at \"-1s\"; write 1500ms for 1.5s"),
        ("10", "duration \"10\": unknown unit \"\"; use h, m, s or ms"),
        ("1.5s", "duration \"1.5s\": unknown unit \"\"; use h, m, s or ms"),
        ("1d", "duration \"1d\": unknown unit \"d\"; use h, m, s or ms"),
        ("1s ", "duration \"1s \": expected a whole number at \" \"; write 1500ms for 1.5s"),
        ("100000s", "duration \"100000s\": a number has more than 5 digits; use a larger unit"),
        (
            "99999999999999999999999s",
            "duration \"99999999999999999999999s\": a number has more than 5 digits; use a larger unit",
        ),
    ];
    for (text, message) in table {
        assert_eq!(parse(text).expect_err(text).to_string(), message);
    }
}

#[test]
fn what_is_written_is_read_back() {
    let table = [(0, "0s"), (100, "100ms"), (60_000, "1m"), (3_600_000, "1h"), (3_723_004, "1h2m3s4ms")];
    for (milliseconds, text) in table {
        let duration = ApiDuration::from_millis(milliseconds);
        assert_eq!(duration.to_string(), text);
        assert_eq!(text.parse(), Ok(duration));
    }
}

#[test]
fn rounding_never_understates() {
    assert_eq!(ApiDuration::rounded_up(Duration::from_nanos(1)).to_string(), "1ms");
    assert_eq!(ApiDuration::rounded_up(Duration::from_micros(2_500_000)).to_string(), "2s500ms");
    assert_eq!(ApiDuration::rounded_up(Duration::MAX), ApiDuration::MAX);
}
