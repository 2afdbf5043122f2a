//! The example's instance that beats by HTTP: a shell with curl, as a machine would have it.

use std::net::SocketAddr;
use std::path::Path;

use anyhow::{Context, Result};
use rollcall_e2e::process::{Process, Program};
use rollcall_e2e::rollcall::Rollcall;
use rollcall_e2e::{Kubectl, layout, tools};

use super::api_access::ApiAccess;
use super::example;
use crate::terminal;

/// Its name in `manifests/examples/heartbeat.yaml`, as the one endpoint of the registration.
pub(super) const INSTANCE: &str = "vm-3";
/// The registration, and the account that may beat for it.
const REGISTRATION: &str = "stock-vm";

/// Beats each second, in turns with each of the replicas, until the process ends. A replica that is away costs one turn.
const LOOP: &str = "while :; do for api in $APIS; do \
    curl --silent --show-error --max-time 2 --output /dev/null --cacert \"$CA\" --request PUT --header \"Authorization: Bearer $TOKEN\" \
    \"https://$api/v1/namespaces/shop/registrations/$REGISTRATION/endpoints/$INSTANCE/beat\"; \
    sleep 1; done; done";

/// Registers the instance, which listens at `address`, and starts its beats. Without curl there is none.
pub(super) fn start(
    kubectl: &Kubectl,
    (rollcall, access): (&Rollcall, &ApiAccess),
    address: SocketAddr,
    folder: &Path,
) -> Result<Option<Process>> {
    if tools::on_path("curl").is_none() {
        terminal::note("there is no curl, so the example has no instance that beats by HTTP (docs/heartbeats.md)");
        return Ok(None);
    }
    let step = terminal::begin("registering an instance that beats by HTTP");
    step.outcome(try_start(kubectl, (rollcall, access), address, folder)).map(Some)
}

fn try_start(
    kubectl: &Kubectl,
    (rollcall, access): (&Rollcall, &ApiAccess),
    address: SocketAddr,
    folder: &Path,
) -> Result<Process> {
    let file = layout::root().join("manifests/examples/heartbeat.yaml");
    example::apply_file(kubectl, &file, &[(INSTANCE, address)], |object| {
        object["metadata"]["namespace"] = example::NAMESPACE.into();
    })?;
    let token = ["create", "token", REGISTRATION, "--namespace", example::NAMESPACE, "--duration", "24h"];
    let token = kubectl.run(&token).context("a token for the instance that beats")?;
    let apis: Vec<String> = rollcall.controllers.iter().map(|controller| controller.api.to_string()).collect();
    Program::new(format!("{INSTANCE}-beats"), "/bin/sh", folder)
        .args(["-c", LOOP])
        .env("APIS", apis.join(" "))
        .env("CA", access.ca.display().to_string())
        .env("TOKEN", token.trim())
        .env("REGISTRATION", REGISTRATION)
        .env("INSTANCE", INSTANCE)
        .start()
}
