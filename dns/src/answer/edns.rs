//! EDNS (RFC 6891): what a query's OPT record says, and the one in the response.

use hickory_proto::op::ResponseCode;

use super::Transport;

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
    /// 14: not ready to answer yet.
    NotReady,
    /// 20: not this server's zone.
    NotAuthoritative,
}

const OPT_TYPE: u16 = 41;
const EXTENDED_ERROR_OPTION: u16 = 15;
const DNSSEC_OK: u8 = 0x80;

// === impl Edns ===

impl Edns {
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
        let error = self.error.map(ExtendedError::code);
        let mut opt = vec![0]; // the root
        opt.extend(OPT_TYPE.to_be_bytes());
        opt.extend(UDP_PAYLOAD_MAX.to_be_bytes());
        opt.extend([rcode.high(), 0, if self.dnssec_ok { DNSSEC_OK } else { 0 }, 0]);
        match error {
            None => opt.extend([0, 0]),
            Some(code) => {
                let option = [6_u16, EXTENDED_ERROR_OPTION, 2, code];
                opt.extend(option.into_iter().flat_map(u16::to_be_bytes));
            }
        }
        opt
    }
}

impl From<&hickory_proto::op::Edns> for Edns {
    fn from(edns: &hickory_proto::op::Edns) -> Self {
        let (version, payload, dnssec_ok) = (edns.version(), edns.max_payload(), edns.flags().dnssec_ok);
        Self { version, payload, dnssec_ok, error: None }
    }
}

// === impl ExtendedError ===

impl ExtendedError {
    /// The number on the wire.
    pub fn code(self) -> u16 {
        match self {
            Self::NotReady => 14,
            Self::NotAuthoritative => 20,
        }
    }
}
