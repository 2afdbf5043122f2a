//! Several clusters, each a control plane with Rollcall on it, linked with one another over TLS.
//!
//! No two have an address of pods, nodes or Services in common, as on a flat network.

pub mod on_nodes;

use std::path::Path;

use anyhow::{Context, Result};
use serde_json::{Value, json};

use crate::control_plane::{self, ControlPlane};
use crate::install::{self, Installation, NAMESPACE};
use crate::process::Process;
use crate::relay::Relay;
use crate::rollcall::{Binaries, Controller, Dns, Rollcall};
use crate::{Kubectl, agent, kubeconfig};

/// Ids of clusters, as many as there may be.
pub const IDS: [&str; 4] = ["east", "west", "north", "south"];

/// What they are together.
pub const CLUSTERSET: &str = "demo";

/// The name that every controller's certificate is for, wherever it is called.
const SERVER_NAME: &str = "localhost";

/// One of the clusters. Fields are dropped from the top down, the control plane last.
#[derive(Debug)]
pub struct Cluster {
    /// Its id.
    pub id: &'static str,
    /// Rollcall on it.
    pub rollcall: Rollcall,
    /// kubectl as its administrator.
    pub kubectl: Kubectl,
    /// What its programs need.
    pub installation: Installation,
    /// Its control plane.
    pub plane: ControlPlane,
}

/// A cluster as another one sees it.
#[derive(Clone, Debug)]
pub struct Peer<'a> {
    /// Its id.
    pub id: &'a str,
    /// kubectl as its administrator.
    pub kubectl: &'a Kubectl,
    /// Where its stream is found, `HOST:PORT` each.
    pub addresses: Vec<String>,
    /// The name that the stream's certificate is for.
    pub server_name: &'a str,
}

/// How a cluster takes in what another one exports.
#[derive(Clone, Debug)]
pub struct Link {
    /// Namespaces; `*` for all.
    pub namespaces: Vec<String>,
    /// `spec.import.merge`.
    pub merge: bool,
    /// `spec.whenSilent`.
    pub when_silent: Value,
}

// === impl Cluster ===

impl Cluster {
    /// Starts one: the `number`th of [`IDS`], with its state in `folder`. `more` are further flags of its controller, which
    /// may be made once the API server answers.
    pub fn start(
        planes: control_plane::Binaries,
        binaries: &Binaries,
        number: u8,
        folder: &Path,
        more: impl FnOnce(&Kubectl) -> Result<Vec<String>>,
    ) -> Result<Self> {
        let id = IDS.get(usize::from(number)).copied().context("there are at most 4 clusters")?;
        std::fs::create_dir_all(folder).with_context(|| format!("making {}", folder.display()))?;
        let plane = ControlPlane::start_numbered(planes, folder, number)?;
        let kubectl = plane.kubectl().clone();
        let installation = install(&kubectl, folder)?;
        let id_flag = format!("--cluster-id={id}");
        let more = more(&kubectl)?;
        let about = ["--cluster-property", "write", "--clusterset", CLUSTERSET];
        let mut flags = vec!["--tls", "authority", "--tls-dns-name", SERVER_NAME, &id_flag];
        // Who ends has nobody to turn elsewhere: there is no other replica.
        flags.extend(["--lame-duck-seconds", "0"]);
        flags.extend(about);
        flags.extend(more.iter().map(String::as_str));
        let mut controller = Controller::start(binaries, &installation, "controller-0", folder, &flags)?;
        controller.wait_ready()?;
        let trust = folder.join("stream-ca.crt");
        std::fs::write(&trust, authority(&kubectl)?)?;
        let trust = trust.display().to_string();
        let token = folder.join("dns-token");
        std::fs::write(&token, crate::agent::token(&kubectl, NAMESPACE, "rollcall-dns")?)?;
        let token = token.display().to_string();
        let trusted = ["--catalog-ca-file", &trust, "--catalog-server-name", SERVER_NAME];
        let flags = [&trusted[..], &["--catalog-token-file", &token, "--lame-duck", "0s"]].concat();
        let mut dns = Dns::start(binaries, &installation, "dns", &[controller.grpc], folder, &flags)?;
        dns.wait_ready()?;
        let rollcall = Rollcall { controllers: vec![controller], dns: vec![dns] };
        Ok(Self { id, rollcall, kubectl, installation, plane })
    }

    /// Kills all of it at once, without a word to anybody: Rollcall and the control plane.
    pub fn kill(&mut self) -> Result<()> {
        self.rollcall.processes().try_for_each(Process::kill)?;
        self.plane.kill_all()
    }

    /// Starts it again at the same addresses, with what its etcd has kept, and returns when all of it is ready.
    pub fn start_again(&mut self) -> Result<()> {
        self.plane.start_all_again()?;
        self.rollcall.processes().try_for_each(Process::start)?;
        self.rollcall.controllers.iter_mut().try_for_each(Controller::wait_ready)?;
        self.rollcall.dns.iter_mut().try_for_each(Dns::wait_ready)
    }

    /// Has this cluster take in what `other` exports, through a relay if there is one.
    pub fn import_from(&self, other: &Self, link: &Link, through: Option<&Relay>) -> Result<()> {
        let address = through.map_or(other.rollcall.controllers[0].grpc, Relay::address);
        let (id, kubectl) = (other.id, &other.kubectl);
        link.make(
            (self.id, &self.kubectl),
            &Peer { id, kubectl, addresses: vec![address.to_string()], server_name: SERVER_NAME },
        )
    }

    /// Exports a Service.
    pub fn export(&self, namespace: &str, name: &str) -> Result<()> {
        export(&self.kubectl, namespace, name)
    }
}

// === impl Link ===

impl Link {
    /// Has the cluster of this id, with kubectl as its administrator, take in what `peer` exports: an account over there, its
    /// token and the stream's authority in a Secret here, and the link.
    pub fn make(&self, (id, kubectl): (&str, &Kubectl), peer: &Peer<'_>) -> Result<()> {
        let token = account(peer.kubectl, &format!("peer-{id}"))?;
        let name = secret_name(peer.id);
        let metadata = json!({ "name": name, "namespace": NAMESPACE });
        let data = json!({ "token": token, "ca.crt": authority(peer.kubectl)? });
        let secret = json!({ "apiVersion": "v1", "kind": "Secret", "metadata": metadata, "stringData": data });
        let link = json!({
            "apiVersion": "rollcall.dev/v1alpha1",
            "kind": "ClusterLink",
            "metadata": { "name": peer.id },
            "spec": {
                "addresses": peer.addresses,
                "serverName": peer.server_name,
                "secretName": name,
                "import": { "namespaces": self.namespaces, "merge": self.merge },
                "whenSilent": self.when_silent,
            },
        });
        apply_all(kubectl, &[secret, link])
    }
}

/// The Secret of a link to the cluster of this id.
pub fn secret_name(id: &str) -> String {
    format!("link-{id}")
}

/// Exports a Service.
pub fn export(kubectl: &Kubectl, namespace: &str, name: &str) -> Result<()> {
    let metadata = json!({ "name": name, "namespace": namespace });
    let object =
        json!({ "apiVersion": "multicluster.x-k8s.io/v1beta1", "kind": "ServiceExport", "metadata": metadata });
    kubectl.apply(&object.to_string()).map(drop)
}

/// CRDs and the rights of a cluster that has links, and the objects in which the authority keeps itself.
fn install(kubectl: &Kubectl, folder: &Path) -> Result<Installation> {
    let installation = install::install_from(kubectl, folder, "rbac-federation.yaml")?;
    let own = [("Secret", "rollcall-authority"), ("ConfigMap", "rollcall-ca")].map(|(kind, name)| {
        json!({ "apiVersion": "v1", "kind": kind, "metadata": { "name": name, "namespace": NAMESPACE } })
    });
    apply_all(kubectl, &own)?;
    Ok(installation)
}

/// What clients of the stream trust.
fn authority(kubectl: &Kubectl) -> Result<String> {
    let map = kubectl.get(&["configmap", "rollcall-ca", "--namespace", NAMESPACE])?;
    map["data"]["ca.crt"].as_str().map(str::to_owned).context("no authority is published")
}

/// An account for another cluster, which may see all exports, and its token.
fn account(kubectl: &Kubectl, name: &str) -> Result<String> {
    let metadata = json!({ "name": name, "namespace": NAMESPACE });
    let account = json!({ "apiVersion": "v1", "kind": "ServiceAccount", "metadata": metadata });
    let binding = json!({
        "apiVersion": "rbac.authorization.k8s.io/v1",
        "kind": "ClusterRoleBinding",
        "metadata": { "name": name },
        "roleRef": { "apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "rollcall-peer" },
        "subjects": [{ "kind": "ServiceAccount", "name": name, "namespace": NAMESPACE }],
    });
    apply_all(kubectl, &[account, binding])?;
    agent::token(kubectl, NAMESPACE, name)
}

/// Objects, by one start of kubectl.
fn apply_all(kubectl: &Kubectl, objects: &[Value]) -> Result<()> {
    kubectl.apply(&json!({ "apiVersion": "v1", "kind": "List", "items": objects }).to_string()).map(drop)
}

/// A kubeconfig with a context for each cluster, by its id; the first is the current one.
pub fn write_kubeconfig(path: &Path, clusters: &[(&str, &Kubectl)]) -> Result<()> {
    let (mut all, mut users, mut contexts) = (Vec::new(), Vec::new(), Vec::new());
    for (id, kubectl) in clusters {
        let config = kubectl.run(&["config", "view", "--raw", "--minify", "--flatten", "-o", "json"])?;
        let config: Value = serde_json::from_str(&config).context("kubectl config view gave no JSON")?;
        all.push(json!({ "name": id, "cluster": config["clusters"][0]["cluster"] }));
        users.push(json!({ "name": id, "user": config["users"][0]["user"] }));
        contexts.push(json!({ "name": id, "context": { "cluster": id, "user": id } }));
    }
    let current = clusters.first().map(|(id, _)| id);
    let config = json!({
        "apiVersion": "v1", "kind": "Config", "clusters": all, "users": users, "contexts": contexts,
        "current-context": current,
    });
    kubeconfig::write_private(path, &format!("{config:#}\n"))
}
