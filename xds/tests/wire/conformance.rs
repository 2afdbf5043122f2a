//! The scenarios of the public xDS test harness (github.com/ii/xds-test-harness: subscribing, unsubscribing, delta), retold
//! in our words: each type of Envoy's, in both variants, on the aggregated stream and on streams of single types.

mod driver;

use rollcall_xds::resource::ResourceType::{self, Cluster, Endpoints, Listener, Route};

use self::driver::{Driver, How, all};

const WILDCARD_TYPES: [ResourceType; 2] = [Cluster, Listener];
const TYPES: [ResourceType; 4] = [Cluster, Endpoints, Listener, Route];

#[tokio::test]
async fn a_wildcard_is_given_all_and_each_change() {
    for (how, ty) in all(&WILDCARD_TYPES) {
        let mut driver = Driver::start(how, ty, &["a", "b"]).await;
        driver.subscribe(&[]).await;
        driver.is_told(&["a=1", "b=1"]).await;
        driver.write("a", "2");
        driver.is_told(if how.is_delta() { &["a=2"] } else { &["a=2", "b=1"] }).await;
        driver.write("c", "1"); // one that is new
        driver.is_told(if how.is_delta() { &["c=1"] } else { &["a=2", "b=1", "c=1"] }).await;
        driver.is_told_no_more().await;
    }
}

#[tokio::test]
async fn a_star_is_a_wildcard_as_well_also_beside_names() {
    for (how, ty) in all(&WILDCARD_TYPES) {
        let mut driver = Driver::start(how, ty, &["a", "b"]).await;
        driver.subscribe(&["a", "*"]).await;
        driver.is_told(&["a=1", "b=1"]).await;
        driver.keep(&["a"]).await; // the star goes
        driver.write("b", "2");
        driver.write("a", "2");
        driver.is_told(&["a=2"]).await;
        driver.is_told_no_more().await;
    }
}

#[tokio::test]
async fn who_names_some_is_given_those_and_their_changes() {
    for (how, ty) in all(&TYPES) {
        let mut driver = Driver::start(how, ty, &["a", "b", "c"]).await;
        driver.subscribe(&["a", "c"]).await;
        driver.is_told(&["a=1", "c=1"]).await;
        driver.write("b", "2"); // nobody's business
        driver.write("a", "2");
        driver.is_told(if how.is_delta() || !ty.is_told_whole() { &["a=2"] } else { &["a=2", "c=1"] }).await;
        driver.is_told_no_more().await;
    }
}

#[tokio::test]
async fn what_does_not_exist_yet_comes_when_it_is_born() {
    for (how, ty) in all(&TYPES) {
        let mut driver = Driver::start(how, ty, &["a"]).await;
        driver.subscribe(&["a", "x"]).await;
        driver.is_told(if how.is_delta() { &["a=1", "-x"] } else { &["a=1"] }).await;
        driver.write("x", "1");
        driver.is_told(if how.is_delta() || !ty.is_told_whole() { &["x=1"] } else { &["a=1", "x=1"] }).await;
        driver.is_told_no_more().await;
    }
}

#[tokio::test]
async fn names_are_added_one_after_the_other() {
    for (how, ty) in all(&TYPES) {
        let mut driver = Driver::start(how, ty, &["a", "b"]).await;
        driver.subscribe(&["a"]).await;
        driver.is_told(&["a=1"]).await;
        driver.add(&["b"]).await;
        driver.is_told(if how.is_delta() || !ty.is_told_whole() { &["b=1"] } else { &["a=1", "b=1"] }).await;
        driver.is_told_no_more().await;
    }
}

#[tokio::test]
async fn who_drops_some_hears_of_the_others_alone() {
    for (how, ty) in all(&TYPES) {
        let mut driver = Driver::start(how, ty, &["a", "b", "c"]).await;
        driver.subscribe(&["a", "b", "c"]).await;
        driver.is_told(&["a=1", "b=1", "c=1"]).await;
        driver.keep(&["a"]).await;
        driver.write("b", "2");
        driver.write("a", "2");
        driver.is_told(&["a=2"]).await;
        driver.keep(&[]).await;
        driver.write("a", "3");
        driver.is_told_no_more().await;
    }
}

#[tokio::test]
async fn what_goes_is_told_as_the_variant_tells_it() {
    for (how, ty) in all(&TYPES) {
        let mut driver = Driver::start(how, ty, &["a", "b"]).await;
        driver.subscribe(&["a", "b"]).await;
        driver.is_told(&["a=1", "b=1"]).await;
        driver.remove("a");
        if how.is_delta() {
            driver.is_told(&["-a"]).await;
        } else if ty.is_told_whole() {
            driver.is_told(&["b=1"]).await;
        }
        driver.write("a", "2"); // back again
        driver.is_told(if how.is_delta() || !ty.is_told_whole() { &["a=2"] } else { &["a=2", "b=1"] }).await;
        driver.is_told_no_more().await;
    }
}

#[tokio::test]
async fn a_rejected_response_is_not_repeated_and_the_next_change_comes() {
    for (how, ty) in all(&TYPES) {
        let mut driver = Driver::start(how, ty, &["a"]).await;
        driver.subscribe(&["a"]).await;
        driver.rejects(&["a=1"], "no lb_policy").await;
        driver.write("a", "2");
        driver.is_told(&["a=2"]).await;
        driver.is_told_no_more().await;
        assert_eq!(driver.last_nack().as_deref(), Some("no lb_policy"));
    }
}

#[tokio::test]
async fn types_on_one_stream_do_not_wait_for_each_other() {
    for how in [How::AdsDelta, How::AdsSotw] {
        let mut driver = Driver::start(how, Cluster, &["a"]).await;
        driver.subscribe(&["a"]).await;
        driver.is_told(&["a=1"]).await;
        for ty in [Endpoints, Listener, Route] {
            driver.turn_to(ty, &["a"]);
            driver.subscribe(&["a"]).await;
            driver.is_told(&["a=1"]).await;
        }
        driver.is_told_no_more().await;
    }
}
