//! Tests: the servers that are asked, their order and their health.

use super::*;

fn upstreams(numbers: &[u8]) -> Upstreams {
    let upstreams = Upstreams::default();
    upstreams.set(&numbers.iter().map(|n| addr(*n).into()).collect::<Vec<_>>());
    upstreams
}

fn addr(n: u8) -> SocketAddr {
    SocketAddr::from(([192, 0, 2, n], 53))
}

/// All of them looked at, with this outcome.
fn looked_at(upstreams: &Upstreams, seen: Seen) {
    for upstream in upstreams.all().iter() {
        let look = upstream.begin_check(Instant::now()).expect("a look that is due");
        upstream.end_check(look, seen);
    }
}

fn order(upstreams: &Upstreams) -> Vec<SocketAddr> {
    upstreams.in_order().iter().map(|upstream| upstream.addr).collect()
}

#[tokio::test]
async fn nobody_is_asked_before_the_first_look() {
    let upstreams = upstreams(&[1, 2]);
    assert!(upstreams.in_order().is_empty());
    looked_at(&upstreams, Seen::Answered);
    assert_eq!(order(&upstreams), [addr(1), addr(2)]);
}

#[tokio::test]
async fn a_server_that_cannot_be_reached_twice_in_a_row_goes_last_until_it_answers() {
    let upstreams = upstreams(&[1, 2]);
    looked_at(&upstreams, Seen::Answered);
    let first = Arc::clone(&upstreams.all()[0]);
    let fails = || first.failed(Failure::Unreachable);
    assert!(!fails());
    first.answered();
    assert!(!fails(), "not in a row");
    assert!(fails() && !fails(), "said once");
    assert_eq!(order(&upstreams), [addr(2), addr(1)]);
    first.answered();
    assert_eq!(order(&upstreams), [addr(1), addr(2)]);
}

#[tokio::test(start_paused = true)]
async fn a_server_that_is_silent_about_names_keeps_its_place_for_as_long_as_looks_are_answered() {
    let upstreams = upstreams(&[1, 2]);
    looked_at(&upstreams, Seen::Answered);
    let first = Arc::clone(&upstreams.all()[0]);
    tokio::time::advance(Duration::from_secs(2)).await;
    assert_eq!(first.begin_check(Instant::now()), None, "60 s are between looks when all is well");
    for failure in [Failure::Silent, Failure::Silent, Failure::Malformed, Failure::Silent] {
        assert!(!first.failed(failure));
    }
    assert_eq!(order(&upstreams), [addr(1), addr(2)]);
    assert_eq!(first.begin_check(Instant::now()), Some(Look::Thorough), "it is due at once");
    assert_eq!(first.end_check(Look::Thorough, Seen::Answered), (Standing::Usable, Standing::Usable));
    assert_eq!(order(&upstreams), [addr(1), addr(2)]);
    tokio::time::advance(Duration::from_secs(2)).await;
    assert_eq!(first.begin_check(Instant::now()), None, "the doubt is over");
}

#[tokio::test(start_paused = true)]
async fn a_server_that_is_silent_about_a_name_and_a_look_is_held_down() {
    let upstreams = upstreams(&[1, 2]);
    looked_at(&upstreams, Seen::Answered);
    let first = Arc::clone(&upstreams.all()[0]);
    first.failed(Failure::Silent);
    assert_eq!(first.begin_check(Instant::now()), None, "one look a second at most");
    tokio::time::advance(Duration::from_secs(1)).await;
    assert_eq!(first.begin_check(Instant::now()), Some(Look::Thorough));
    assert_eq!(first.end_check(Look::Thorough, Seen::Silent), (Standing::Usable, Standing::HeldDown));
    assert_eq!(order(&upstreams), [addr(2), addr(1)]);
}

#[tokio::test(start_paused = true)]
async fn silence_about_one_thing_alone_holds_nobody_down() {
    let upstreams = upstreams(&[1]);
    looked_at(&upstreams, Seen::Answered);
    let upstream = Arc::clone(&upstreams.all()[0]);
    tokio::time::advance(Duration::from_secs(60)).await;
    assert_eq!(upstream.begin_check(Instant::now()), Some(Look::Routine));
    assert_eq!(upstream.end_check(Look::Routine, Seen::Silent).1, Standing::Usable, "a look that was lost");
    upstream.failed(Failure::Silent);
    upstream.answered();
    tokio::time::advance(Duration::from_secs(1)).await;
    assert_eq!(upstream.begin_check(Instant::now()), Some(Look::Thorough));
    assert_eq!(upstream.end_check(Look::Thorough, Seen::Silent).1, Standing::Usable, "clients were answered since");
}

#[tokio::test(start_paused = true)]
async fn looks_are_thorough_unless_all_is_well() {
    let upstreams = upstreams(&[1]);
    let upstream = Arc::clone(&upstreams.all()[0]);
    let look_after = async |seconds| {
        tokio::time::advance(Duration::from_secs(seconds)).await;
        upstream.begin_check(Instant::now()).expect("a look that is due")
    };
    for seen in [Seen::Silent, Seen::Silent, Seen::Answered] {
        let look = look_after(1).await;
        assert_eq!(look, Look::Thorough, "nothing is known of it");
        upstream.end_check(look, seen);
    }
    let look = look_after(60).await;
    assert_eq!(look, Look::Routine);
    // One that began before the failure says nothing about loops.
    upstream.failed(Failure::Silent);
    upstream.end_check(look, Seen::Answered);
    let look = look_after(1).await;
    assert_eq!(look, Look::Thorough);
    assert!(upstreams.is_own_question(&upstream.own_question));
    assert_eq!(upstream.end_check(look, Seen::Answered).1, Standing::Looping);
    let look = look_after(30).await;
    assert_eq!(look, Look::Thorough, "a routine look would not find that loop again");
}

#[tokio::test(start_paused = true)]
async fn a_server_that_is_held_down_is_looked_at_each_second() {
    let upstreams = upstreams(&[1]);
    looked_at(&upstreams, Seen::Silent);
    let upstream = Arc::clone(&upstreams.all()[0]);
    assert!(upstream.is_held_down() && upstream.begin_check(Instant::now()).is_none());
    tokio::time::advance(Duration::from_secs(1)).await;
    let look = upstream.begin_check(Instant::now()).expect("a look that is due");
    tokio::time::advance(Duration::from_secs(9)).await;
    assert_eq!(upstream.begin_check(Instant::now()), None, "one look at a time");
    assert_eq!(upstream.end_check(look, Seen::Answered), (Standing::HeldDown, Standing::Usable));
    assert!(!upstream.failed(Failure::Unreachable), "it begins anew");
}

#[tokio::test(start_paused = true)]
async fn a_server_that_sends_our_own_question_back_is_not_asked_until_it_stops() {
    let upstreams = upstreams(&[1, 2]);
    looked_at(&upstreams, Seen::Answered);
    let second = Arc::clone(&upstreams.all()[1]);
    tokio::time::advance(Duration::from_secs(60)).await;
    let look = second.begin_check(Instant::now()).expect("a look that is due");
    assert!(upstreams.is_own_question(&second.own_question.to_lowercase()));
    assert!(!upstreams.is_own_question(&Name::from_ascii("0123456789abcdef.rollcall-loop-check.").unwrap()));
    assert_eq!(second.end_check(look, Seen::Answered), (Standing::Usable, Standing::Looping));
    assert_eq!(order(&upstreams), [addr(1)]);
    second.answered(); // one that was under way
    assert_eq!(order(&upstreams), [addr(1)]);
    tokio::time::advance(Duration::from_secs(30)).await;
    let look = second.begin_check(Instant::now()).expect("a look that is due");
    assert_eq!(second.end_check(look, Seen::Answered).1, Standing::Usable);
}

#[tokio::test]
async fn servers_that_stay_keep_what_is_known_of_them() {
    let upstreams = upstreams(&[1, 2]);
    looked_at(&upstreams, Seen::Answered);
    upstreams.set(&[addr(3).into(), addr(2).into()]);
    assert_eq!(order(&upstreams), [addr(2)]);
    let count = upstreams.count();
    assert_eq!((count[&Standing::Usable], count[&Standing::Unchecked], count[&Standing::Looping]), (1, 1, 0));
}
