//! Tests: the log filter of a running process.

use jiff::Timestamp;

use super::*;

/// 2026-11-28T12:00:00Z.
const START: Timestamp = Timestamp::constant(1_795_867_200, 0);

/// A level, and what it was set to one after the other.
fn level() -> (LogLevel, Arc<Mutex<Vec<String>>>) {
    let applied = Arc::new(Mutex::new(Vec::new()));
    let to = Arc::clone(&applied);
    let level = LogLevel::new(
        "info".to_owned(),
        || START,
        move |text| {
            to.lock().unwrap().push(text.to_owned());
            Ok(())
        },
    );
    (level, applied)
}

fn put(level: &LogLevel, body: &str, query: &str) -> (StatusCode, String) {
    let reply = level.put(Ask { path: PATH, rest: "", query, body: body.as_bytes() });
    (reply.status, String::from_utf8_lossy(&reply.body).into_owned())
}

#[tokio::test(start_paused = true)]
async fn a_changed_filter_falls_back_by_itself_and_says_when() {
    let (level, applied) = level();
    assert_eq!(level.said(), "info\n");
    let (status, said) = put(&level, "debug\n", "for=10m");
    assert_eq!(status, StatusCode::OK);
    assert!(said == "debug until 2026-11-28T12:10:00Z (for 600 s), then info\n", "{said}");
    tokio::time::sleep(Duration::from_secs(601)).await;
    assert_eq!(level.said(), "info\n");
    assert_eq!(*applied.lock().unwrap(), ["debug", "info"]);
}

#[tokio::test(start_paused = true)]
async fn a_later_change_is_not_ended_by_the_end_of_an_earlier_one() {
    let (level, applied) = level();
    put(&level, "debug", "for=1m");
    put(&level, "info,rollcall_dns=trace", "");
    tokio::time::sleep(Duration::from_secs(120)).await;
    assert!(level.said().contains("(for 3480 s)"), "{}", level.said());
    tokio::time::sleep(STAYS).await;
    assert_eq!(*applied.lock().unwrap(), ["debug", "info,rollcall_dns=trace", "info"]);
}

#[tokio::test(start_paused = true)]
async fn a_bad_filter_or_time_is_named_and_changes_nothing() {
    let (level, applied) = level();
    for (body, query, expected) in [
        ("debg", "", r#""debg" is neither a level"#),
        ("", "", "the filter is empty"),
        ("debug", "for=2d", "such as 30s, 10m or 2h"),
        ("debug", "for=25h", "up to 24h"),
        ("debug", "for=0s", "cannot be used"),
        ("debug", "level=x", "give for=10m"),
    ] {
        let (status, said) = put(&level, body, query);
        assert_eq!(status, StatusCode::BAD_REQUEST);
        assert!(said.contains(expected), "{said}");
    }
    assert!(applied.lock().unwrap().is_empty());
}
