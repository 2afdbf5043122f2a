//! The fields that both sides know from the beginning (RFC 7541 Appendix A).

/// Names and values. The first has index 1.
const FIELDS: [(&str, &str); LAST] = [
    (":authority", ""),
    (":method", "GET"),
    (":method", "POST"),
    (":path", "/"),
    (":path", "/index.html"),
    (":scheme", "http"),
    (":scheme", "https"),
    (":status", "200"),
    (":status", "204"),
    (":status", "206"),
    (":status", "304"),
    (":status", "400"),
    (":status", "404"),
    (":status", "500"),
    ("accept-charset", ""),
    ("accept-encoding", "gzip, deflate"),
    ("accept-language", ""),
    ("accept-ranges", ""),
    ("accept", ""),
    ("access-control-allow-origin", ""),
    ("age", ""),
    ("allow", ""),
    ("authorization", ""),
    ("cache-control", ""),
    ("content-disposition", ""),
    ("content-encoding", ""),
    ("content-language", ""),
    ("content-length", ""),
    ("content-location", ""),
    ("content-range", ""),
    ("content-type", ""),
    ("cookie", ""),
    ("date", ""),
    ("etag", ""),
    ("expect", ""),
    ("expires", ""),
    ("from", ""),
    ("host", ""),
    ("if-match", ""),
    ("if-modified-since", ""),
    ("if-none-match", ""),
    ("if-range", ""),
    ("if-unmodified-since", ""),
    ("last-modified", ""),
    ("link", ""),
    ("location", ""),
    ("max-forwards", ""),
    ("proxy-authenticate", ""),
    ("proxy-authorization", ""),
    ("range", ""),
    ("referer", ""),
    ("refresh", ""),
    ("retry-after", ""),
    ("server", ""),
    ("set-cookie", ""),
    ("strict-transport-security", ""),
    ("transfer-encoding", ""),
    ("user-agent", ""),
    ("vary", ""),
    ("via", ""),
    ("www-authenticate", ""),
];

/// The index of the last; those after it are of the dynamic table (RFC 7541 §2.3.3).
pub(super) const LAST: usize = 61;
/// The first `:status`, and the last.
pub(super) const STATUS: usize = 8;
const STATUS_LAST: usize = 14;

/// Name and value at this index.
pub(super) fn field(index: usize) -> Option<(&'static [u8], &'static [u8])> {
    let (name, value) = FIELDS.get(index.checked_sub(1)?)?;
    Some((name.as_bytes(), value.as_bytes()))
}

/// The index of a name that is no pseudo-header's. Most names differ in length already.
pub(super) fn name(name: &str) -> Option<usize> {
    let at = FIELDS[STATUS_LAST..].iter().position(|(known, _)| *known == name)?;
    Some(STATUS_LAST + 1 + at)
}

/// The index of a whole `:status`.
pub(super) fn status(value: &str) -> Option<usize> {
    (STATUS..=STATUS_LAST).find(|index| FIELDS[index - 1].1 == value)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_are_where_the_standard_has_them() {
        assert_eq!([0, LAST + 1].map(field), [None, None]);
        for (index, name, value) in [
            (1, ":authority", ""),
            (3, ":method", "POST"),
            (16, "accept-encoding", "gzip, deflate"),
            (31, "content-type", ""),
            (58, "user-agent", ""),
            (LAST, "www-authenticate", ""),
        ] {
            assert_eq!(field(index), Some((name.as_bytes(), value.as_bytes())), "{index}");
        }
    }

    #[test]
    fn each_name_and_status_is_found() {
        for index in STATUS_LAST + 1..=LAST {
            assert_eq!(name(FIELDS[index - 1].0), Some(index));
        }
        for index in STATUS..=STATUS_LAST {
            assert_eq!(status(FIELDS[index - 1].1), Some(index));
        }
        assert_eq!([name("grpc-status"), name(":path"), name(""), status("503")], [None; 4]);
    }
}
