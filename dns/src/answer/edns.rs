//! EDNS (RFC 6891): what a query's OPT record says, and the one in the response.
//!
//! - [`cookie`]: who is who it says it is
//! - [`padding`]: lengths that say nothing

pub mod cookie;
pub mod padding;

use super::asker::Asker;
use super::wire::{Span, options};
use super::{Manner, Transport};
use cookie::Shown;

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
    /// The query's cookie.
    pub cookie: Option<Shown>,
    /// This server's name, where the query asks for it (RFC 5001).
    pub nsid: &'static [u8],
    /// The query asks for how long its stream may idle (RFC 7828).
    pub keepalive: bool,
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
    /// 18: not for this client.
    Prohibited,
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
/// The option that asks for, and has, the server's name (RFC 5001 §2.3).
const NSID_OPTION: u16 = 3;
/// The option of cookies (RFC 7873 §4).
pub const COOKIE_OPTION: u16 = 10;
/// The option that asks for, and has, the time that a stream may idle (RFC 7828 §3.1).
pub const KEEPALIVE_OPTION: u16 = 11;
/// That time, in tenths of a second.
pub const STREAM_IDLE_TENTHS: u16 = 50;
/// The option that makes messages longer (RFC 7830).
pub const PADDING_OPTION: u16 = 12;
/// An OPT record without options.
pub const OPT_BYTES: usize = 11;
/// DO in the third byte of an OPT record's TTL.
const DNSSEC_OK: u8 = 0x80;

// === impl Edns ===

impl Edns {
    /// Reads an OPT record (RFC 6891 §6.1.2). `None` when its options are not whole, or a cookie has a length that none has; what
    /// else is in them does not matter.
    pub fn read(record: &Span, data: &[u8], asker: &Asker, manner: &Manner) -> Option<Self> {
        let [_, version, flags, _] = record.ttl;
        let dnssec_ok = flags & DNSSEC_OK != 0;
        let mut edns =
            Self { version, payload: record.class, dnssec_ok, error: None, cookie: None, nsid: &[], keepalive: false };
        for option in options(data) {
            match option? {
                // Of several the first counts (RFC 7873 §5.2).
                (COOKIE_OPTION, bytes) if edns.cookie.is_none() => {
                    let shown = Shown::read(bytes.get(4..)?, asker.from, asker.now_s, &manner.secret)?;
                    edns.cookie = Some(shown);
                }
                (NSID_OPTION, _) => edns.nsid = manner.nsid,
                // Over UDP it means nothing (RFC 7828 §3.2.1).
                (KEEPALIVE_OPTION, _) => edns.keepalive = asker.transport == Transport::Tcp,
                _ => {}
            }
        }
        Some(edns)
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

    /// The option that says an error, without a text.
    pub fn error_option(error: ExtendedError) -> Vec<u8> {
        [EXTENDED_ERROR_OPTION, 2, error.code()].map(u16::to_be_bytes).concat()
    }

    /// Whether the client has shown a cookie that this server, or another one with its secret, gave to its address.
    pub fn is_known(edns: Option<&Self>) -> bool {
        edns.is_some_and(|edns| matches!(edns.cookie, Some(Shown::Known(_))))
    }

    /// How long the response's OPT record is, in bytes.
    pub fn bytes(&self) -> usize {
        let error = self.error.map_or(0, |_| 6);
        let cookie = self.cookie.map_or(0, |shown| 4 + shown.answer().len());
        let nsid = if self.nsid.is_empty() { 0 } else { 4 + self.nsid.len() };
        let keepalive = if self.keepalive { 6 } else { 0 };
        OPT_BYTES + error + cookie + nsid + keepalive
    }

    /// Writes the response's OPT record. It never shares a name with the rest, so it can be put at the end of a response that
    /// was cut.
    pub fn put(&self, rcode_high: u8, out: &mut Vec<u8>) {
        let len = self.bytes() - OPT_BYTES;
        put_fixed(rcode_high, self.dnssec_ok, len, out);
        self.put_options(out);
    }

    /// Its options alone.
    pub fn put_options(&self, out: &mut Vec<u8>) {
        let mut put = |code: u16, data: &[u8]| {
            out.extend_from_slice(&code.to_be_bytes());
            out.extend_from_slice(&(data.len() as u16).to_be_bytes()); // at most 255
            out.extend_from_slice(data);
        };
        if let Some(error) = self.error {
            put(EXTENDED_ERROR_OPTION, &error.code().to_be_bytes());
        }
        if let Some(shown) = &self.cookie {
            put(COOKIE_OPTION, shown.answer());
        }
        if !self.nsid.is_empty() {
            put(NSID_OPTION, self.nsid);
        }
        if self.keepalive {
            put(KEEPALIVE_OPTION, &STREAM_IDLE_TENTHS.to_be_bytes());
        }
    }
}

/// An OPT record that invites [`UDP_PAYLOAD_MAX`] bytes; `options` are as on the wire, at most 65,535 bytes.
pub fn opt_record(rcode_high: u8, dnssec_ok: bool, options: &[u8]) -> Vec<u8> {
    let mut opt = Vec::with_capacity(OPT_BYTES + options.len());
    put_fixed(rcode_high, dnssec_ok, options.len(), &mut opt);
    opt.extend_from_slice(options);
    opt
}

/// An OPT record up to its options, of `len` bytes.
pub fn put_fixed(rcode_high: u8, dnssec_ok: bool, len: usize, out: &mut Vec<u8>) {
    let ([type_0, type_1], [payload_0, payload_1]) = (OPT_TYPE.to_be_bytes(), UDP_PAYLOAD_MAX.to_be_bytes());
    let ([len_0, len_1], flags) = ((len as u16).to_be_bytes(), if dnssec_ok { DNSSEC_OK } else { 0 });
    // First the root.
    out.extend_from_slice(&[0, type_0, type_1, payload_0, payload_1, rcode_high, 0, flags, 0, len_0, len_1]);
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
            Self::Prohibited => 18,
            Self::NotAuthoritative => 20,
            Self::NoReachableAuthority => 22,
            Self::NetworkError => 23,
        }
    }
}
