//! Writing answers as bytes.

use std::net::IpAddr;

use hickory_proto::op::ResponseCode;
use hickory_proto::rr::Name;

use super::asked::Asked;
use super::{A, AAAA, CNAME, PTR, SOA, SRV};
use crate::answer::edns::Edns;
use crate::answer::wire::HEADER_BYTES;
use crate::zone::apex::{Kinship, Wire};

/// Longest name on the wire (RFC 1035 §2.3.4).
const NAME_BYTES_MAX: usize = 255;
/// A pointer to the question's name.
const TO_QUESTION: [u8; 2] = [0xc0, HEADER_BYTES as u8];
/// SOA: refresh, retry and expire, in seconds, as [`Apex::soa`](crate::zone::apex::Apex::soa) has them.
const SOA_TIMES: [u32; 3] = [7200, 1800, 86400];
/// The last label of a name server before the zone's name.
const SERVERS: &[u8] = b"\x03dns";
const HOST_MASTER: &[u8] = b"\x0ahostmaster";

/// Writes records behind header and question, whole, as long as they fit.
pub(super) struct Writer<'a> {
    out: &'a mut Vec<u8>,
    /// For all but OPT.
    limit: usize,
    answers: u16,
    authorities: u16,
    additionals: u16,
    /// An answer did not fit.
    truncated: bool,
    /// An additional record did not fit.
    full: bool,
}

// === impl Writer ===

impl<'a> Writer<'a> {
    /// Begins an answer of at most `limit` bytes with the question; the header follows at the end.
    pub(super) fn new(asked: &Asked<'_>, limit: u16, out: &'a mut Vec<u8>) -> Self {
        let opt = asked.edns.as_ref().map_or(0, Edns::bytes);
        out.extend_from_slice(asked.bytes);
        let limit = usize::from(limit).saturating_sub(opt);
        Self { out, limit, answers: 0, authorities: 0, additionals: 0, truncated: false, full: false }
    }

    /// An address at the question's name. Whether it fits.
    pub(super) fn address(&mut self, asked: &Asked<'_>, address: IpAddr, ttl: u32) -> bool {
        debug_assert!([A, AAAA].contains(&asked.rtype));
        self.answer(|out| put_address(out, TO_QUESTION, address, ttl))
    }

    /// An address at the name that begins at a label of the question's.
    pub(super) fn additional(&mut self, asked: &Asked<'_>, label: usize, address: IpAddr, ttl: u32) {
        if self.truncated || self.full {
            return;
        }
        let fits = self.whole(|out| put_address(out, asked.pointer(label), address, ttl));
        self.additionals += u16::from(fits);
        self.full = !fits;
    }

    /// A port at the name that begins at a label of the question's, which is in lower case.
    pub(super) fn service_port(&mut self, asked: &Asked<'_>, label: usize, port: u16, ttl: u32) {
        let target = asked.spelled(label);
        self.answer(|out| {
            put_fixed(out, TO_QUESTION, SRV, ttl, 6 + target.len() + 1);
            // Priority and weight: one target, nothing to weigh.
            out.extend_from_slice(&[0; 4]);
            out.extend_from_slice(&port.to_be_bytes());
            out.extend_from_slice(target);
            out.push(0);
        });
    }

    /// A port of an endpoint, by priority, weight and number, and by its label below the name that begins at a label of the question's, in lower case. Where its name lies
    /// if it fits.
    pub(super) fn target(&mut self, asked: &Asked<'_>, label: &str, own: usize, numbers: [u16; 3], ttl: u32) -> usize {
        const NUMBERS: usize = 6;
        let own = asked.lower(own);
        let place = self.out.len() + 12 + NUMBERS;
        self.answer(|out| {
            put_fixed(out, TO_QUESTION, SRV, ttl, NUMBERS + 1 + label.len() + own.len() + 1);
            for number in numbers {
                out.extend_from_slice(&number.to_be_bytes());
            }
            out.push(label.len() as u8); // at most 63
            out.extend_from_slice(label.as_bytes());
            out.extend_from_slice(own);
            out.push(0);
        });
        place
    }

    /// An address at a name that was written at a place, which pointers reach.
    pub(super) fn beside(&mut self, place: u16, address: IpAddr, ttl: u32) {
        if self.truncated || self.full {
            return;
        }
        let fits = self.whole(|out| put_address(out, (0xc000 | place).to_be_bytes(), address, ttl));
        self.additionals += u16::from(fits);
        self.full = !fits;
    }

    /// The name of a service `NAMESPACE/NAME` below a domain, or of its endpoint with this label. `None`, and nothing
    /// written, when that is longer than a name may be.
    pub(super) fn pointer(
        &mut self,
        _asked: &Asked<'_>,
        label: Option<&str>,
        key: &str,
        domain: &[u8],
        ttl: u32,
    ) -> Option<bool> {
        let (namespace, name) = key.split_once('/')?;
        let bytes = |label: &str| 1 + label.len();
        let len = label.map_or(0, bytes) + bytes(name) + bytes(namespace) + 4 + domain.len() + 1;
        if len > NAME_BYTES_MAX {
            return None;
        }
        self.answer(|out| {
            put_fixed(out, TO_QUESTION, PTR, ttl, len);
            for label in label.into_iter().chain([name, namespace, "svc"]) {
                out.push(label.len() as u8); // at most 63
                out.extend_from_slice(label.as_bytes());
            }
            out.extend_from_slice(domain);
            out.push(0);
        });
        Some(true)
    }

    /// The name that the question's name stands for.
    pub(super) fn alias(&mut self, target: &Name, ttl: u32) {
        let len = target.iter().map(|label| 1 + label.len()).sum::<usize>() + 1;
        self.answer(|out| {
            put_fixed(out, TO_QUESTION, CNAME, ttl, len);
            for label in target.iter() {
                out.push(label.len() as u8); // at most 63
                out.extend_from_slice(label);
            }
            out.push(0);
        });
    }

    /// The SOA of a negative answer, for a zone whose name is written, up to where a pointer leads on, or to its end. `None` where its
    /// names need the other way.
    pub(super) fn soa(
        &mut self,
        written: &[u8],
        rest: Option<[u8; 2]>,
        wire: &Wire,
        ttl: u32,
        serial: u32,
    ) -> Option<()> {
        let begin = self.out.len();
        let (ends, end): (&[u8], _) = match &rest {
            Some(pointer) => (pointer, 2),
            None => (&[0], 1),
        };
        let servers = begin + written.len() + end + 10 + wire.name_server.len();
        // A message is shorter than the reach of pointers here.
        let zone = rest.filter(|_| written.is_empty()).unwrap_or_else(|| (0xc000 | begin as u16).to_be_bytes());
        let names = match wire.kinship {
            Kinship::Same => wire.name_server.len() + 2,
            Kinship::None => wire.name_server.len() + wire.servers.len() + 1,
            Kinship::Some => return None,
        };
        // A message is shorter than the reach of pointers here: the question and no other record lie before.
        let below = |place: usize| (0xc000 | place as u16).to_be_bytes();
        let host_master = match wire.kinship {
            Kinship::Same if wire.is_host_master_beside => below(servers - SERVERS.len()),
            Kinship::Same => zone,
            Kinship::None | Kinship::Some => below(servers),
        };
        let fits = self.whole(|out| {
            out.extend_from_slice(written);
            out.extend_from_slice(ends);
            put_rest(out, SOA, ttl, names + HOST_MASTER.len() + 2 + 20);
            out.extend_from_slice(wire.name_server);
            match wire.kinship {
                Kinship::Same => out.extend_from_slice(&zone),
                Kinship::None | Kinship::Some => {
                    out.extend_from_slice(&wire.servers);
                    out.push(0);
                }
            }
            out.extend_from_slice(HOST_MASTER);
            out.extend_from_slice(&host_master);
            out.extend_from_slice(&serial.to_be_bytes());
            SOA_TIMES.iter().chain([&ttl]).for_each(|seconds| out.extend_from_slice(&seconds.to_be_bytes()));
        });
        self.authorities += u16::from(fits);
        self.truncated |= !fits;
        Some(())
    }

    /// Adds OPT and the header. Whether TC is set.
    pub(super) fn finish(self, asked: &Asked<'_>, rcode: ResponseCode, recursion_available: bool) -> bool {
        let mut additionals = self.additionals;
        if let Some(edns) = &asked.edns {
            edns.put(rcode.high(), self.out);
            additionals += 1;
        }
        let bit = |set: bool, bit: u8| if set { bit } else { 0 };
        // The id stays; of the flags RD does. AA is set: all of it is the catalog's.
        self.out[2] = 0x84 | bit(self.truncated, 0x02) | self.out[2] & 0x01;
        self.out[3] = bit(recursion_available, 0x80) | rcode.low();
        for (place, count) in
            self.out[6..HEADER_BYTES].chunks_exact_mut(2).zip([self.answers, self.authorities, additionals])
        {
            place.copy_from_slice(&count.to_be_bytes());
        }
        self.truncated
    }

    fn answer(&mut self, put: impl FnOnce(&mut Vec<u8>)) -> bool {
        let fits = !self.truncated && self.whole(put);
        self.answers += u16::from(fits);
        self.truncated |= !fits;
        fits
    }

    /// Writes all that `put` does, or nothing of it.
    fn whole(&mut self, put: impl FnOnce(&mut Vec<u8>)) -> bool {
        let before = self.out.len();
        put(self.out);
        let fits = self.out.len() <= self.limit;
        if !fits {
            self.out.truncate(before);
        }
        fits
    }
}

/// A record up to its data, of `len` bytes, which are fewer than 65,536.
fn put_fixed(out: &mut Vec<u8>, owner: [u8; 2], rtype: u16, ttl: u32, len: usize) {
    let ([o0, o1], [r0, r1, c0, c1, t0, t1, t2, t3, l0, l1]) = (owner, rest(rtype, ttl, len));
    out.extend_from_slice(&[o0, o1, r0, r1, c0, c1, t0, t1, t2, t3, l0, l1]);
}

/// The same without the owner.
fn put_rest(out: &mut Vec<u8>, rtype: u16, ttl: u32, len: usize) {
    out.extend_from_slice(&rest(rtype, ttl, len));
}

fn rest(rtype: u16, ttl: u32, len: usize) -> [u8; 10] {
    let ([r0, r1], [t0, t1, t2, t3], [l0, l1]) = (rtype.to_be_bytes(), ttl.to_be_bytes(), (len as u16).to_be_bytes());
    [r0, r1, 0, 1, t0, t1, t2, t3, l0, l1]
}

/// At once, since some answers have many.
fn put_address(out: &mut Vec<u8>, owner: [u8; 2], address: IpAddr, ttl: u32) {
    match address {
        IpAddr::V4(address) => {
            let ([o0, o1], [a0, a1, a2, a3]) = (owner, address.octets());
            let [r0, r1, c0, c1, t0, t1, t2, t3, l0, l1] = rest(A, ttl, 4);
            out.extend_from_slice(&[o0, o1, r0, r1, c0, c1, t0, t1, t2, t3, l0, l1, a0, a1, a2, a3]);
        }
        IpAddr::V6(address) => {
            put_fixed(out, owner, AAAA, ttl, 16);
            out.extend_from_slice(&address.octets());
        }
    }
}
