//! What can be wrong, with the remedy.

use std::net::SocketAddr;

use hickory_proto::op::ResponseCode;
use hickory_proto::rr::Name;

use crate::answer::Transport;
use crate::forward::exchange::Failure;

/// Why a trial failed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Problem {
    /// Nobody to ask.
    #[error("/etc/resolv.conf names no server; give --server HOST:PORT")]
    NoServer,
    /// Not a name.
    #[error("--name {0:?} is neither a DNS name nor an address")]
    BadName(String),
    /// The host of a server or page has no address.
    #[error("{0} has no address: {1}")]
    UnknownHost(String, String),
    /// A server gave no answer.
    #[error("{}", failure_text(*server, *transport, *failure))]
    Failure {
        /// Who.
        server: SocketAddr,
        /// How.
        transport: Transport,
        /// Why.
        failure: Failure,
    },
    /// The name does not exist.
    #[error("{0} does not exist (NXDOMAIN)")]
    NoSuchName(Name),
    /// It exists, and has no data of the type.
    #[error("{0} has no such data")]
    NoData(Name),
    /// Another code.
    #[error("{name} {code}{}", extended_text(*extended))]
    Code {
        /// Asked for.
        name: Name,
        /// Of the answer.
        code: ResponseCode,
        /// RFC 8914.
        extended: Option<u16>,
    },
    /// A page cannot be had.
    #[error("no answer: {0}")]
    NoPage(String),
    /// A page does not say 200.
    #[error("{status}: {body}")]
    Status {
        /// What it says.
        status: u16,
        /// Its text, in one line.
        body: String,
    },
}

// === impl Problem ===

impl Problem {
    /// Of several, the one to tell: that a name is not the server's matters least, that it does not exist comes next.
    pub(super) fn weight(&self) -> u8 {
        match self {
            Self::Code { code: ResponseCode::Refused, .. } => 0,
            Self::NoSuchName(_) => 1,
            Self::NoData(_) => 2,
            _ => 3,
        }
    }

    /// What to do.
    pub fn remedy(&self) -> String {
        match self {
            Self::NoServer => "give --server HOST:PORT".to_owned(),
            Self::BadName(_) => "give a name such as kubernetes.default.svc".to_owned(),
            Self::UnknownHost(..) => {
                "check the spelling and the namespace (NAME.NAMESPACE.svc), or give the address".to_owned()
            }
            Self::Failure { failure: Failure::Silent | Failure::Unreachable, transport, .. } => format!(
                "see whether its pods are ready (kubectl get pods -o wide), whether its Service has endpoints, and \
                 whether a NetworkPolicy lets {} to its port through",
                transport.name().to_uppercase()
            ),
            Self::Failure { failure: Failure::Malformed | Failure::NoEdns | Failure::Doubtful, .. } => {
                "see what listens at that address".to_owned()
            }
            Self::Failure { failure: Failure::NoSocket, .. } => "raise this process's limit of open files".to_owned(),
            Self::NoSuchName(_) | Self::NoData(_) => {
                "see whether the Service exists (kubectl get service -n NAMESPACE NAME) and has ready endpoints, and \
                 whether the cluster's domain is the one asked for"
                    .to_owned()
            }
            Self::Code { code, extended, .. } => code_remedy(*code, *extended).to_owned(),
            Self::NoPage(_) => {
                "see whether the pod runs and whether a NetworkPolicy lets HTTP to its port through".to_owned()
            }
            Self::Status { .. } => "the page says what it waits for; the log of the pod says more".to_owned(),
        }
    }
}

fn code_remedy(code: ResponseCode, extended: Option<u16>) -> &'static str {
    match (code, extended) {
        (ResponseCode::ServFail, Some(14)) => {
            "the server waits for the catalog: its /readyz says why; see whether it reaches a controller (--catalog)"
        }
        (ResponseCode::ServFail, Some(22 | 23)) => {
            "the servers that it forwards to do not answer, or lead back to it: see its --forward, its /readyz, and whether \
             a NetworkPolicy lets it out"
        }
        (ResponseCode::Refused, _) => {
            "the name is not the cluster's and the server does not forward: give it --forward, or ask for another name"
        }
        _ => "see the log of the server",
    }
}

fn failure_text(server: SocketAddr, transport: Transport, failure: Failure) -> String {
    let transport = transport.name().to_uppercase();
    match failure {
        Failure::Silent => format!("{server} does not answer over {transport}"),
        Failure::Unreachable => format!("nothing listens on {transport} at {server}, or there is no way to it"),
        Failure::Malformed | Failure::NoEdns | Failure::Doubtful => {
            format!("{server} answers over {transport} with what is no DNS answer")
        }
        Failure::NoSocket => "this process can open no socket".to_owned(),
    }
}

fn extended_text(extended: Option<u16>) -> String {
    let text = match extended {
        None => return String::new(),
        Some(14) => "not ready",
        Some(20) => "not its zone",
        Some(22) => "no server that it forwards to answers",
        Some(23) => "the servers that it forwards to cannot be reached, or lead back to it",
        Some(other) => return format!(" (extended error {other})"),
    };
    format!(" ({text})")
}
