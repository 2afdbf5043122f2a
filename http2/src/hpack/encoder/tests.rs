//! Tests: what answers look like on the wire, and that they are read as they were meant.

use http::header;
use proptest::{collection::vec, prelude::*};

use super::{super::Decoder, *};

fn headers(fields: &[(&'static str, &'static str)]) -> HeaderMap {
    fields.iter().map(|(name, value)| (HeaderName::from_static(name), HeaderValue::from_static(value))).collect()
}

fn response(encoder: &mut Encoder, status: u16, headers: &HeaderMap) -> Vec<u8> {
    let mut block = Vec::new();
    encoder.response(StatusCode::from_u16(status).expect("a status"), headers, &mut block);
    block
}

/// An encoder whose peer knows that there is no table.
fn told() -> Encoder {
    Encoder { told: true }
}

#[test]
fn the_first_block_says_that_there_is_no_table() {
    let (mut encoder, none) = (Encoder::new(), HeaderMap::new());
    assert_eq!(response(&mut encoder, 200, &none), [0x20, 0x88]);
    assert_eq!(response(&mut encoder, 200, &none), [0x88]);
    let mut block = Vec::new();
    Encoder::new().trailers(&none, &mut block);
    assert_eq!(block, [0x20]);
}

#[test]
fn a_status_is_an_index_or_three_digits() {
    let none = HeaderMap::new();
    for (status, index) in [(200, 8), (204, 9), (206, 10), (304, 11), (400, 12), (404, 13), (500, 14)] {
        assert_eq!(response(&mut told(), status, &none), [0x80 | index]);
    }
    assert_eq!(response(&mut told(), 503, &none), b"\x08\x03503");
}

#[test]
fn an_answer_of_grpc_is_short() {
    let block = response(&mut told(), 200, &headers(&[("content-type", "application/grpc")]));
    assert_eq!(block, b"\x88\x0f\x10\x10application/grpc");
    let mut block = Vec::new();
    told().trailers(&headers(&[("grpc-status", "0")]), &mut block);
    assert_eq!(block, b"\x00\x0bgrpc-status\x010");
}

#[test]
fn whole_fields_that_everybody_knows_are_an_index() {
    let known = headers(&[("accept-encoding", "gzip, deflate"), ("server", "")]);
    assert_eq!(response(&mut told(), 200, &known), [0x88, 0x80 | 16, 0x80 | 54]);
}

#[test]
fn secrets_are_never_indexed() {
    let mut secret = HeaderValue::from_static("s");
    let block = |name, value: &HeaderValue| {
        let mut block = Vec::new();
        told().trailers(&HeaderMap::from_iter([(name, value.clone())]), &mut block);
        block
    };
    assert_eq!(block(header::SET_COOKIE, &secret), b"\x1f\x28\x01s");
    assert_eq!(block(header::AUTHORIZATION, &HeaderValue::from_static("")), b"\x1f\x08\x00");
    assert_eq!(block(header::ETAG, &secret), b"\x0f\x13\x01s");
    secret.set_sensitive(true);
    assert_eq!(block(header::ETAG, &secret), b"\x1f\x13\x01s");
}

#[test]
fn fields_of_the_connection_stay_here() {
    let mixed = headers(&[
        ("connection", "close"),
        ("keep-alive", "timeout=5"),
        ("proxy-connection", "close"),
        ("transfer-encoding", "chunked"),
        ("upgrade", "h2c"),
    ]);
    assert_eq!(response(&mut told(), 200, &mixed), [0x88]);
}

fn name() -> impl Strategy<Value = HeaderName> {
    let known = prop::sample::select(vec![header::DATE, header::SET_COOKIE, header::WWW_AUTHENTICATE, header::SERVER]);
    let text = "[a-z][a-z0-9-]{0,200}".prop_map(|name| HeaderName::try_from(name).expect("a name"));
    prop_oneof![known, text]
}

fn value() -> impl Strategy<Value = HeaderValue> {
    let octet = prop_oneof![b' '..=b'~', 0x80..=0xff_u8];
    vec(octet, 0..400).prop_map(|value| HeaderValue::from_bytes(&value).expect("a value"))
}

proptest! {
    #[test]
    fn answers_are_read_as_they_were_meant(
        answers in vec((100..1000_u16, vec((name(), value()), 0..10), vec((name(), value()), 0..3)), 1..4)
    ) {
        let (mut encoder, mut decoder) = (Encoder::new(), Decoder::new(4096));
        for (status, headers, trailers) in answers {
            let status_field = (b":status".to_vec(), status.to_string().into_bytes());
            let [headers, trailers] = [headers, trailers].map(|fields| fields.into_iter().fold(
                HeaderMap::new(),
                |mut map, (name, value)| {
                    map.append(name, value);
                    map
                },
            ));
            let block = response(&mut encoder, status, &headers);
            let mut ending = Vec::new();
            encoder.trailers(&trailers, &mut ending);
            let kept = |map: &HeaderMap| -> Vec<_> {
                let fields = map.iter().filter(|(name, _)| !of_connection(name));
                fields.map(|(name, value)| (name.as_str().as_bytes().to_vec(), value.as_bytes().to_vec())).collect()
            };
            for (block, meant) in [(block, [vec![status_field], kept(&headers)].concat()), (ending, kept(&trailers))] {
                let mut list = Vec::new();
                let result = decoder.decode(&block, &mut |name, value| list.push((name.to_vec(), value.to_vec())));
                prop_assert_eq!(result, Ok(()));
                prop_assert_eq!(list, meant);
            }
        }
    }
}
