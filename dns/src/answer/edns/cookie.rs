//! Cookies (RFC 7873), made so that all servers with one secret take each other's (RFC 9018). Pure.

use std::hash::Hasher;
use std::net::IpAddr;

/// From a client: who it says it is.
pub type ClientCookie = [u8; 8];
/// As it is sent: the client's and ours.
pub type Cookie = [u8; 24];
/// What only the servers know.
pub type Secret = [u8; 16];

/// What a query says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shown {
    /// The client's cookie alone, or one that is not ours, or too old.
    Unknown(Cookie),
    /// One that we gave to this address.
    Known(Cookie),
}

/// The one version and three reserved bytes (RFC 9018 §4).
const VERSION: [u8; 4] = [1, 0, 0, 0];
/// Older ones are not taken, and one is given anew from half of that on (RFC 9018 §4.3), in seconds.
const OLDEST_S: i32 = 3600;
const RENEWED_S: i32 = 1800;
/// How far ahead another server's clock may be.
const AHEAD_S: i32 = 300;

// === impl Shown ===

impl Shown {
    /// Reads the data of the option and makes the answer's; `None` when its length is none of a cookie's.
    pub fn read(data: &[u8], from: IpAddr, now_s: u32, secret: &Secret) -> Option<Self> {
        let (client, rest) = data.split_first_chunk::<8>()?;
        if !matches!(rest.len(), 0 | 8..=32) {
            return None; // RFC 7873 §5.2.2
        }
        let fresh = |at_s: u32| cookie(*client, from, at_s, secret);
        let known = rest.first_chunk::<8>().filter(|_| rest.len() == 16 && rest.starts_with(&VERSION));
        let Some([.., t0, t1, t2, t3]) = known else { return Some(Self::Unknown(fresh(now_s))) };
        let at_s = u32::from_be_bytes([*t0, *t1, *t2, *t3]);
        // Serial numbers (RFC 1982): the difference has a sign.
        let age_s = now_s.wrapping_sub(at_s) as i32;
        let ours = fresh(at_s);
        if ours[8..] != *rest || !(-AHEAD_S..=OLDEST_S).contains(&age_s) {
            return Some(Self::Unknown(fresh(now_s)));
        }
        Some(Self::Known(if age_s > RENEWED_S { fresh(now_s) } else { ours }))
    }

    /// What the answer has.
    pub fn answer(&self) -> &Cookie {
        match self {
            Self::Unknown(cookie) | Self::Known(cookie) => cookie,
        }
    }
}

/// A client's cookie and ours for it (RFC 9018 §4.4).
fn cookie(client: ClientCookie, from: IpAddr, at_s: u32, secret: &Secret) -> Cookie {
    let mut cookie = [0; 24];
    cookie[..8].copy_from_slice(&client);
    cookie[8..12].copy_from_slice(&VERSION);
    cookie[12..16].copy_from_slice(&at_s.to_be_bytes());
    let hash = hash(&cookie[..16], from, secret);
    cookie[16..].copy_from_slice(&hash.to_le_bytes());
    cookie
}

/// SipHash-2-4, by which RFC 9018 has servers agree. The standard library says of it that it is not for new uses, which this is
/// not, and keeps it.
#[expect(deprecated, reason = "the algorithm is the RFC's choice")]
fn hash(bytes: &[u8], from: IpAddr, secret: &Secret) -> u64 {
    let half = |at: usize| u64::from_le_bytes(std::array::from_fn(|n| secret[at + n]));
    let mut hasher = std::hash::SipHasher::new_with_keys(half(0), half(8));
    hasher.write(bytes);
    match from {
        IpAddr::V4(from) => hasher.write(&from.octets()),
        IpAddr::V6(from) => hasher.write(&from.octets()),
    }
    hasher.finish()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bytes(text: &str) -> Vec<u8> {
        (0..text.len()).step_by(2).map(|at| u8::from_str_radix(&text[at..at + 2], 16).unwrap()).collect()
    }

    const CLIENT: &str = "2464c4abcf10c957";

    fn secret() -> Secret {
        bytes("e5e973e5a6b2a43f48e7dc849e37bfcf").try_into().unwrap()
    }

    fn from() -> IpAddr {
        "198.51.100.100".parse().unwrap()
    }

    #[test]
    fn a_new_cookie_is_that_of_rfc_9018_appendix_a_1() {
        let shown = Shown::read(&bytes(CLIENT), from(), 1_559_731_985, &secret()).unwrap();
        let expected: Cookie = bytes("2464c4abcf10c957010000005cf79f111f8130c3eee29480").try_into().unwrap();
        assert_eq!(shown, Shown::Unknown(expected));
        let again = Shown::read(&expected, from(), 1_559_731_985 + 60, &secret());
        assert_eq!(again, Some(Shown::Known(expected)));
    }

    #[test]
    fn one_of_another_address_client_secret_or_time_is_not_ours() {
        let now = 1_800_000_000;
        let good = *Shown::read(&bytes(CLIENT), from(), now, &secret()).unwrap().answer();
        let known = |cookie: &[u8], from: IpAddr, now: u32, secret: &Secret| {
            matches!(Shown::read(cookie, from, now, secret).unwrap(), Shown::Known(_))
        };
        assert!(known(&good, from(), now, &secret()));
        assert!(!known(&good, "198.51.100.101".parse().unwrap(), now, &secret()));
        assert!(!known(&good, from(), now, &[0; 16]));
        assert!(known(&good, from(), now + 3600, &secret()));
        assert!(!known(&good, from(), now + 3601, &secret()));
        assert!(known(&good, from(), now - 300, &secret()));
        assert!(!known(&good, from(), now - 301, &secret()));
        let mut other = good;
        other[0] ^= 1;
        assert!(!known(&other, from(), now, &secret()));
        assert!(!known(&good[..16], from(), now, &secret()));
    }

    #[test]
    fn half_an_hour_later_it_is_given_anew() {
        let now = 1_800_000_000;
        let good = *Shown::read(&bytes(CLIENT), from(), now, &secret()).unwrap().answer();
        let later = Shown::read(&good, from(), now + 1801, &secret()).unwrap();
        assert!(matches!(later, Shown::Known(cookie) if cookie != good), "{later:?}");
    }

    #[test]
    fn lengths_that_no_cookie_has_are_refused() {
        for len in (0..60).filter(|len| *len != 8 && !(16..=40).contains(len)) {
            assert_eq!(Shown::read(&vec![1; len], from(), 1, &secret()), None, "{len}");
        }
    }
}
