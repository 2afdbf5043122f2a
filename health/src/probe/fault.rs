//! Which errors are ours and say nothing about the target.

use std::error::Error;
use std::io;

use rollcall_catalog::model::Name;

use crate::outcome::LocalFault;

/// Why a probe did not pass.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Failed {
    /// Because of the target, in words that follow what was tried.
    Target(String),
    /// Because of us, in words of its own where the fault's own do not say enough.
    Local(LocalFault, Option<Name>),
}

/// What an error while connecting means.
pub(super) fn connecting(error: io::Error) -> Failed {
    if let Some(fault) = local(&error) {
        return Failed::Local(fault, None);
    }
    Failed::Target(match error.kind() {
        io::ErrorKind::ConnectionRefused => "was refused: nothing listens there".to_owned(),
        io::ErrorKind::HostUnreachable => format!("failed: the host does not answer ({error})"),
        _ => format!("failed: {error}"),
    })
}

/// The local fault in an error or what caused it.
pub(super) fn local_in(error: &(dyn Error + 'static)) -> Option<LocalFault> {
    let mut cause = Some(error);
    while let Some(error) = cause {
        if let Some(fault) = error.downcast_ref().and_then(local) {
            return Some(fault);
        }
        cause = error.source();
    }
    None
}

/// The local fault that an error of the operating system is, if it is one.
///
/// ENETUNREACH comes from our own routing table: what a router far away says in an ICMP message does not end a connection
/// attempt (RFC 5461 §2.1). EHOSTUNREACH is not here: on the target's own link it says that the target is dark.
fn local(error: &io::Error) -> Option<LocalFault> {
    /// The codes of Linux, alike on all its architectures that Rust's tier 1 and 2 know with a host.
    mod errno {
        pub(super) const EPERM: i32 = 1;
        pub(super) const ENOMEM: i32 = 12;
        pub(super) const EACCES: i32 = 13;
        pub(super) const ENFILE: i32 = 23;
        pub(super) const EMFILE: i32 = 24;
        pub(super) const EAFNOSUPPORT: i32 = 97;
        pub(super) const EADDRINUSE: i32 = 98;
        pub(super) const EADDRNOTAVAIL: i32 = 99;
        pub(super) const ENETDOWN: i32 = 100;
        pub(super) const ENETUNREACH: i32 = 101;
        pub(super) const ENOBUFS: i32 = 105;
    }
    let Some(code) = error.raw_os_error() else {
        // One that wraps another does not name it as its source.
        return local(error.get_ref()?.downcast_ref()?);
    };
    match code {
        errno::EMFILE | errno::ENFILE => Some(LocalFault::Descriptors),
        errno::EADDRNOTAVAIL | errno::EADDRINUSE => Some(LocalFault::Ports),
        errno::ENOMEM | errno::ENOBUFS => Some(LocalFault::Memory),
        errno::EACCES | errno::EPERM => Some(LocalFault::Denied),
        errno::ENETUNREACH | errno::ENETDOWN | errno::EAFNOSUPPORT => Some(LocalFault::NoRoute),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_we_lack_is_no_result_about_the_target() {
        let fault = |code| local(&io::Error::from_raw_os_error(code));
        let codes = [24, 23, 99, 98, 12, 105, 1, 13, 101, 100, 97];
        assert!(codes.iter().all(|code| fault(*code).is_some()));
        for (code, name) in [(111, "refused"), (104, "reset"), (110, "timed out"), (113, "no route to host")] {
            assert_eq!(fault(code), None, "{name} is about the target");
        }
        assert_eq!(local(&io::Error::other("a word")), None);
    }

    #[test]
    fn a_local_fault_is_found_below_other_errors() {
        let error = io::Error::other(io::Error::from_raw_os_error(105));
        assert_eq!(local_in(&error), Some(LocalFault::Memory));
    }
}
