//! The network that end-to-end tests are in: where they find addresses to register that are not loopback.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::path::Path;
use std::process::Command;

use rollcall_e2e::net;

/// Where tests run.
#[derive(Clone, Copy, Debug)]
pub(super) enum Network {
    /// Each program in a network of its own, where nothing of this machine disturbs it: the arguments of `unshare`.
    Own(&'static [&'static str]),
    /// Somebody has named addresses of this machine.
    Given,
}

/// What helps those who have neither, a line each.
pub(super) fn remedies() -> Vec<String> {
    let variable = net::ADDRESSES;
    vec![
        "network namespaces are refused here. One of these will do:".to_owned(),
        "run this as root".to_owned(),
        "let users make namespaces: sysctl --write kernel.apparmor_restrict_unprivileged_userns=0 (Ubuntu), \
         kernel.unprivileged_userns_clone=1 (Debian)"
            .to_owned(),
        format!(
            "let root add addresses to this machine, and name them: export {variable}='{}'; \
             for address in ${variable}; do ip address add $address dev lo; done",
            address_words()
        ),
    ]
}

// === impl Network ===

impl Network {
    /// The best that there is, if any.
    pub(super) fn find() -> Option<Self> {
        const WAYS: [&[&str]; 2] = [&["--net"], &["--net", "--map-root-user"]];
        let works = |way: &&&[&str]| {
            let probe = ["sh", "-c", "ip link set lo up && ip address add 198.51.100.11 dev lo"];
            Command::new("unshare").args(**way).args(probe).output().is_ok_and(|output| output.status.success())
        };
        let own = WAYS.iter().find(works).copied().map(Self::Own);
        own.or_else(|| std::env::var_os(net::ADDRESSES).map(|_| Self::Given))
    }

    /// Whether programs would meet in it.
    pub(super) fn is_shared(self) -> bool {
        matches!(self, Self::Given)
    }

    /// A program in it.
    pub(super) fn command(self, program: &Path) -> Command {
        const SCRIPT: &str = "ip link set lo up && for address in $ROLLCALL_E2E_ADDRESSES; do \
                              ip address add \"$address\" dev lo || exit 1; done && exec \"$@\"";
        match self {
            Self::Own(unshare) => {
                let mut command = Command::new("unshare");
                command.args(unshare).args(["sh", "-c", SCRIPT, "sh"]).arg(program);
                command.env(net::ADDRESSES, address_words());
                command
            }
            Self::Given => Command::new(program),
        }
    }
}

/// Addresses that RFC 5737 and RFC 3849 set aside for examples, as [`net::ADDRESSES`] has them.
fn address_words() -> String {
    let v4 = (11..=16).map(|host| IpAddr::from(Ipv4Addr::new(198, 51, 100, host)));
    let v6 = (0x11..=0x12).map(|host| IpAddr::from(Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, host)));
    v4.chain(v6).map(|address| address.to_string()).collect::<Vec<_>>().join(" ")
}
