//! When an answer was made (RFC 9110 §6.6.1).

use std::cell::RefCell;

use http::HeaderValue;
use jiff::Timestamp;
use jiff::fmt::rfc2822::DateTimePrinter;

use crate::time::clock::Clock;

thread_local! {
    /// The last one, and its second: thousands are made in one.
    static LAST: RefCell<(i64, HeaderValue)> = const { RefCell::new((i64::MIN, HeaderValue::from_static(""))) };
}

/// What `Date` says now.
pub(super) fn now() -> HeaderValue {
    let second = Clock::wall_s();
    LAST.with_borrow_mut(|(of, value)| {
        if *of != second {
            (*of, *value) = (second, date(second));
        }
        value.clone()
    })
}

fn date(second: i64) -> HeaderValue {
    let timestamp = Timestamp::from_second(second).unwrap_or_default();
    let text = DateTimePrinter::new().timestamp_to_rfc9110_string(&timestamp);
    text.ok().and_then(|text| text.try_into().ok()).unwrap_or(HeaderValue::from_static("Thu, 01 Jan 1970 00:00:00 GMT"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_second_is_said_as_http_says_it() {
        assert_eq!(date(784_111_777), "Sun, 06 Nov 1994 08:49:37 GMT");
        assert_eq!(now().len(), 29);
    }
}
