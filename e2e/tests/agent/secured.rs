//! Agents that reach a controller over TLS: one shows the token of a ServiceAccount, one a client certificate.

use std::path::Path;

use anyhow::{Context, Result, bail, ensure};
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, ExtendedKeyUsagePurpose, IsCa, KeyPair};
use rollcall_e2e::agent::{Agent, Settings};
use rollcall_e2e::rollcall::Controller;
use rollcall_e2e::{clock, install};
use serde_json::json;

use super::support::api::NAMESPACE;
use super::support::{BOUND, Shop};

/// The common name of the client certificate, which RBAC knows as a user.
const USER: &str = "machine-75";
const SERVICE: &str = "ledger";
const INSTANCE: &str = "shop/ledger";

/// Both register and beat; one that shows nothing, and one that RBAC does not know, are refused in words.
pub(crate) fn both_credentials(shop: &Shop, token: &str) -> Result<()> {
    let folder = shop.folder().join("secured");
    std::fs::create_dir_all(&folder)?;
    let ca = write_client_certificates(&folder)?;
    let mut controller = controller(shop, &ca)?;
    let authority = shop.kubectl.get(&["configmap", "rollcall-ca", "--namespace", install::NAMESPACE])?;
    std::fs::write(folder.join("ca.crt"), authority["data"]["ca.crt"].as_str().context("the authority is published")?)?;
    let user = format!("--user={USER}");
    let role = "--clusterrole=rollcall-agent";
    shop.kubectl.run(&["create", "rolebinding", USER, "--namespace", NAMESPACE, role, &user])?;

    let mut by_token = start(shop, &folder, "vm-74", token, "203.0.113.74", "")?;
    let certificate = |name: &str| {
        format!("cert_file = {:?}\nkey_file = {:?}", file(&folder, name, "crt"), file(&folder, name, "key"))
    };
    let mut by_certificate = start(shop, &folder, "vm-75", "", "203.0.113.75", &certificate(USER))?;
    for agent in [&mut by_token, &mut by_certificate] {
        agent.await_state(INSTANCE, "registered", "ledger-")?;
    }
    let has = |expected: &[&str]| {
        clock::wait_until(&format!("DNS to have {expected:?}"), BOUND, || {
            let dns: Vec<_> = shop.callers.dns(SERVICE)?.into_iter().collect();
            if dns == expected { Ok(Some(())) } else { bail!("{dns:?}") }
        })
    };
    has(&["203.0.113.74", "203.0.113.75"])?;
    let mut stranger = start(shop, &folder, "vm-76", "", "203.0.113.76", &certificate("stranger"))?;
    stranger.await_state(
        INSTANCE,
        "refused",
        "stranger may not create serviceregistrations.rollcall.dev/agent ledger",
    )?;
    let nobody = start(shop, &folder, "vm-77", "", "203.0.113.77", "")?;
    clock::wait_until("the refusal of one that shows nothing", BOUND, || {
        let trouble = nobody.status()?["trouble"].to_string();
        if trouble.contains("no token and no certificate") { Ok(Some(())) } else { bail!("{trouble}") }
    })?;
    // The authority is checked in both directions: one that this agent does not know is nobody it speaks to.
    for mut agent in [stranger, nobody, by_token] {
        ensure!(agent.process.stop()?, "{} did not end on SIGTERM", agent.process.name());
    }
    has(&["203.0.113.75"])?;
    ensure!(by_certificate.process.stop()?, "it did not end on SIGTERM");
    clock::wait_until("both to leave the registrations", BOUND, || Ok(shop.agents_left(SERVICE)?.then_some(())))?;
    controller.process.terminate();
    ensure!(controller.process.join(rollcall_e2e::process::STOP_BOUND)?, "the controller did not end on SIGTERM");
    Ok(())
}

/// One with TLS by its own authority, which takes certificates of another for clients.
fn controller(shop: &Shop, client_ca: &Path) -> Result<Controller> {
    // Empty, as the chart makes them.
    for (kind, name) in [("Secret", "rollcall-authority"), ("ConfigMap", "rollcall-ca")] {
        let metadata = json!({ "name": name, "namespace": install::NAMESPACE });
        shop.kubectl.apply(&json!({ "apiVersion": "v1", "kind": kind, "metadata": metadata }).to_string())?;
    }
    let client_ca = client_ca.display().to_string();
    let flags =
        ["--tls", "authority", "--tls-dns-name", "localhost", "--tls-dns-name", "127.0.0.1", "--client-ca", &client_ca];
    let mut controller =
        Controller::start(&shop.binaries, &shop.installation, "controller-secured", shop.folder(), &flags)?;
    controller.wait_ready()?;
    // The stream's port of this one alone speaks TLS.
    std::fs::write(shop.folder().join("secured/server"), format!("https://{}", controller.grpc))?;
    Ok(controller)
}

fn start(shop: &Shop, folder: &Path, machine: &str, token: &str, address: &str, more: &str) -> Result<Agent> {
    let service = format!(
        "service = \"{SERVICE}\"\nnamespace = \"{NAMESPACE}\"\naddresses = [\"{address}\"]\nports = 80\n\
         heartbeat = {{ interval = \"1s\", ttl = \"60s\" }}\ndrain = \"0s\"\n"
    );
    let more = format!("ca_file = {:?}\n{more}", file(folder, "ca", "crt"));
    let controllers = vec![std::fs::read_to_string(folder.join("server"))?];
    let settings = Settings { machine, controllers, token, more: &more, services: &[("ledger.toml", &service)] };
    Agent::start(&shop.binaries.agent, &settings, shop.folder())
}

fn file(folder: &Path, name: &str, kind: &str) -> String {
    folder.join(format!("{name}.{kind}")).display().to_string()
}

/// An authority of clients, and certificates of it for two users; the file of the authority.
fn write_client_certificates(folder: &Path) -> Result<std::path::PathBuf> {
    let mut params = CertificateParams::new(Vec::new())?;
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.distinguished_name.push(DnType::CommonName, "the machines' authority");
    let authority = CertifiedIssuer::self_signed(params, KeyPair::generate()?)?;
    for name in [USER, "stranger"] {
        let mut params = CertificateParams::new(Vec::new())?;
        params.distinguished_name = rcgen::DistinguishedName::new();
        params.distinguished_name.push(DnType::CommonName, name);
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
        let key = KeyPair::generate()?;
        let certificate = params.signed_by(&key, &authority)?;
        std::fs::write(file(folder, name, "crt"), certificate.pem())?;
        std::fs::write(file(folder, name, "key"), key.serialize_pem())?;
    }
    let path = folder.join("clients-ca.crt");
    std::fs::write(&path, authority.pem())?;
    Ok(path)
}
