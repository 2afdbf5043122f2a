//! Client status (CSDS), asked by a program of Envoy's own definitions: what each client holds and has taken.

use std::net::SocketAddr;
use std::process::Command;

use anyhow::{Context as _, Result, ensure};
use rollcall_e2e::xds_client::{Caller, Family};
use rollcall_e2e::{clock, tools};

use super::crowd::SEAT;
use super::stage::{NAMESPACE, Stage};
use crate::support::BOUND;

/// Its endpoints are there to the end.
const SERVICE: &str = "steady";

/// Who reads errors of resources (gRFC A88) fails at once, with our words, by a name of which there is no service.
pub(crate) fn of_nothing(stage: &Stage) -> Result<()> {
    const NOBODY: &str = "nobody";
    let family = Family::Grpcio;
    let bootstrap = family.bootstrap("grpcio-told", stage.rollcall.controllers[0].grpc, SEAT);
    let targets = [(NOBODY.to_owned(), format!("xds:///{NOBODY}.{NAMESPACE}:8080"))];
    let experiment = "GRPC_EXPERIMENTAL_XDS_DATA_ERROR_HANDLING";
    let folder = stage.scratch.path();
    let mut caller = Caller::start_trying(family, "grpcio-told", &bootstrap, experiment, &targets, folder)?;
    clock::wait_until("a call of nobody to fail with our words", BOUND, || {
        let words = format!("{NAMESPACE}/{NOBODY}");
        let calls = caller.calls()?;
        let told = calls.iter().find(|call| call.error.as_ref().is_some_and(|error| error.contains(&words)));
        ensure!(told.is_some(), "the last came to {:?}", calls.last());
        Ok(Some(()))
    })
}

/// Every client that is there has taken the endpoints of a service that it calls, from the replica that it is at.
pub(crate) fn run(stage: &Stage) -> Result<()> {
    let program = tools::xds_clients_go()?;
    let ask = |address: SocketAddr| -> Result<String> {
        let output = Command::new(&program).args(["status", &address.to_string()]).output();
        let output = output.context("starting the client of CSDS")?;
        ensure!(output.status.success(), "CSDS: {}", String::from_utf8_lossy(&output.stderr));
        Ok(String::from_utf8_lossy(&output.stdout).into_owned())
    };
    let nodes = stage.crowd.nodes();
    let taken = |line: &str, node: &str| {
        let words: Vec<_> = line.split(' ').collect();
        let [scope, name, status, version, ty, bytes] = words[..] else { return false };
        let endpoints = ty.ends_with("ClusterLoadAssignment") && name.starts_with(&format!("{SERVICE}.{NAMESPACE}"));
        scope == node && endpoints && status == "ACKED" && version.len() == 16 && bytes != "0"
    };
    clock::wait_until("all clients to have taken what they call", BOUND, || {
        let mut text = String::new();
        for controller in &stage.rollcall.controllers {
            text += &ask(controller.grpc)?;
        }
        let missing: Vec<_> = nodes.iter().filter(|node| !text.lines().any(|line| taken(line, node))).collect();
        ensure!(missing.is_empty(), "nothing of {missing:?} in\n{text}");
        Ok(Some(()))
    })
}
