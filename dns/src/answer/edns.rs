//! EDNS (RFC 6891): what a query's OPT record says, and the one in the response.

use hickory_proto::op::ResponseCode;

use super::Transport;
use super::wire::{Span, options};

/// Largest UDP payload that is sent or invited: what passes every path without fragments (DNS flag day 2020).
pub const UDP_PAYLOAD_MAX: u16 = 1232;
/// Largest UDP payload without EDNS (RFC 1035 §4.2.1), and the least that a sender can ask for (RFC 6891 §6.2.3).
pub const UDP_PAYLOAD_PLAIN: u16 = 512;

/// The part of an OPT record that matters here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Edns {
    /// Of the query; the response always says 0, the one version there is.
    pub version: u8,
    /// What the sender can take, in bytes, as sent.
    pub payload: u16,
    /// DO, which is copied (RFC 3225 §3).
    pub dnssec_ok: bool,
    /// What the response explains.
    pub error: Option<ExtendedError>,
}

/// Extended DNS errors (RFC 8914 §4).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ExtendedError {
    /// 0: what the other codes do not say; here, too many questions at once for other servers.
    Other,
    /// 3: what was known before, since nothing newer can be had.
    StaleAnswer,
    /// 13: it failed of late, and is not asked again yet.
    CachedError,
    /// 14: not ready to answer yet.
    NotReady,
    /// 20: not this server's zone.
    NotAuthoritative,
    /// 22: none of the servers that the question was forwarded to answered; or what is known of the service is too old to be
    /// told, by its policy, and nothing newer can be had.
    NoReachableAuthority,
    /// 23: the servers to forward to cannot be reached, talk nonsense, or may not be asked because they lead back here.
    NetworkError,
}

/// The type of an OPT record.
pub const OPT_TYPE: u16 = 41;
/// The option that carries an extended error (RFC 8914 §2).
pub const EXTENDED_ERROR_OPTION: u16 = 15;
/// DO in the third byte of an OPT record's TTL.
const DNSSEC_OK: u8 = 0x80;

// === impl Edns ===

impl Edns {
    /// Reads an OPT record (RFC 6891 §6.1.2). `None` when its options are not whole; what is in them does not matter.
    pub fn read(record: &Span, data: &[u8]) -> Option<Self> {
        let [_, version, flags, _] = record.ttl;
        let whole = options(data).all(|option| option.is_some());
        whole.then_some(Self { version, payload: record.class, dnssec_ok: flags & DNSSEC_OK != 0, error: None })
    }

    /// How long a response may be, in bytes.
    pub fn limit(edns: Option<&Self>, transport: Transport) -> u16 {
        match transport {
            Transport::Tcp => u16::MAX,
            Transport::Udp => {
                edns.map_or(UDP_PAYLOAD_PLAIN, |edns| edns.payload.clamp(UDP_PAYLOAD_PLAIN, UDP_PAYLOAD_MAX))
            }
        }
    }

    /// The response's OPT record as bytes. It never shares a name with the rest, so it can be put at the end of a
    /// response that was cut.
    pub fn encode(&self, rcode: ResponseCode) -> Vec<u8> {
        let option = |error: ExtendedError| [EXTENDED_ERROR_OPTION, 2, error.code()].map(u16::to_be_bytes).concat();
        opt_record(rcode.high(), self.dnssec_ok, &self.error.map(option).unwrap_or_default())
    }
}

/// An OPT record that invites [`UDP_PAYLOAD_MAX`] bytes; `options` are as on the wire, at most 65,535 bytes.
pub fn opt_record(rcode_high: u8, dnssec_ok: bool, options: &[u8]) -> Vec<u8> {
    let mut opt = vec![0]; // the root
    opt.extend(OPT_TYPE.to_be_bytes());
    opt.extend(UDP_PAYLOAD_MAX.to_be_bytes());
    opt.extend([rcode_high, 0, if dnssec_ok { DNSSEC_OK } else { 0 }, 0]);
    opt.extend((options.len() as u16).to_be_bytes());
    opt.extend(options);
    opt
}

// === impl ExtendedError ===

impl ExtendedError {
    /// The number on the wire.
    pub fn code(self) -> u16 {
        match self {
            Self::Other => 0,
            Self::StaleAnswer => 3,
            Self::CachedError => 13,
            Self::NotReady => 14,
            Self::NotAuthoritative => 20,
            Self::NoReachableAuthority => 22,
            Self::NetworkError => 23,
        }
    }
}
