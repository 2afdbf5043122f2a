//! When an answer was made (RFC 9110 §6.6.1).

use std::{
    cell::RefCell,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use http::HeaderValue;

thread_local! {
    /// The last one, and its second since 1970: thousands are made in one.
    static LAST: RefCell<(u64, Option<HeaderValue>)> = const { RefCell::new((0, None)) };
}

/// What `Date` says now. Nothing before 1970, nor when it cannot be written.
pub(crate) fn now() -> Option<HeaderValue> {
    #[expect(clippy::disallowed_methods, reason = "it is what people read, and nothing is decided by it")]
    let second = SystemTime::now().duration_since(UNIX_EPOCH).ok()?.as_secs();
    LAST.with_borrow_mut(|(of, value)| {
        if *of != second {
            (*of, *value) = (second, date(second));
        }
        value.clone()
    })
}

/// `httpdate` panics from the year 10000 on.
fn date(second: u64) -> Option<HeaderValue> {
    const END: u64 = 253_402_300_800;
    let time = UNIX_EPOCH + Duration::from_secs((second < END).then_some(second)?);
    httpdate::fmt_http_date(time).try_into().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_second_is_said_as_http_says_it() {
        assert_eq!(date(784_111_777).expect("a date"), "Sun, 06 Nov 1994 08:49:37 GMT");
        assert_eq!(date(253_402_300_799).expect("a date"), "Fri, 31 Dec 9999 23:59:59 GMT");
        assert_eq!(date(253_402_300_800), None);
        assert_eq!(now().expect("a date").len(), 29);
    }
}
