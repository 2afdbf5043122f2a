use super::*;

#[test]
fn half_of_the_files_that_may_be_open_is_the_most_that_is_under_way() {
    let limits = "Limit                     Soft Limit           Hard Limit           Units\n\
                  Max processes             127203               127203               processes\n\
                  Max open files            1024                 524288               files\n";
    assert_eq!(open_files(limits), Some(1024));
    assert_eq!(open_files("Max open files            unlimited            unlimited            files\n"), None);
    assert!((1..=IN_FLIGHT_MAX).contains(&in_flight_max()));
}
