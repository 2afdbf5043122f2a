//! Flags.

use std::path::PathBuf;

use clap::{Args as Group, Parser, Subcommand, ValueEnum};
use clap_complete::Shell;

/// Asks Rollcall about the services of a cluster: who can be called, and why the others cannot.
///
/// It goes through the API server to a controller, by a port-forward of its own, as the user of the kubeconfig; or straight
/// to one by --server.
///
/// Exit codes: 0 done; 1 not found, or no endpoint that can be called; 2 wrong usage; 3 nobody can be reached; 4 not allowed;
/// 5 anything else. NO_COLOR turns colours off.
#[derive(Clone, Debug, Parser)]
#[command(name = "kubectl-rollcall", bin_name = "kubectl rollcall", version)]
pub struct Args {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,

    /// Where and as whom.
    #[command(flatten)]
    pub reach: Reach,
}

/// How a controller is reached.
#[derive(Clone, Debug, Group)]
pub struct Reach {
    /// Namespace of the service; that of the kubeconfig, or default, without it.
    #[arg(short, long, global = true, value_name = "NAME")]
    pub namespace: Option<String>,

    /// Context of the kubeconfig.
    #[arg(long, global = true, value_name = "NAME")]
    pub context: Option<String>,

    /// The API port of a controller: https://HOST:PORT, or HOST:PORT. Without it, a port-forward through the API server.
    #[arg(long, global = true, env = "ROLLCALL_API", value_name = "URL")]
    pub server: Option<String>,

    /// The authorities that the controller's certificate may be of, as PEM. Without it, those that the cluster publishes.
    #[arg(long, global = true, env = "ROLLCALL_CA", value_name = "PATH")]
    pub ca_file: Option<PathBuf>,

    /// A file with the token to show. Without it ROLLCALL_TOKEN, or the token of the kubeconfig's user.
    #[arg(long, global = true, value_name = "PATH")]
    pub token_file: Option<PathBuf>,

    /// Ask as this ServiceAccount: a token for it is requested. For users whose kubeconfig has a client certificate.
    #[arg(long, global = true, value_name = "NAMESPACE/NAME")]
    pub service_account: Option<String>,

    /// Namespace in which Rollcall is installed.
    #[arg(long, global = true, default_value = "rollcall-system", value_name = "NAME")]
    pub rollcall_namespace: String,
}

/// Clients that have a bootstrap file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Bootstrapped {
    /// gRPC without a proxy.
    Grpc,
    /// Envoy.
    Envoy,
}

/// What to do.
#[derive(Clone, Debug, Subcommand)]
pub enum Command {
    /// Services, or the endpoints of one.
    Get {
        /// The service; all of the namespace without it.
        service: Option<String>,
        /// Services of all namespaces.
        #[arg(short = 'A', long, conflicts_with = "service")]
        all_namespaces: bool,
        /// Which endpoints.
        #[command(flatten)]
        filter: Filter,
        /// How it is printed.
        #[arg(short, long, value_enum, default_value_t = Output::Table)]
        output: Output,
    },
    /// The whole story: checks, reasons, what was kept out, the last transitions.
    Explain {
        /// The service.
        service: String,
        /// One of its endpoints; all without it.
        endpoint: Option<String>,
        /// How it is printed.
        #[arg(short, long, value_enum, default_value_t = Output::Table)]
        output: Output,
    },
    /// One endpoint to call, as IP:PORT: by weight, own zone first, never one that is not to be called.
    Resolve {
        /// The service.
        service: String,
        /// The caller's zone.
        #[arg(long, value_name = "ZONE")]
        zone: Option<String>,
        /// The caller's region.
        #[arg(long, value_name = "REGION")]
        region: Option<String>,
        /// Only endpoints with this tag; repeatable.
        #[arg(long, value_name = "TAG")]
        tag: Vec<String>,
        /// Name or number of the port; the first without it.
        #[arg(long, value_name = "PORT")]
        port: Option<String>,
        /// How it is printed.
        #[arg(short, long, value_enum, default_value_t = Output::Table)]
        output: Output,
    },
    /// The endpoints of a service, and each change of them until interrupted.
    Watch {
        /// The service. It may come later.
        service: String,
        /// Which endpoints.
        #[command(flatten)]
        filter: Filter,
        /// How it is printed: json and yaml print the whole answer at each change.
        #[arg(short, long, value_enum, default_value_t = Output::Table)]
        output: Output,
    },
    /// Who reads the discovery streams of all replicas: clients, what they hold, took last and refused last.
    Streams {
        /// How it is printed; wide tells each type.
        #[arg(short, long, value_enum, default_value_t = Output::Table)]
        output: Output,
    },
    /// A ready bootstrap file for a client of the discovery stream.
    Bootstrap {
        /// Whose.
        #[arg(value_enum)]
        client: Bootstrapped,
        /// What the client calls itself; rollcall-client without it.
        #[arg(long, value_name = "NAME")]
        id: Option<String>,
        /// Where it runs.
        #[arg(long, value_name = "REGION")]
        region: Option<String>,
        /// Where it runs.
        #[arg(long, value_name = "ZONE")]
        zone: Option<String>,
        /// HOST:PORT of the stream, as the client reaches it; that of the Service without it.
        #[arg(long, value_name = "HOST:PORT")]
        stream: Option<String>,
        /// Where the client has the authority's certificate; /etc/rollcall/ca.crt without it.
        #[arg(long, value_name = "PATH")]
        ca: Option<String>,
        /// Where it has a token that says who it is.
        #[arg(long, value_name = "PATH")]
        token: Option<String>,
        /// Where it has a certificate that says who it is.
        #[arg(long, value_name = "PATH", requires = "key")]
        cert: Option<String>,
        /// The key of that.
        #[arg(long, value_name = "PATH", requires = "cert")]
        key: Option<String>,
    },
    /// Says once that a registered endpoint lives, and prints by when the next beat is due.
    Beat {
        /// The ServiceRegistration.
        registration: String,
        /// The endpoint in it.
        endpoint: String,
        /// How it is printed.
        #[arg(short, long, value_enum, default_value_t = Output::Table)]
        output: Output,
    },
    /// Takes a registration, or one of its endpoints, out of all answers, or back in.
    Maintenance {
        /// On or off.
        #[arg(value_enum)]
        switch: Switch,
        /// The ServiceRegistration.
        registration: String,
        /// One endpoint of it; all without it.
        endpoint: Option<String>,
        /// Why, for the colleague who finds it.
        #[arg(long, default_value = "maintenance by kubectl rollcall", value_name = "TEXT")]
        reason: String,
    },
    /// Completion for a shell, to be sourced.
    Completion {
        /// The shell.
        #[arg(value_enum)]
        shell: Shell,
    },
}

/// Which endpoints.
#[derive(Clone, Debug, Default, Group)]
pub struct Filter {
    /// Only endpoints with this tag; repeatable: with all of them.
    #[arg(long, value_name = "TAG")]
    pub tag: Vec<String>,
    /// Only endpoints in this zone; repeatable.
    #[arg(long, value_name = "ZONE")]
    pub zone: Vec<String>,
    /// Only endpoints in this region; repeatable.
    #[arg(long, value_name = "REGION")]
    pub region: Vec<String>,
    /// Only endpoints of this origin: EndpointSlice, ServiceRegistration, or KIND/NAME; repeatable.
    #[arg(long, value_name = "ORIGIN")]
    pub origin: Vec<String>,
    /// Only endpoints of this health: Passing, Warning, Critical, Unknown, Maintenance; repeatable. All without it.
    #[arg(long, value_name = "HEALTH")]
    pub health: Vec<String>,
}

/// How it is printed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Output {
    /// For people.
    Table,
    /// The same with more columns.
    Wide,
    /// The server's answer.
    Json,
    /// The same as YAML.
    Yaml,
}

/// On or off.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Switch {
    /// Out of the answers.
    On,
    /// Back in.
    Off,
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_flags_fit_each_other_and_usage_is_exit_code_2() {
        Args::command().debug_assert();
        for wrong in [&["get", "-A", "payments"][..], &["explain"], &["maintenance", "up", "x"], &["get", "-o", "xml"]]
        {
            let error = Args::try_parse_from(["kubectl-rollcall"].iter().chain(wrong)).expect_err("refused");
            assert_eq!(error.exit_code(), 2, "{wrong:?}");
        }
    }
}
