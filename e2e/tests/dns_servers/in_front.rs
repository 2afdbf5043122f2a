//! CoreDNS in front: by the Corefiles of docs/cluster-dns.md it asks us for the cluster's names, in both ways, and answers what we do.

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail, ensure};
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use rollcall_e2e::dns::{Answer, Kdig};
use rollcall_e2e::process::{Process, Program};
use rollcall_e2e::rollcall::Dns;
use rollcall_e2e::{clock, layout, net, tools};

use crate::outside;
use crate::support::shop::{DIRECT, OUTSIDE, PAYMENTS, name};
use crate::support::{BOUND, Shop};

const PAGE: &str = "docs/cluster-dns.md";
/// What a reader of the page puts in place of.
const ADDRESS: &str = "ROLLCALL-ADDRESS";
const CA_FILE: &str = "/etc/coredns/rollcall-ca.crt";
const SERVER_NAME: &str = "dns.example.com";

/// The certificate of a server, its key, and who signed it.
struct Files {
    ca: PathBuf,
    cert: PathBuf,
    key: PathBuf,
}

/// The ways in which the page has CoreDNS ask.
struct Ways {
    forward: SocketAddr,
    grpc: SocketAddr,
}

/// Asked by both ways, CoreDNS says what we say; and says it again after we were away.
pub(crate) fn asked_by_coredns(shop: &mut Shop) -> Result<()> {
    let folder = shop.folder().join("in-front");
    std::fs::create_dir_all(&folder)?;
    let (files, https) = (certificate(&folder)?, net::free_loopback()?);
    let (listen, cert, key) = (https.to_string(), text_of(&files.cert), text_of(&files.key));
    let tls = ["--https-listen", &listen, "--tls-cert-file", &cert, "--tls-key-file", &key];
    let flags = [&tls[..], &outside::FLAGS].concat();
    let catalogs = shop.rollcall.catalogs();
    let mut dns = Dns::start(&shop.binaries, &shop.installation, "dns-of-coredns", &catalogs, shop.folder(), &flags)?;
    dns.wait_ready()?;
    let ways = Ways { forward: net::free_loopback()?, grpc: net::free_loopback()? };
    let mut coredns = start(&ways, dns.listen, https, &files.ca, shop.folder())?;
    let ours = Kdig::new(dns.listen)?;
    for (way, at) in [("forward", ways.forward), ("grpc", ways.grpc)] {
        let front = Kdig::new(at)?;
        coredns.wait_until(&format!("the same answers by {way} as from us"), BOUND, || compare(&ours, &front))?;
    }
    outside::has_names(shop, &ours)?;
    ensure!(dns.process.stop()?, "the server in the back did not end on SIGTERM");
    dns.start_again()?;
    dns.wait_ready()?;
    for (way, at) in [("forward", ways.forward), ("grpc", ways.grpc)] {
        let front = Kdig::new(at)?;
        clock::wait_until(&format!("answers by {way} after a restart"), BOUND, || compare(&ours, &front))?;
    }
    shop.rollcall.dns.push(dns);
    coredns.stop().map(drop)
}

/// Each kind of answer, from both.
fn compare(ours: &Kdig, front: &Kdig) -> Result<Option<()>> {
    let asked = [
        (name(PAYMENTS), "A"),
        (name(PAYMENTS), "AAAA"),
        (name(DIRECT), "A"),
        (name(OUTSIDE), "A"),
        (format!("_http._tcp.{}", name(DIRECT)), "SRV"),
        (name("nobody"), "A"),
        ("cluster.local.".to_owned(), "SOA"),
        ("cluster.local.".to_owned(), "NS"),
        ("dns-version.cluster.local.".to_owned(), "TXT"),
    ];
    for (name, kind) in asked {
        let (own, theirs) = (told(&ours.ask(&name, kind)?), told(&front.ask(&name, kind)?));
        if own != theirs {
            bail!("{name} {kind}: {own:?}, and by CoreDNS {theirs:?}");
        }
    }
    // Larger than a datagram: both the client and CoreDNS come again over TCP, or ask by gRPC in any case.
    let version = front.ask_with("dns-version.cluster.local.", "TXT", &["+tcp"])?;
    ensure!(version.data("TXT") == ["\"1.1.0\""], "over TCP: {version:?}");
    Ok(Some(()))
}

/// Code, whether the zone is the server's own, and all records.
fn told(answer: &Answer) -> (String, bool, Vec<BTreeSet<String>>) {
    let sections = [&answer.answer, &answer.authority, &answer.additional].map(|records| {
        // The serial is of the moment.
        let data = |kind: &str, data: &str| if kind == "SOA" { String::new() } else { data.to_owned() };
        records.iter().map(|own| format!("{} {} {}", own.name, own.kind, data(&own.kind, &own.data))).collect()
    });
    (answer.rcode.clone(), answer.authoritative, sections.into())
}

fn start(ways: &Ways, dns: SocketAddr, https: SocketAddr, ca: &Path, folder: &Path) -> Result<Process> {
    let file = folder.join("Corefile");
    let mut text = String::new();
    for (at, ours, plugin) in [(ways.forward, dns, "    forward "), (ways.grpc, https, "    grpc ")] {
        let block = block(plugin)?;
        let begin = format!("cluster.local:{} {{\n    bind {}", at.port(), at.ip());
        let filled = block
            .replacen("cluster.local:53 {", &begin, 1)
            .replace(&format!("{ADDRESS}:443"), &ours.to_string())
            .replace(ADDRESS, &ours.to_string())
            .replace(CA_FILE, &text_of(ca));
        ensure!(
            filled.contains(&begin) && filled.contains(&ours.to_string()),
            "the block of {PAGE} is another: {block}"
        );
        text.push_str(&filled);
    }
    ensure!(text.contains(SERVER_NAME), "the blocks of {PAGE} do not name {SERVER_NAME}: {text}");
    std::fs::write(&file, text)?;
    Program::new("coredns", tools::coredns_in_front()?, folder).args(["-conf".to_owned(), text_of(&file)]).start()
}

/// The block of the page that has a line which begins so.
fn block(line: &str) -> Result<String> {
    let page = std::fs::read_to_string(layout::root().join(PAGE)).context(PAGE)?;
    let blocks = page.split("```\n").skip(1).step_by(2);
    let mut found = blocks.filter(|block| block.lines().any(|own| own.starts_with(line)));
    found.next().map(str::to_owned).with_context(|| format!("{PAGE} has no block with {line:?}"))
}

fn certificate(folder: &Path) -> Result<Files> {
    let mut params = CertificateParams::new(Vec::new())?;
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let authority = CertifiedIssuer::self_signed(params, KeyPair::generate()?)?;
    let key = KeyPair::generate()?;
    let certificate = CertificateParams::new(vec![SERVER_NAME.to_owned()])?.signed_by(&key, &authority)?;
    let files = Files { ca: folder.join("ca.crt"), cert: folder.join("tls.crt"), key: folder.join("tls.key") };
    std::fs::write(&files.ca, authority.pem())?;
    std::fs::write(&files.cert, certificate.pem())?;
    std::fs::write(&files.key, key.serialize_pem())?;
    Ok(files)
}

fn text_of(path: &Path) -> String {
    path.display().to_string()
}
