use super::*;

fn addr(text: &str) -> SocketAddr {
    text.parse().unwrap()
}

fn faults(targets: &[Target], listen: &[SocketAddr], expected: &str) {
    let resolved = resolve(targets, listen);
    assert!(resolved.faults.iter().any(|fault| fault.contains(expected)), "{expected:?} is not in {resolved:?}");
}

fn file(name: &str, text: &str) -> std::path::PathBuf {
    let path = std::env::temp_dir().join(format!("rollcall-{name}-{}", std::process::id()));
    std::fs::write(&path, text).unwrap();
    path
}

#[test]
fn addresses_and_files_come_in_the_order_of_the_flags_each_server_once() {
    let path = file("resolv.conf", "nameserver 192.0.2.2\nnameserver 192.0.2.1\n");
    let targets = [Target::Address(addr("192.0.2.1:53")), Target::ResolvConf(path.clone())];
    let resolved = resolve(&targets, &[]);
    std::fs::remove_file(path).unwrap();
    assert_eq!(resolved, Resolved { addrs: vec![addr("192.0.2.1:53"), addr("192.0.2.2:53")], faults: Vec::new() });
}

#[test]
fn what_is_wrong_with_a_file_is_said_with_the_remedy() {
    faults(&[Target::ResolvConf("/nowhere/resolv.conf".into())], &[], "cannot read /nowhere/resolv.conf");
    let path = file("bad.conf", "search example.com\nnameserver dns.example.com\n");
    let targets = [Target::ResolvConf(path.clone())];
    faults(&targets, &[], "names no server; add a line like");
    faults(&targets, &[], "\"nameserver dns.example.com\" names no address");
    std::fs::write(&path, "nameserver 127.0.0.1\n").unwrap();
    faults(&targets, &[addr("0.0.0.0:53")], "127.0.0.1:53, which is this server itself");
    let many: String = (1..=9).map(|n| format!("nameserver 192.0.2.{n}\n")).collect();
    std::fs::write(&path, many).unwrap();
    faults(&targets, &[], "192.0.2.9:53 is left out: 8 servers are the most");
    std::fs::remove_file(path).unwrap();
}

#[test]
fn an_own_address_that_was_given_by_itself_ends_the_start() {
    let targets = [Target::Address(addr("127.0.0.1:1053"))];
    let error = refuse_own(&targets, &[addr("127.0.0.1:1053")]).unwrap_err().to_string();
    assert!(error.contains("--forward 127.0.0.1:1053 is an address of this server"), "{error}");
    refuse_own(&targets, &[addr("127.0.0.1:53")]).unwrap();
}
