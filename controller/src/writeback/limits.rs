//! What the API server takes: the bounds of every field into which something is copied that others decided.
//!
//! One table. What does not fit is cut or left out, and the object says how much. The end-to-end test `limits` reads the
//! constants from this file and holds each against a real API server.

/// A bound of a text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Text {
    /// Characters at most.
    pub chars: usize,
    /// Bytes at most.
    pub bytes: usize,
}

/// A bound of the CRD, which counts characters.
const fn chars(chars: usize) -> Text {
    Text { chars, bytes: usize::MAX }
}

/// A bound of the API server's own code, which counts bytes.
const fn bytes(bytes: usize) -> Text {
    Text { chars: usize::MAX, bytes }
}

/// `endpoints[].name` of a CatalogEntry. The name in a slice's `targetRef` may be of any length.
pub const ENTRY_ENDPOINT_NAME: Text = chars(253);
/// `endpoints[].zone` of a CatalogEntry. The zone in a slice may be of any length.
pub const ENTRY_ZONE: Text = chars(63);
/// `endpoints[].ports[]` of a CatalogEntry.
pub const ENTRY_PORT: Text = chars(80);
/// `endpoints[].tags[]` of a CatalogEntry.
pub const ENTRY_TAG: Text = chars(63);
/// `endpoints[].origin` of a CatalogEntry, and both sides of a conflict.
pub const ENTRY_ORIGIN: Text = chars(320);
/// `endpoints[].reason` of a CatalogEntry.
pub const ENTRY_REASON: Text = chars(1024);
/// `endpoints[].ports` of a CatalogEntry.
pub const ENTRY_PORTS: usize = 100;
/// `endpoints[].tags` of a CatalogEntry.
pub const ENTRY_TAGS: usize = 16;
/// `endpoints` of a CatalogEntry; the rest is counted.
pub const ENTRY_ENDPOINTS: usize = 100;
/// `origins` of a CatalogEntry.
pub const ENTRY_ORIGINS: usize = 100;
/// `conflicts` of a CatalogEntry.
pub const ENTRY_CONFLICTS: usize = 20;

/// `endpoints[].reason` and `.message` in the status of a registration.
pub const STATUS_REASON: Text = chars(1024);
/// `conditions` in the status of a registration: ours and those of others.
pub const STATUS_CONDITIONS: usize = 32;
/// `message` of a condition, by convention (meta/v1 `Condition`): the CRD has no bound.
pub const CONDITION_MESSAGE: Text = chars(32_768);
/// A registration with its status, as etcd stores it (`--max-request-bytes`, 1.5 MiB by default), with room for the rest of
/// the request and for the managed fields.
pub const REGISTRATION_BYTES: usize = 1_400_000;

/// `note` of an Event (events.k8s.io/v1).
pub const EVENT_NOTE: Text = bytes(1024);
/// `reportingInstance` of an Event.
pub const EVENT_INSTANCE: Text = bytes(128);

/// Cuts texts, and counts what it cut.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Cutter {
    /// Texts that were cut.
    pub cut: u32,
}

/// What stands at the end of a text that was cut.
const MORE: char = '…';

// === impl Text ===

impl Text {
    /// The text, cut where it does not fit; at its end then stands an ellipsis.
    pub fn cut(self, text: &str) -> String {
        if text.len() <= self.bytes.min(self.chars) || (text.len() <= self.bytes && text.chars().count() <= self.chars)
        {
            return text.to_owned();
        }
        let mut bytes = self.bytes.saturating_sub(MORE.len_utf8());
        let mut cut = String::new();
        for char in text.chars().take(self.chars.saturating_sub(1)) {
            if char.len_utf8() > bytes {
                break;
            }
            bytes -= char.len_utf8();
            cut.push(char);
        }
        cut.push(MORE);
        cut
    }
}

// === impl Cutter ===

impl Cutter {
    /// The text as it fits.
    pub fn text(&mut self, limit: Text, text: &str) -> String {
        let fits = limit.cut(text);
        self.cut = self.cut.saturating_add(u32::from(fits != text));
        fits
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_fits_stays_and_what_does_not_is_cut_at_a_character_and_counted() {
        let mut cutter = Cutter::default();
        assert_eq!(cutter.text(chars(3), "äöü"), "äöü");
        assert_eq!(cutter.text(chars(3), "äöüß"), "äö…");
        assert_eq!(cutter.text(bytes(6), "äöüß"), "ä…", "five bytes: two and three");
        assert_eq!(cutter.cut, 2);
    }
}
