//! What a target sent, in a reason: the beginning of it, in quotes, and nothing that could pass for something else.

use std::fmt::Write;

/// As much of what a target sent is told.
const SHOWN_BYTES_MAX: usize = 96;

/// The beginning of it in quotes.
pub(super) fn quoted(bytes: &[u8]) -> String {
    let bytes = bytes.trim_ascii();
    let shown = &bytes[..bytes.len().min(SHOWN_BYTES_MAX)];
    let mut text = String::with_capacity(shown.len() + 8);
    text.push('"');
    for chunk in shown.utf8_chunks() {
        for each in chunk.valid().chars() {
            put(&mut text, each);
        }
        // A character that was cut in two at the end is left out.
        if chunk.valid().len() + chunk.invalid().len() < shown.len() || shown.len() == bytes.len() {
            for byte in chunk.invalid() {
                // Writing to a String does not fail.
                let _ = write!(text, "\\x{byte:02x}");
            }
        }
    }
    text.push_str(if shown.len() < bytes.len() { "…\"" } else { "\"" });
    text
}

fn put(text: &mut String, each: char) {
    match each {
        '\n' => text.push_str("\\n"),
        '\r' => text.push_str("\\r"),
        '\t' => text.push_str("\\t"),
        '"' => text.push_str("\\\""),
        '\\' => text.push_str("\\\\"),
        bad if is_bad(bad) => {
            let _ = write!(text, "\\u{:04x}", u32::from(bad));
        }
        good => text.push(good),
    }
}

/// Control characters, and those that turn the direction of reading or are not to be seen.
fn is_bad(each: char) -> bool {
    each.is_control()
        || matches!(each, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}' | '\u{ad}' | '\u{61c}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_text_is_escaped_and_what_is_long_is_cut() {
        assert_eq!(quoted(b" out of disk\n"), "\"out of disk\"");
        assert_eq!(quoted(b"a\r\n\x1b[31mb\"\\\xff\0c"), "\"a\\r\\n\\u001b[31mb\\\"\\\\\\xff\\u0000c\"");
        assert_eq!(quoted("\u{202e}evil".as_bytes()), "\"\\u202eevil\"");
        let long = quoted("ä".repeat(500).as_bytes());
        assert!(long.ends_with("ä…\"") && long.len() <= SHOWN_BYTES_MAX + 5, "{long}");
        assert_eq!(quoted(b""), "\"\"");
    }
}
