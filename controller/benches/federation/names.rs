//! A DNS server on a cluster's stream, which is asked until the answer has an address.

use std::net::{Ipv4Addr, SocketAddr};
use std::time::{Duration, Instant};

use clap::Parser;
use rollcall_admin::Readiness;
use rollcall_dns::args::CommandLine;
use rollcall_dns::start::Prepared;
use tokio::net::UdpSocket;
use tokio_util::sync::CancellationToken;

use crate::cluster::Cluster;

/// Answers names of a cluster, in this process.
pub(crate) struct Names {
    socket: UdpSocket,
    _ca: tempfile::NamedTempFile,
}

/// Between two questions.
const PAUSE: Duration = Duration::from_micros(200);

// === impl Names ===

impl Names {
    pub(crate) async fn of(cluster: &Cluster) -> Self {
        let map = cluster.api.get("v1", "configmaps", crate::SYSTEM, "rollcall-ca").unwrap();
        let ca = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(ca.path(), map["data"]["ca.crt"].as_str().unwrap()).unwrap();
        let flags = [
            "rollcall-dns".to_owned(),
            format!("--catalog=https://{}", cluster.grpc),
            format!("--catalog-ca-file={}", ca.path().display()),
            "--catalog-server-name=rollcall.test".to_owned(),
            "--listen=127.0.0.77:0".to_owned(),
            "--http-listen=127.0.0.1:0".to_owned(),
            "--workers=1".to_owned(),
        ];
        let prepared = Prepared::new(CommandLine::try_parse_from(flags).unwrap().serve).await.unwrap();
        let server: SocketAddr = prepared.dns_addrs().next().unwrap();
        tokio::spawn(prepared.serve(Readiness::default(), CancellationToken::new()));
        let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
        socket.connect(server).await.unwrap();
        Self { socket, _ca: ca }
    }

    /// How long until a name has this address, and no other.
    pub(crate) async fn leads_to(&self, name: &str, ip: Ipv4Addr) -> Duration {
        let (start, question) = (Instant::now(), question(name));
        loop {
            assert!(start.elapsed() < Duration::from_secs(30), "{name} never had {ip}");
            self.socket.send(&question).await.unwrap();
            let mut room = [0; 512];
            let read = tokio::time::timeout(Duration::from_secs(1), self.socket.recv(&mut room)).await;
            // The one answer ends with its address, since nothing follows it.
            if let Ok(Ok(read)) = read
                && room[6..8] == [0, 1]
                && room[..read].windows(4).any(|part| part == ip.octets())
            {
                return start.elapsed();
            }
            tokio::time::sleep(PAUSE).await;
        }
    }
}

/// Its A records.
fn question(name: &str) -> Vec<u8> {
    let mut query = vec![0, 7, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0];
    for label in name.split('.') {
        query.push(u8::try_from(label.len()).unwrap());
        query.extend_from_slice(label.as_bytes());
    }
    query.extend_from_slice(&[0, 0, 1, 0, 1]);
    query
}
