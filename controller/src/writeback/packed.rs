//! What stands in the API and is seldom read: as text, with what all of it repeats shortened.

use std::marker::PhantomData;

use serde::Serialize;
use serde::de::DeserializeOwned;

/// A value as JSON, in which a phrase of [`PHRASES`] is one byte. A slice takes less than a fifth of its text so, and its text a fifth of the value.
#[derive(Debug)]
pub struct Packed<T> {
    bytes: Box<[u8]>,
    of: PhantomData<fn() -> T>,
}

/// What slices and conditions have in common, in the order in which serde writes it. Each has a byte by its place, from 1 on, below 32: JSON
/// has none of these, as they are escaped in it (RFC 8259 §7). Where two begin alike, the longer one is first. It is never
/// stored anywhere else: whoever changes it breaks nothing.
const PHRASES: [&[u8]; 23] = [
    br#""],"conditions":{"ready":true,"serving":true,"terminating":false}},{"addresses":[""#,
    br#""],"conditions":{"ready":true,"serving":true,"terminating":false},"#,
    br#""],"conditions":{"ready":true,"serving":true,"terminating":false}"#,
    br#""],"conditions":{"ready":false,"serving":"#,
    br#""apiVersion":"discovery.k8s.io/v1","kind":"EndpointSlice","addressType":"IPv4","endpoints":[{"addresses":[""#,
    br#""apiVersion":"discovery.k8s.io/v1","kind":"EndpointSlice","addressType":"IPv6","endpoints":[{"addresses":[""#,
    br#"}],"metadata":{"name":""#,
    br#""targetRef":{"kind":"Pod","name":""#,
    br#""hints":{"forZones":[{"name":""#,
    br#""protocol":"TCP"}"#,
    br#""nodeName":""#,
    br#""hostname":""#,
    br#""namespace":""#,
    br#""zone":""#,
    br#""},"ports":[{"name":""#,
    br#""lastTransitionTime":"20"#,
    br#""message":""#,
    br#""observedGeneration":"#,
    br#""reason":""#,
    br#""status":"True","type":""#,
    br#""status":"False","type":""#,
    br#""status":"Unknown","type":""#,
    br#"},{"addresses":[""#,
];

// === impl Packed ===

impl<T: Serialize> Packed<T> {
    /// Packs a value.
    pub fn new(value: &T) -> Self {
        // What the API server has sent can be written again.
        let text = serde_json::to_vec(value).unwrap_or_default();
        // A copy: the text has grown by doubling, and an allocator may leave what is shrunk where it is.
        Self { bytes: pack(&text).as_slice().into(), of: PhantomData }
    }
}

impl<T: DeserializeOwned + Default> Packed<T> {
    /// The value.
    pub fn read(&self) -> T {
        serde_json::from_slice(&unpack(&self.bytes)).unwrap_or_default()
    }
}

impl<T: Serialize + Default> Default for Packed<T> {
    fn default() -> Self {
        Self::new(&T::default())
    }
}

impl<T> Clone for Packed<T> {
    fn clone(&self) -> Self {
        Self { bytes: self.bytes.clone(), of: PhantomData }
    }
}

impl<T> PartialEq for Packed<T> {
    fn eq(&self, other: &Self) -> bool {
        self.bytes == other.bytes
    }
}

fn pack(text: &[u8]) -> Vec<u8> {
    let mut packed = Vec::with_capacity(text.len() / 2);
    let mut rest = text;
    while let Some((first, after)) = rest.split_first() {
        // All phrases begin with one of them.
        let found = match first {
            b'"' | b'}' => (1..).zip(PHRASES).find(|(_, phrase)| rest.starts_with(phrase)),
            _ => None,
        };
        match found {
            Some((byte, phrase)) => {
                packed.push(byte);
                rest = &rest[phrase.len()..];
            }
            None => {
                packed.push(*first);
                rest = after;
            }
        }
    }
    packed
}

fn unpack(packed: &[u8]) -> Vec<u8> {
    let mut text = Vec::with_capacity(packed.len() * 4);
    for byte in packed {
        match PHRASES.get(usize::from(*byte).wrapping_sub(1)) {
            Some(phrase) => text.extend_from_slice(phrase),
            None => text.push(*byte),
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use k8s_openapi::api::discovery::v1::EndpointSlice;
    use proptest::collection::vec;
    use proptest::prelude::{Strategy, any, prop_assert_eq, proptest};
    use proptest::string::string_regex;
    use serde_json::json;

    use super::*;

    #[test]
    fn phrases_have_bytes_that_are_not_in_json_and_begin_as_they_are_looked_for() {
        assert!(PHRASES.len() < 32);
        assert!(PHRASES.iter().all(|phrase| matches!(phrase.first(), Some(b'"' | b'}'))));
        for (at, phrase) in PHRASES.iter().enumerate() {
            let hidden = PHRASES[..at].iter().any(|earlier| phrase.starts_with(earlier));
            assert!(!hidden, "{} is never found", String::from_utf8_lossy(phrase));
        }
    }

    #[test]
    fn a_slice_of_machines_takes_a_fifth_of_its_text_and_comes_back_as_it_was() {
        let endpoint = |n: u8| json!({ "addresses": [format!("10.1.2.{n}")], "conditions": { "ready": true, "serving": true, "terminating": false } });
        let slice: EndpointSlice = serde_json::from_value(json!({
            "addressType": "IPv4",
            "metadata": { "name": "payments-rollcall-0" },
            "endpoints": (0..10).map(endpoint).collect::<Vec<_>>(),
            "ports": [{ "name": "http", "port": 8080, "protocol": "TCP" }],
        }))
        .expect("a slice");
        let packed = Packed::new(&slice);
        assert_eq!(packed.read(), slice);
        let text = serde_json::to_string(&slice).expect("JSON");
        assert!(
            packed.bytes.len() * 5 < text.len(),
            "{} of {}: {}",
            packed.bytes.len(),
            text.len(),
            packed.bytes.escape_ascii()
        );
        assert_eq!(packed, Packed::new(&packed.read()));
    }

    /// Any text. As `any::<String>()`, which reads its pattern, and tables of Unicode for it, for each text anew.
    fn text() -> impl Strategy<Value = String> {
        string_regex("\\PC*").expect("a good pattern")
    }

    proptest! {
        #[test]
        fn whatever_is_said_comes_back(said in vec((text(), any::<Option<i64>>()), 0..100)) {
            prop_assert_eq!(Packed::new(&said).read(), said);
        }

        #[test]
        fn phrases_within_texts_come_back(places in vec(0..PHRASES.len(), 0..8)) {
            let said: String = places.iter().map(|at| String::from_utf8_lossy(PHRASES[*at])).collect();
            let said = vec![said];
            prop_assert_eq!(Packed::new(&said).read(), said);
        }
    }
}
