//! Tests: keeps the servers up to date.

use super::*;

fn addr(text: &str) -> SocketAddr {
    text.parse().unwrap()
}

fn faults(targets: &[Target], listen: &[SocketAddr], expected: &str) {
    let resolved = resolve(targets, listen);
    assert!(resolved.faults.iter().any(|fault| fault.contains(expected)), "{expected:?} is not in {resolved:?}");
}

/// A file that goes when a test ends, however it ends.
struct TempFile(std::path::PathBuf);

impl TempFile {
    fn new(name: &str, text: &str) -> Self {
        let file = Self(std::env::temp_dir().join(format!("rollcall-{name}-{}", std::process::id())));
        file.write(text);
        file
    }

    fn write(&self, text: &str) {
        std::fs::write(&self.0, text).unwrap();
    }

    fn target(&self) -> Target {
        Target::ResolvConf(self.0.clone())
    }
}

impl Drop for TempFile {
    fn drop(&mut self) {
        drop(std::fs::remove_file(&self.0));
    }
}

#[test]
fn addresses_and_files_come_in_the_order_of_the_flags_each_server_once() {
    let file = TempFile::new("resolv.conf", "nameserver 192.0.2.2\nnameserver 192.0.2.1\n");
    let targets = [Target::Server(addr("192.0.2.1:53").into()), file.target()];
    let resolved = resolve(&targets, &[]);
    assert_eq!(
        resolved,
        Resolved { servers: vec![addr("192.0.2.1:53").into(), addr("192.0.2.2:53").into()], faults: Vec::new() }
    );
}

#[test]
fn what_is_wrong_with_a_file_is_said_with_the_remedy() {
    faults(&[Target::ResolvConf("/nowhere/resolv.conf".into())], &[], "cannot read /nowhere/resolv.conf");
    let file = TempFile::new("bad.conf", "search example.com\nnameserver dns.example.com\n");
    let targets = [file.target()];
    faults(&targets, &[], "names no server; add a line like");
    faults(&targets, &[], "\"nameserver dns.example.com\" names no address");
    file.write("nameserver 127.0.0.1\n");
    faults(&targets, &[addr("0.0.0.0:53")], "127.0.0.1:53, which is this server itself");
    let many: String = (1..=9).map(|n| format!("nameserver 192.0.2.{n}\n")).collect();
    file.write(&many);
    faults(&targets, &[], "192.0.2.9:53 is left out: 8 servers are the most");
}

#[test]
fn an_own_address_that_was_given_by_itself_ends_the_start() {
    let targets = [Target::Server(addr("127.0.0.1:1053").into())];
    let error = refuse_own(&targets, &[addr("127.0.0.1:1053")]).unwrap_err().to_string();
    assert!(error.contains("--forward 127.0.0.1:1053 is an address of this server"), "{error}");
    refuse_own(&targets, &[addr("127.0.0.1:53")]).unwrap();
}
