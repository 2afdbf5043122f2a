//! What is read of files, and what is said of those that cannot be used.

use std::path::PathBuf;
use std::time::Duration;

use tempfile::TempDir;

use super::*;

const AGENT: &str = r#"
machine = "vm-17"
controllers = ["https://rollcall.example.net:18000"]
ca_file = "ca.crt"
token_file = "token"
cert_file = "tls.crt"
key_file = "tls.key"
services = "services.d"
namespace = "shop"
addresses = ["192.0.2.17"]

[scripts]
allow = true
allow_root = true
"#;

struct Files(TempDir);

impl Files {
    fn new(agent: &str, services: &[(&str, &str)]) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        std::fs::write(folder.path().join("agent.toml"), agent).expect("written");
        std::fs::create_dir(folder.path().join("services.d")).expect("made");
        for (name, text) in services {
            std::fs::write(folder.path().join("services.d").join(name), text).expect("written");
        }
        Self(folder)
    }

    fn load(&self) -> Config {
        Config::load(&self.0.path().join("agent.toml"))
    }

    fn said(&self) -> Vec<String> {
        let folder = format!("{}/", self.0.path().display());
        self.load().problems.iter().map(|problem| problem.to_string().replace(&folder, "")).collect()
    }
}

#[test]
fn a_service_file_is_read_whole() {
    let payments = r#"
service = "payments"
ports = { http = 8080, metrics = 9090 }
weight = 3
tags = ["canary"]
metadata = { rack_no = "12" }
heartbeat = { interval = "1s", ttl = "5s" }
deregister_after = "90m"
drain = "10s"

[[check]]
name = "web"
http = { path = "/healthz", port = "http" }
interval = "2s"
retry_interval = "1s"

[[local_check]]
name = "disk"
script = ["/usr/lib/check-disk", "/"]
interval = "30s"
"#;
    let other = "service = \"cart\"\nnamespace = \"store\"\nports = 80\naddresses = [\"2001:db8::17\"]\n";
    let files = Files::new(AGENT, &[("payments.toml", payments), ("cart.toml", other), ("readme.txt", "no TOML")]);
    let config = files.load();
    assert_eq!(files.said(), Vec::<String>::new());
    assert_eq!(config.agent.ca_file, Some(files.0.path().join("ca.crt")), "beside the file that names it");
    let own = config.agent.own.as_ref().map(|own| [own.certificate.clone(), own.key.clone()]);
    assert_eq!(own, Some(["tls.crt", "tls.key"].map(|name| files.0.path().join(name))));
    assert_eq!(config.services.keys().collect::<Vec<_>>(), ["shop/payments", "store/cart"]);
    let service = &config.services["shop/payments"];
    let said = &service.instance;
    let ports: Vec<_> = said.ports.iter().map(|port| (&*port.name, port.port)).collect();
    assert_eq!((ports, said.weight), (vec![("http", 8080), ("metrics", 9090)], 3));
    assert_eq!((&*said.metadata[0].key, &*said.metadata[0].value), ("rack_no", "12"), "keys stay as they are");
    assert_eq!(said.heartbeat, r#"{"interval":"1s","ttl":"5s"}"#);
    assert!(said.checks[0].contains(r#""retryInterval":"1s""#), "as the API has it: {}", said.checks[0]);
    assert_eq!((&*said.local_checks, &*said.deregister_after), (&["disk".to_owned()][..], "1h30m"));
    assert_eq!((service.beat, service.drain), (Duration::from_secs(1), Duration::from_secs(10)));
    assert_eq!(service.checks[0].how, How::Script(vec!["/usr/lib/check-disk".into(), "/".into()]));
    assert_eq!(config.services["store/cart"].beat, Duration::from_secs(2));
}

#[test]
fn a_wrong_key_is_named_with_its_line_and_harms_only_its_service() {
    let bad = "service = \"payments\"\nport = 8080\nports = 8080\n";
    let files = Files::new(
        AGENT,
        &[("bad.toml", bad), ("good.toml", "service = \"cart\"\nports = 80\n"), ("no.toml", "service = ")],
    );
    let said = files.said();
    assert_eq!(said.len(), 2, "{said:?}");
    assert_eq!(said[0], "services.d/bad.toml:2: port: there is no such key; did you mean `ports`?");
    assert!(said[1].starts_with("services.d/no.toml:1: this is no TOML: "), "{said:?}");
    assert!(files.load().services.contains_key("shop/cart") && !files.load().is_unusable);
}

#[test]
fn what_is_wrong_in_a_service_is_said_with_the_remedy() {
    let cases = [
        ("ports = 80", "service: is missing"),
        ("service = \"A\"\nports = 80", "service: \"A\": use a-z"),
        ("service = \"a\"", "ports: is missing; give a number"),
        ("service = \"a\"\nports = 70000", "give a port from 1 to 65535"),
        ("service = \"a\"\nports = { HTTP = 80 }", "ports.HTTP: use a-z"),
        ("service = \"a\"\nports = 80\naddresses = [\"db\"]", "names are not resolved"),
        ("service = \"a\"\nports = 80\nweight = 0", "weight: give a whole number from 1 to 65535"),
        ("service = \"a\"\nports = 80\n[[check]]\nname = \"web\"", "it says nothing to do"),
        (
            "service = \"a\"\nports = 80\n[[check]]\nname = \"web\"\ntcp = {}\nintervall = \"1s\"",
            "intervall: there is no such key",
        ),
        (
            "service = \"a\"\nports = 80\n[[check]]\nname = \"web\"\nhttp = { pathh = \"/\" }",
            "http.pathh: there is no such key",
        ),
        ("service = \"a\"\nports = 80\n[[check]]\nname = \"web\"\ntcp = {}\ninterval = 1", "check: "),
        (
            "service = \"a\"\nports = 80\n[[local_check]]\nname = \"x\"",
            "local_check.script: is missing; give what to do",
        ),
        ("service = \"a\"\nports = 80\n[[local_check]]\nscript = \"/x\"", "local_check.name: is missing"),
        (
            "service = \"a\"\nports = 80\n[[local_check]]\nname = \"x\"\nscript = \"/x\"\ntcp = \"[::1]:1\"",
            "give only one of",
        ),
        ("service = \"a\"\nports = 80\n[[local_check]]\nname = \"x\"\ntcp = \"db\"", "give an address with its port"),
        (
            "service = \"a\"\nports = 80\n[[local_check]]\nname = \"x\"\ntcp = \"[::1]:1\"\ninterval = \"1ms\"",
            "give a duration with its unit from 100ms to 1h",
        ),
        ("service = \"a\"\nports = 80\nheartbeat = 5", "heartbeat: give a duration"),
        ("[check]\nname = \"x\"", "begin each with [[check]]"),
    ];
    for (text, expected) in cases {
        let said = Files::new(AGENT, &[("a.toml", text)]).said();
        assert!(said.iter().any(|problem| problem.contains(expected)), "{text:?}: {said:?} does not say {expected:?}");
    }
}

#[test]
fn scripts_are_off_unless_the_agents_file_allows_them() {
    let script = "service = \"a\"\nports = 80\n[[local_check]]\nname = \"x\"\nscript = \"/bin/true\"\n";
    let without = AGENT.replace("allow = true", "");
    let files = Files::new(&without, &[("a.toml", script)]);
    let said = files.said();
    assert!(said[0].contains("a.toml:5: local_check.script: scripts are off; set `allow = true`"), "{said:?}");
    assert_eq!(files.load().services["shop/a"].checks, [], "the service is registered all the same");
    let root = Scripts { allow: true, allow_root: false, is_root: true };
    assert!(root.permit().expect_err("refused").contains("run the agent as a user of its own"));
    assert_eq!(Scripts { is_root: false, ..root }.permit(), Ok(()));
}

#[test]
fn an_agent_without_what_it_needs_cannot_start_and_says_why() {
    let cases = [
        ("", "controllers: is missing"),
        ("controllers = [\"rollcall\"]", "give https://"),
        ("controllers = [\"https://a:1\"]", "ca_file: is missing; give the ca.crt"),
        ("controllers = [\"http://a:1\"]\nmachine = \"VM\"", "machine: \"VM\": use a-z"),
    ];
    for (text, expected) in cases {
        let files = Files::new(text, &[]);
        let said = files.said();
        assert!(said.iter().any(|problem| problem.contains(expected)), "{text:?}: {said:?} does not say {expected:?}");
        assert!(files.load().is_unusable, "{text:?}");
    }
    let missing = Config::load(&PathBuf::from("/no/such/agent.toml"));
    assert!(missing.is_unusable && missing.problems[0].words.contains("cannot be read"));
}

#[test]
fn a_certificate_goes_with_its_key() {
    let agent = "controllers = [\"http://a:1\"]\nmachine = \"vm\"\n";
    for (key, expected) in
        [("cert_file", "agent.toml:3: cert_file: goes with key_file"), ("key_file", "give the certificate")]
    {
        let said = Files::new(&format!("{agent}{key} = \"x\"\n"), &[]).said();
        assert!(said.len() == 1 && said[0].contains(expected), "{said:?}");
    }
}

#[test]
fn one_that_is_given_twice_and_those_beyond_the_bound_are_left_out() {
    let one = "service = \"a\"\nports = 80\n";
    let said = Files::new(AGENT, &[("a.toml", one), ("b.toml", one)]).said();
    assert!(said[0].starts_with("services.d/b.toml: service shop/a is given twice"), "{said:?}");
    let many: String = (0..65).map(|n| format!("[[service]]\nservice = \"s-{n}\"\nports = 80\n")).collect();
    let files = Files::new(AGENT, &[("a.toml", &many)]);
    assert_eq!((files.load().services.len(), files.said().len()), (64, 1));
}

#[test]
fn what_dns_knows_is_kept_beside_the_state_unless_the_file_says_otherwise() {
    let kept = |more: &str| {
        let files = Files::new(&format!("state_file = \"state/agent.json\"\n{AGENT}[dns]\n{more}\n"), &[]);
        let folder = files.0.path().to_path_buf();
        let config = files.load();
        assert!(!config.is_unusable, "{:?}", config.problems);
        let snapshot = config.agent.dns.expect("DNS is answered").snapshot;
        snapshot.map(|file| file.strip_prefix(folder).expect("below the folder").to_path_buf())
    };
    assert_eq!(kept(""), Some(PathBuf::from("state/catalog")));
    assert_eq!(kept("snapshot = \"dns.catalog\""), Some(PathBuf::from("dns.catalog")));
    assert_eq!(kept("snapshot = \"off\""), None);
}
