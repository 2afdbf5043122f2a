//! What goes wrong, with the remedy, and the exit codes by which scripts tell it.

/// Why a command did not do what it was asked for.
#[derive(Debug, thiserror::Error)]
pub enum Failure {
    /// No such service, endpoint or registration; or none that can be called.
    #[error("{0}")]
    NotFound(String),
    /// Flags that do not fit each other, or values that cannot be used.
    #[error("{0}")]
    Usage(String),
    /// No way to a controller, or to the API server.
    #[error("{0}")]
    Unreachable(String),
    /// The token's owner may not, or is not known.
    #[error("{0}")]
    Denied(String),
    /// Anything else that the server says.
    #[error("{0}")]
    Refused(String),
    /// Nobody reads the output any more.
    #[error("the output cannot be written: {0}")]
    Output(std::io::Error),
}

// === impl Failure ===

impl Failure {
    /// The exit code: 1 not found, 2 usage, 3 cannot reach, 4 denied, 5 anything else.
    pub fn code(&self) -> u8 {
        match self {
            Self::NotFound(_) => 1,
            Self::Usage(_) => 2,
            Self::Unreachable(_) => 3,
            Self::Denied(_) => 4,
            Self::Refused(_) | Self::Output(_) => 5,
        }
    }

    /// What the Kubernetes API answered, when it was asked for `what`.
    pub fn of_kubernetes(what: &str, error: &kube::Error) -> Self {
        match error {
            kube::Error::Api(status) if status.code == 404 => Self::NotFound(format!("{what}: {}", status.message)),
            kube::Error::Api(status) if status.code == 401 || status.code == 403 => {
                Self::Denied(format!("{what}: {}", status.message))
            }
            kube::Error::Api(status) => Self::Refused(format!("{what}: {}", status.message)),
            error => Self::Unreachable(format!(
                "{what}: the API server cannot be reached: {error}; check the kubeconfig, or go past it by --server"
            )),
        }
    }
}

impl From<std::io::Error> for Failure {
    fn from(error: std::io::Error) -> Self {
        Self::Output(error)
    }
}
