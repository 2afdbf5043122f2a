//! The way to a controller.

use k8s_openapi::api::core::v1::{ConfigMap, Pod};
use kube::api::{Api, ListParams};
use kube::config::KubeConfigOptions;
use kube::{Client, Config};
use tokio::net::TcpStream;

use crate::args;
use crate::ask::Asker;
use crate::credential;
use crate::failure::Failure;
use crate::trust::{self, Stream};

/// Pods of the controller, as the chart labels them.
const SELECTOR: &str = "app.kubernetes.io/part-of=rollcall,app.kubernetes.io/component=controller";
/// The port of the API, by its name in the pod; and where it is, in plain HTTP, when the release has no certificates.
const PORT: &str = "api";
const LOOPBACK_PORT: u16 = 18443;
/// What the chart calls a release of no special name.
pub const RELEASE: &str = "rollcall";
/// Of the port when `--server` has none.
const PORT_DEFAULT: u16 = 8443;

/// The cluster of the kubeconfig.
pub struct Cluster {
    /// Its settings.
    pub config: Config,
    /// Its API server.
    pub client: Client,
}

/// What `--server` says.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Server {
    tls: bool,
    host: String,
    port: u16,
}

/// The cluster of the kubeconfig, or of the pod that this runs in.
///
/// # Errors
/// When there is none.
pub async fn cluster(reach: &args::Reach) -> Result<Cluster, Failure> {
    let none = |error: String| {
        Failure::Unreachable(format!(
            "there is no cluster to ask: {error}; set KUBECONFIG or --context, or go to a controller by --server"
        ))
    };
    let config = match &reach.context {
        Some(_) => {
            let options = KubeConfigOptions { context: reach.context.clone(), ..KubeConfigOptions::default() };
            Config::from_kubeconfig(&options).await.map_err(|error| none(error.to_string()))?
        }
        None => Config::infer().await.map_err(|error| none(error.to_string()))?,
    };
    let client = Client::try_from(config.clone()).map_err(|error| none(error.to_string()))?;
    Ok(Cluster { config, client })
}

/// The namespace that is asked about: as given, that of the kubeconfig, or `default`.
pub async fn namespace(reach: &args::Reach) -> String {
    if let Some(namespace) = &reach.namespace {
        return namespace.clone();
    }
    if reach.server.is_some() && reach.context.is_none() && std::env::var_os("KUBECONFIG").is_none() {
        return "default".to_owned();
    }
    cluster(reach).await.map_or_else(|_| "default".to_owned(), |cluster| cluster.config.default_namespace)
}

/// A connection to a controller, with the token to show.
///
/// # Errors
/// When there is no way, or no token.
pub async fn controller(reach: &args::Reach) -> Result<Asker, Failure> {
    match &reach.server {
        // A variable that is set to nothing is not set.
        Some(server) if !server.is_empty() => direct(reach, server).await,
        _ => forwarded(reach).await,
    }
}

async fn direct(reach: &args::Reach, server: &str) -> Result<Asker, Failure> {
    let Server { tls, host, port } = Server::read(server, reach.ca_file.is_some())?;
    let token = match credential::given(reach)? {
        Some(token) => token,
        None => {
            let cluster = cluster(reach).await.map_err(|_| {
                Failure::Denied("there is no token to show: give --token-file, or set ROLLCALL_TOKEN".to_owned())
            })?;
            credential::of_cluster(&cluster.config, &cluster.client, reach, RELEASE).await?
        }
    };
    let stream = TcpStream::connect((&*host, port)).await.map_err(|error| {
        Failure::Unreachable(format!("{host}:{port} cannot be reached: {error}; is it the API port of a controller?"))
    })?;
    let mut stream: Box<dyn Stream> = Box::new(stream);
    if tls {
        let Some(path) = &reach.ca_file else {
            let words = "https needs --ca-file: the authority of the controller's certificate, such as ca.crt of ConfigMap \
                         rollcall-ca";
            return Err(Failure::Usage(words.to_owned()));
        };
        let authorities = std::fs::read(path)
            .map_err(|error| Failure::Usage(format!("--ca-file {} cannot be read: {error}", path.display())))?;
        stream = trust::secure(stream, &host, &authorities).await?;
    }
    Asker::over(stream, &format!("{host}:{port}"), token).await
}

/// Through the API server to a pod of the controller.
async fn forwarded(reach: &args::Reach) -> Result<Asker, Failure> {
    let Cluster { config, client } = cluster(reach).await?;
    let namespace = &reach.rollcall_namespace;
    let pods = Api::<Pod>::namespaced(client.clone(), namespace);
    let listed = pods.list(&ListParams::default().labels(SELECTOR)).await;
    let listed = listed.map_err(|error| Failure::of_kubernetes(&format!("pods of {namespace}"), &error))?;
    let Some(pod) = listed.items.iter().find(|pod| is_ready(pod)) else {
        return Err(Failure::Unreachable(format!(
            "namespace {namespace} has no pod of Rollcall's controller that is ready ({} are there); is Rollcall installed in \
             another one (--rollcall-namespace)? Otherwise go to a controller by --server",
            listed.items.len()
        )));
    };
    let name = pod.metadata.name.as_deref().unwrap_or_default();
    let token = match credential::given(reach)? {
        Some(token) => token,
        None => credential::of_cluster(&config, &client, reach, &release(pod)).await?,
    };
    let secured = api_port(pod);
    let port = secured.unwrap_or(LOOPBACK_PORT);
    let forwarding = pods.portforward(name, &[port]).await;
    let mut forwarding = forwarding.map_err(|error| {
        Failure::of_kubernetes(&format!("forwarding to pod {namespace}/{name} (create pods/portforward)"), &error)
    })?;
    let gone = || Failure::Unreachable(format!("the port-forward to pod {namespace}/{name} has no stream"));
    let mut stream: Box<dyn Stream> = Box::new(forwarding.take_stream(port).ok_or_else(gone)?);
    if secured.is_some() {
        let authorities = authorities(reach, &client, &release(pod)).await?;
        stream = trust::secure(stream, &server_name(pod, namespace), &authorities).await?;
    }
    // It ends with the stream, whose other half it has.
    tokio::spawn(async move { drop(forwarding.join().await) });
    Asker::over(stream, &server_name(pod, namespace), token).await
}

async fn authorities(reach: &args::Reach, client: &Client, release: &str) -> Result<Vec<u8>, Failure> {
    if let Some(path) = &reach.ca_file {
        return std::fs::read(path)
            .map_err(|error| Failure::Usage(format!("--ca-file {} cannot be read: {error}", path.display())));
    }
    let namespace = &reach.rollcall_namespace;
    let name = format!("{release}-ca");
    let map = Api::<ConfigMap>::namespaced(client.clone(), namespace).get_opt(&name).await;
    let what = format!("the authority of the controller (ConfigMap {namespace}/{name}; or give --ca-file)");
    let map = map.map_err(|error| Failure::of_kubernetes(&what, &error))?;
    let map = map.ok_or_else(|| {
        Failure::Unreachable(format!(
            "there is no ConfigMap {namespace}/{name}: the controller's certificate is of another authority than Rollcall's own; \
             give that one by --ca-file"
        ))
    })?;
    let bundle = map.data.and_then(|mut data| data.remove("ca.crt")).filter(|bundle| !bundle.is_empty());
    bundle.map(String::into_bytes).ok_or_else(|| Failure::Unreachable(format!("{what} is empty yet; try again")))
}

/// The name that the certificate is for: that of the Service.
fn server_name(pod: &Pod, namespace: &str) -> String {
    format!("{}-controller.{namespace}.svc", release(pod))
}

/// The prefix of the release's names, by that of the pod's ReplicaSet: `PREFIX-controller-HASH`.
fn release(pod: &Pod) -> String {
    let hash = pod.metadata.labels.as_ref().and_then(|labels| labels.get("pod-template-hash"));
    let owners = pod.metadata.owner_references.iter().flatten();
    let prefix = owners
        .filter(|owner| owner.kind == "ReplicaSet")
        .find_map(|owner| owner.name.strip_suffix(hash?.as_str())?.strip_suffix("-controller-").map(str::to_owned));
    prefix.unwrap_or_else(|| RELEASE.to_owned())
}

fn api_port(pod: &Pod) -> Option<u16> {
    let containers = pod.spec.iter().flat_map(|spec| &spec.containers);
    let mut ports = containers.flat_map(|container| container.ports.iter().flatten());
    ports.find(|port| port.name.as_deref() == Some(PORT)).and_then(|port| u16::try_from(port.container_port).ok())
}

fn is_ready(pod: &Pod) -> bool {
    let conditions = pod.status.iter().flat_map(|status| status.conditions.iter().flatten());
    let mut ready = conditions.filter(|condition| condition.type_ == "Ready");
    ready.any(|condition| condition.status == "True") && pod.metadata.deletion_timestamp.is_none()
}

// === impl Server ===

impl Server {
    /// HOST:PORT means TLS where an authority is given, and else is for loopback alone.
    fn read(text: &str, has_authority: bool) -> Result<Self, Failure> {
        let (tls, rest) = match text.split_once("://") {
            Some(("https", rest)) => (true, rest),
            Some(("http", rest)) => (false, rest),
            Some((scheme, _)) => {
                return Err(Failure::Usage(format!("--server {text}: {scheme} is not spoken; use https")));
            }
            None => (has_authority, text),
        };
        let rest = rest.trim_end_matches('/');
        let (host, port) = match rest.rsplit_once(':') {
            Some((host, port)) if !port.ends_with(']') => (host, port.parse().ok()),
            _ => (rest, Some(PORT_DEFAULT)),
        };
        let host = host.trim_matches(['[', ']']).to_owned();
        let Some(port) = port.filter(|_| !host.is_empty() && !host.contains('/')) else {
            return Err(Failure::Usage(format!("--server {text}: write it as https://HOST:PORT")));
        };
        let local = host == "localhost" || host.parse::<std::net::IpAddr>().is_ok_and(|ip| ip.is_loopback());
        if !tls && !local {
            let words = "a token must not cross a network in plaintext; use https, with --ca-file";
            return Err(Failure::Usage(format!("--server {text}: {words}")));
        }
        Ok(Self { tls, host, port })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_release_of_any_name_is_known_by_its_replica_set() {
        let pod = |name: &str| {
            let object = serde_json::json!({ "metadata": {
                "labels": { "pod-template-hash": "7d9f" },
                "ownerReferences": [{ "apiVersion": "apps/v1", "kind": "ReplicaSet", "name": name, "uid": "u" }],
            } });
            serde_json::from_value::<Pod>(object).expect("a pod")
        };
        assert_eq!(server_name(&pod("prod-rollcall-controller-7d9f"), "apps"), "prod-rollcall-controller.apps.svc");
        assert_eq!(release(&pod("catalog-controller-7d9f")), "catalog");
        assert_eq!(release(&pod("something")), "rollcall");
    }

    #[test]
    fn servers_are_read_and_tokens_stay_out_of_plaintext() {
        let read = |text: &str, ca: bool| Server::read(text, ca).map(|server| (server.tls, server.host, server.port));
        let is = |text: &str, ca: bool| read(text, ca).unwrap_or_else(|failure| panic!("{text}: {failure}"));
        assert_eq!(is("https://rollcall.example:443", false), (true, "rollcall.example".into(), 443));
        assert_eq!(is("https://[2001:db8::1]:8443/", true), (true, "2001:db8::1".into(), 8443));
        assert_eq!(is("127.0.0.1:18443", false), (false, "127.0.0.1".into(), 18443));
        assert_eq!(is("rollcall.example", true), (true, "rollcall.example".into(), PORT_DEFAULT));
        for wrong in ["http://rollcall.example:80", "rollcall.example:80", "grpc://x:1", "https://:1", "https://x:y"] {
            assert_eq!(read(wrong, false).expect_err("refused").code(), 2, "{wrong}");
        }
    }
}
