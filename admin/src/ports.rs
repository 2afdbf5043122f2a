//! An address to listen on that is not to be had: said with the remedy, and waited for.

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use crate::readiness::Gate;

/// How people set an address.
#[derive(Clone, Copy, Debug)]
pub struct Setting {
    /// `--listen`
    pub flag: &'static str,
    /// `dns.listenPort`
    pub value: &'static str,
}

/// Why an address cannot be had.
#[derive(Debug, thiserror::Error)]
pub enum PortError {
    /// Another process has it.
    #[error(
        "port {} on {} is in use by another process: stop it, or set {} ({} in the chart)",
        .0.port(), .0.ip(), .1.flag, .1.value
    )]
    InUse(SocketAddr, Setting),
    /// A port below 1024.
    #[error(
        "port {} on {} is not permitted: set {} to a port from 1024 on ({} in the chart; a Service can map \
         another port to it), or grant CAP_NET_BIND_SERVICE",
        .0.port(), .0.ip(), .1.flag, .1.value
    )]
    NotPermitted(SocketAddr, Setting),
    /// Anything else, such as an address of another machine.
    #[error(
        "cannot listen on {0}: {2}; set {flag} to an address of this machine and a free port ({value} in the chart)",
        flag = .1.flag, value = .1.value
    )]
    Other(SocketAddr, Setting, io::Error),
}

/// Connections that wait to be accepted; the system has a bound of its own (`net.core.somaxconn`, 4,096 on most). When a replica goes,
/// the thousands that it served come to another one at once, and who finds the queue full tries again after a second, then
/// after three.
const BACKLOG: i32 = 1 << 16;

/// Pause between attempts.
const PAUSE: Duration = Duration::from_secs(1);

// === impl PortError ===

impl PortError {
    /// What the system's refusal means.
    pub fn new(addr: SocketAddr, setting: Setting, error: io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::AddrInUse => Self::InUse(addr, setting),
            io::ErrorKind::PermissionDenied => Self::NotPermitted(addr, setting),
            _ => Self::Other(addr, setting, error),
        }
    }

    /// The name of the fault, for [`Gate::close_for`].
    pub fn fault(&self) -> &'static str {
        match self {
            Self::InUse(..) => "PortInUse",
            Self::NotPermitted(..) => "PortNotPermitted",
            Self::Other(..) => "CannotListen",
        }
    }

    /// Closes a gate for it.
    pub fn close(&self, gate: &Gate) {
        gate.close_for(self.fault(), self.to_string());
    }
}

/// Takes an address for TCP. Must be called within a runtime.
pub fn listen_tcp(addr: SocketAddr, setting: Setting) -> Result<TcpListener, PortError> {
    let bind = || {
        let listener = std::net::TcpListener::bind(addr)?;
        // Again, with a longer queue than the standard library asks for.
        rustix::net::listen(&listener, BACKLOG)?;
        listener.set_nonblocking(true)?;
        TcpListener::from_std(listener)
    };
    bind().map_err(|error| PortError::new(addr, setting, error))
}

/// Tries to bind until it can, with the gate closed, and then opens the gate. `None` after `stop`.
pub async fn bind_when_free<T>(
    gate: &Gate,
    stop: &CancellationToken,
    mut bind: impl FnMut() -> Result<T, PortError>,
) -> Option<T> {
    let mut told = false;
    loop {
        match bind() {
            Ok(bound) => {
                gate.open();
                return Some(bound);
            }
            Err(error) => {
                error.close(gate);
                if !std::mem::replace(&mut told, true) {
                    tracing::error!("{error}; trying again each second");
                }
            }
        }
        stop.run_until_cancelled(tokio::time::sleep(PAUSE)).await?;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::readiness::Readiness;

    const SETTING: Setting = Setting { flag: "--listen", value: "dns.listenPort" };

    #[test]
    fn each_refusal_names_the_port_and_the_remedy() {
        let addr = "0.0.0.0:53".parse().unwrap();
        let said = |kind: io::ErrorKind| PortError::new(addr, SETTING, kind.into()).to_string();
        let in_use =
            "port 53 on 0.0.0.0 is in use by another process: stop it, or set --listen (dns.listenPort in the chart)";
        assert_eq!(said(io::ErrorKind::AddrInUse), in_use);
        assert!(said(io::ErrorKind::PermissionDenied).contains("CAP_NET_BIND_SERVICE"));
        assert!(said(io::ErrorKind::AddrNotAvailable).contains("set --listen to an address of this machine"));
    }

    #[tokio::test]
    async fn many_may_wait_to_be_accepted() {
        const MANY: usize = 300; // the standard library has 128 wait
        let listener = listen_tcp(([127, 0, 0, 1], 0).into(), SETTING).unwrap();
        let address = listener.local_addr().unwrap();
        let connect = || std::net::TcpStream::connect_timeout(&address, Duration::from_secs(20)).unwrap();
        let waiting: Vec<_> = std::iter::repeat_with(connect).take(MANY).collect();
        assert_eq!(waiting.len(), MANY);
    }

    #[tokio::test(start_paused = true)]
    async fn a_port_in_use_closes_the_gate_until_it_is_free() {
        let (readiness, stop) = (Readiness::default(), CancellationToken::new());
        let other = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let addr = other.local_addr().unwrap();
        let mut other = Some(other);
        let (gate, seen) = (readiness.gate("grpc"), readiness.clone());
        let mut attempts = 0;
        let bound = bind_when_free(&gate, &stop, || {
            attempts += 1;
            if attempts == 3 {
                let closed = &seen.closed()[0];
                assert_eq!(closed.fault, Some("PortInUse"));
                assert!(closed.to_string().contains(&format!("port {}", addr.port())), "{closed}");
                other = None;
            }
            listen_tcp(addr, SETTING)
        });
        assert!(bound.await.is_some());
        assert_eq!(attempts, 3);
        assert!(readiness.is_ready());
    }

    #[tokio::test(start_paused = true)]
    async fn the_end_of_the_process_ends_the_waiting() {
        let (readiness, stop) = (Readiness::default(), CancellationToken::new());
        stop.cancel();
        let gate = readiness.gate("grpc");
        let refused = || Err::<(), _>(PortError::InUse("127.0.0.1:1".parse().unwrap(), SETTING));
        assert!(bind_when_free(&gate, &stop, refused).await.is_none());
    }
}
