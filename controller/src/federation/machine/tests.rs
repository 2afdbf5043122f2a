//! Tables and properties of a link's states.

use proptest::prelude::*;
use rollcall_crds::ApiDuration;

use super::*;

fn patience(then: ThenWhenSilent) -> Patience {
    Patience { suspect_after_ms: 10_000, expire_after_ms: 60_000, then }
}

/// The states after each of these silences, from a beat at 1 s.
fn after(then: ThenWhenSilent, silences_ms: &[u64]) -> Vec<(LinkState, Standing)> {
    let mut machine = Machine::new(patience(then), false, 0);
    machine.heard(1_000);
    let at = |machine: &mut Machine, silence_ms: u64| {
        machine.advance(1_000 + silence_ms);
        (machine.state(), machine.standing())
    };
    silences_ms.iter().map(|silence_ms| at(&mut machine, *silence_ms)).collect()
}

#[test]
fn other_words_than_beats_keep_it_connected_and_make_nothing_connected() {
    let mut machine = Machine::new(Patience::of(None), true, 0);
    machine.sign(9_000);
    machine.advance(10_000);
    assert_eq!(machine.state(), LinkState::Suspect);
    machine.sign(11_000);
    machine.advance(11_000);
    assert_eq!(machine.state(), LinkState::Suspect);
    machine.heard(12_000);
    machine.sign(20_000);
    machine.advance(29_000);
    assert_eq!(machine.state(), LinkState::Connected);
    machine.advance(30_000);
    assert_eq!(machine.state(), LinkState::Suspect);
}

#[test]
fn silence_leads_from_connected_over_suspect_to_expired() {
    use LinkState::{Connected, Expired, Suspect};
    let silences = [9_999, 10_000, 59_999, 60_000];
    assert_eq!(
        after(ThenWhenSilent::Remove, &silences),
        [
            (Connected, Standing::Fresh),
            (Suspect, Standing::Suspect),
            (Suspect, Standing::Suspect),
            (Expired, Standing::Gone)
        ]
    );
    for keeps in [ThenWhenSilent::Keep, ThenWhenSilent::Unsupported] {
        assert_eq!(after(keeps, &silences)[3], (Expired, Standing::Suspect), "{keeps:?}");
    }
}

#[test]
fn a_beat_leads_back_from_everywhere() {
    let mut machine = Machine::new(patience(ThenWhenSilent::Remove), false, 0);
    for at_ms in [1_000, 20_000, 500_000] {
        machine.heard(at_ms);
        assert_eq!((machine.state(), machine.standing()), (LinkState::Connected, Standing::Fresh));
        assert_eq!(machine.again_ms(), Some(at_ms + 10_000));
        machine.advance(at_ms + 15_000);
        assert_eq!((machine.state(), machine.again_ms()), (LinkState::Suspect, Some(at_ms + 60_000)));
        machine.advance(at_ms + 60_000);
        assert_eq!((machine.state(), machine.again_ms()), (LinkState::Expired, None));
    }
}

#[test]
fn who_was_never_heard_and_left_nothing_connects_for_ever() {
    let mut machine = Machine::new(patience(ThenWhenSilent::Remove), false, 0);
    machine.advance(u64::MAX);
    assert_eq!((machine.state(), machine.again_ms()), (LinkState::Connecting, None));
}

#[test]
fn what_an_earlier_process_left_is_kept_and_its_time_runs_from_the_start() {
    let mut machine = Machine::new(patience(ThenWhenSilent::Remove), true, 5_000);
    machine.advance(14_999);
    assert_eq!((machine.state(), machine.standing()), (LinkState::Connecting, Standing::Fresh));
    assert_eq!(machine.again_ms(), Some(15_000));
    machine.advance(15_000);
    assert_eq!((machine.state(), machine.standing()), (LinkState::Suspect, Standing::Suspect));
    machine.advance(65_000);
    assert_eq!((machine.state(), machine.standing()), (LinkState::Expired, Standing::Gone));
}

#[test]
fn a_link_that_allows_more_is_believed_at_once() {
    let mut machine = Machine::new(patience(ThenWhenSilent::Remove), false, 0);
    machine.heard(0);
    machine.advance(20_000);
    assert_eq!(machine.state(), LinkState::Suspect);
    machine.allow(Patience { suspect_after_ms: 30_000, ..patience(ThenWhenSilent::Remove) });
    machine.advance(20_000);
    assert_eq!(machine.state(), LinkState::Connected);
}

#[test]
fn defaults_are_ten_seconds_a_quarter_of_an_hour_and_remove() {
    let default = Patience { suspect_after_ms: 10_000, expire_after_ms: 900_000, then: ThenWhenSilent::Remove };
    assert_eq!(Patience::of(None), default);
    assert_eq!(Patience::of(Some(&WhenSilent::default())), default);
    let longer = WhenSilent { suspect_after: Some(ApiDuration::from_secs(3_600)), ..WhenSilent::default() };
    assert_eq!(Patience::of(Some(&longer)).expire_after_ms, 3_600_000, "never before it is suspect");
}

proptest! {
    /// Whatever comes when: nothing is removed that was heard within the time, and what is silent for longer is.
    #[test]
    fn the_standing_follows_from_the_last_beat_alone(steps in proptest::collection::vec((0_u64..40_000, any::<bool>()), 1..60)) {
        let mut machine = Machine::new(patience(ThenWhenSilent::Remove), false, 0);
        let (mut now_ms, mut last) = (0, None);
        for (pause_ms, beat) in steps {
            now_ms += pause_ms;
            if beat {
                machine.heard(now_ms);
                last = Some(now_ms);
            }
            machine.advance(now_ms);
            let expected = match last.map(|last| now_ms - last) {
                None | Some(..10_000) => Standing::Fresh,
                Some(10_000..60_000) => Standing::Suspect,
                Some(60_000..) => Standing::Gone,
            };
            prop_assert_eq!(machine.standing(), expected);
            prop_assert!(machine.again_ms().is_none_or(|again_ms| again_ms > now_ms));
        }
    }
}
