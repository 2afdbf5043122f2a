//! What the replica that asks for a name tells the others, as a message on the exchange.

use std::net::IpAddr;

use bytes::Bytes;
use prost::Message;
use rollcall_xds::proto::rollcall::v1;

use super::turns::Resolution;

/// What is said of a name.
pub fn body(says: &Resolution) -> Bytes {
    let octets = |ip: &IpAddr| match ip {
        IpAddr::V4(v4) => Bytes::copy_from_slice(&v4.octets()),
        IpAddr::V6(v6) => Bytes::copy_from_slice(&v6.octets()),
    };
    let message = v1::Resolved { addresses: says.addresses.iter().map(octets).collect(), words: says.words.clone() };
    message.encode_to_vec().into()
}

/// What a peer says. `None` when it cannot be read: then it is as if nothing were said.
pub fn read(body: Bytes) -> Option<Resolution> {
    let said = v1::Resolved::decode(body).ok()?;
    let ip = |octets: &Bytes| {
        let v4 = <[u8; 4]>::try_from(&octets[..]).map(IpAddr::from);
        v4.or_else(|_| <[u8; 16]>::try_from(&octets[..]).map(IpAddr::from)).ok()
    };
    let addresses = said.addresses.iter().map(ip).collect::<Option<_>>()?;
    Some(Resolution { addresses, words: said.words })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_said_is_read_as_it_was_said_and_nonsense_is_nothing() {
        let addresses = ["198.51.100.7", "2001:db8::7"].map(|ip| ip.parse().expect("an address"));
        let says = Resolution { addresses: addresses.into(), words: "has no address".into() };
        assert_eq!(read(body(&says)), Some(says));
        assert_eq!(read(Bytes::from_static(b"\xff")), None);
        let short = v1::Resolved { addresses: vec![Bytes::from_static(b"abc")], words: String::new() };
        assert_eq!(read(short.encode_to_vec().into()), None);
    }
}
