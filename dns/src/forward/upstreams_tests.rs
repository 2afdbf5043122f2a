use super::*;

fn upstreams(numbers: &[u8]) -> Upstreams {
    let upstreams = Upstreams::default();
    upstreams.set(&numbers.iter().map(|n| addr(*n)).collect::<Vec<_>>());
    upstreams
}

fn addr(n: u8) -> SocketAddr {
    SocketAddr::from(([192, 0, 2, n], 53))
}

/// All of them looked at, with this outcome.
fn looked_at(upstreams: &Upstreams, seen: Seen) {
    for upstream in upstreams.all().iter() {
        assert!(upstream.begin_check(Instant::now()));
        upstream.end_check(seen);
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
async fn a_server_that_fails_twice_in_a_row_goes_last_until_it_answers() {
    let upstreams = upstreams(&[1, 2]);
    looked_at(&upstreams, Seen::Answered);
    let first = Arc::clone(&upstreams.all()[0]);
    assert!(!first.failed());
    first.answered();
    assert!(!first.failed(), "not in a row");
    assert!(first.failed() && !first.failed(), "said once");
    assert_eq!(order(&upstreams), [addr(2), addr(1)]);
    first.answered();
    assert_eq!(order(&upstreams), [addr(1), addr(2)]);
}

#[tokio::test(start_paused = true)]
async fn a_server_that_is_held_down_is_looked_at_each_second() {
    let upstreams = upstreams(&[1]);
    looked_at(&upstreams, Seen::Silent);
    let upstream = Arc::clone(&upstreams.all()[0]);
    assert!(upstream.is_held_down() && !upstream.begin_check(Instant::now()));
    tokio::time::advance(Duration::from_secs(1)).await;
    assert!(upstream.begin_check(Instant::now()));
    tokio::time::advance(Duration::from_secs(9)).await;
    assert!(!upstream.begin_check(Instant::now()), "one look at a time");
    assert_eq!(upstream.end_check(Seen::Answered), (Standing::HeldDown, Standing::Usable));
    assert!(!upstream.failed(), "it begins anew");
}

#[tokio::test(start_paused = true)]
async fn a_server_that_sends_our_own_question_back_is_not_asked_until_it_stops() {
    let upstreams = upstreams(&[1, 2]);
    looked_at(&upstreams, Seen::Answered);
    let second = Arc::clone(&upstreams.all()[1]);
    tokio::time::advance(Duration::from_secs(60)).await;
    assert!(second.begin_check(Instant::now()));
    assert!(upstreams.is_own_question(&second.own_question.to_lowercase()));
    assert!(!upstreams.is_own_question(&Name::from_ascii("0123456789abcdef.rollcall-loop-check.").unwrap()));
    assert_eq!(second.end_check(Seen::Answered), (Standing::Usable, Standing::Looping));
    assert_eq!(order(&upstreams), [addr(1)]);
    second.answered(); // one that was under way
    assert_eq!(order(&upstreams), [addr(1)]);
    tokio::time::advance(Duration::from_secs(30)).await;
    assert!(second.begin_check(Instant::now()));
    assert_eq!(second.end_check(Seen::Answered).1, Standing::Usable);
}

#[tokio::test]
async fn servers_that_stay_keep_what_is_known_of_them() {
    let upstreams = upstreams(&[1, 2]);
    looked_at(&upstreams, Seen::Answered);
    upstreams.set(&[addr(3), addr(2)]);
    assert_eq!(order(&upstreams), [addr(2)]);
    let count = upstreams.count();
    assert_eq!((count[&Standing::Usable], count[&Standing::Unchecked], count[&Standing::Looping]), (1, 1, 0));
}
