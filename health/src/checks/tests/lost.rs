//! Tests: whatever comes, no check is lost.

use proptest::prelude::*;

use super::*;

proptest! {
    /// Whatever results, jumps of the wall clock and changes of the plan come: every target stays scheduled, is due again within its
    /// longer interval, no more probes are under way than may be, and every verdict is that of the states.
    #[test]
    fn no_check_is_lost(
        events in prop::collection::vec((0_u8..6, 0_u64..5_000, any::<i64>()), 1..120),
    ) {
        let mut driver = Driver::new(3);
        driver.plan(plan("198.51.100.1 2001:db8::1", &[check("a"), check("b")]));
        for (event, ms, wall_ms) in events {
            driver.now.mono_ms += ms;
            driver.now.wall_ms = wall_ms;
            driver.start();
            match event {
                0 => drop(driver.plan(plan("198.51.100.1 2001:db8::1", &[check("a"), check("b")]))),
                1 => drop(driver.plan(plan("198.51.100.1", &[check("b"), check("c")]))),
                2 if !driver.running.is_empty() => drop(driver.finish(&ok())),
                3 | 4 if !driver.running.is_empty() => drop(driver.finish(&bad())),
                _ => driver.checks.catalog_changed(driver.now),
            }
            prop_assert!(driver.checks.running() <= 3);
            prop_assert_eq!(driver.checks.running(), driver.running.len());
            let scheduled = driver.checks.registrations.get(&origin("vms")).expect("planned").targets.len();
            prop_assert_eq!(scheduled, driver.checks.len());
            if let Some(next_ms) = driver.checks.next_ms() {
                prop_assert!(next_ms <= driver.now.mono_ms + 60_000);
            }
            for scheduled in driver.checks.targets.values() {
                let subject = driver.checks.subject(&scheduled.origin, &scheduled.target.endpoint).expect("judged");
                prop_assert_eq!(subject.evidence.get(&scheduled.witness()), Some(&scheduled.state.evidence()));
            }
        }
    }
}
