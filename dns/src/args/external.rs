//! Names of services that are reached from outside the cluster: flags.

use hickory_proto::rr::Name;

use super::service_key;
use crate::zone::label::is_hostname_label;
use crate::zone::reading::exposed::Outward;

/// Domains with such names, and what is in them.
#[derive(Clone, Debug, clap::Args)]
pub struct ExternalArgs {
    /// Domain in which services have their addresses out of the cluster: externalIPs, and those of load balancers, such as
    /// web.shop.k8s.example.com. As CoreDNS's plugin k8s_external; the name server is ns1.dns.DOMAIN. Repeat it for more. Default: none.
    #[arg(long, env = "ROLLCALL_EXTERNAL_DOMAIN", value_name = "DOMAIN", value_delimiter = ',', value_parser = domain)]
    pub external_domain: Vec<Name>,

    /// Services without a virtual address have the addresses of their endpoints below --external-domain, unless they have external ones.
    #[arg(long, env = "ROLLCALL_EXTERNAL_HEADLESS")]
    pub external_headless: bool,

    /// Service by which this server is reached from out of the cluster: its addresses there are those of the name server of
    /// --external-domain. Default: those of --advertise.
    #[arg(long, env = "ROLLCALL_EXTERNAL_SERVICE", value_name = "NAMESPACE/NAME", value_parser = service_key)]
    pub external_service: Option<String>,
}

// === impl ExternalArgs ===

impl From<ExternalArgs> for Outward {
    fn from(args: ExternalArgs) -> Self {
        Self {
            domains: args.external_domain,
            headless: args.external_headless,
            service: args.external_service.map(Into::into),
        }
    }
}

fn domain(text: &str) -> Result<Name, String> {
    let name = Name::from_ascii(text.trim_end_matches('.')).ok().filter(|name| name.iter().next().is_some());
    let name = name.filter(|name| name.iter().all(|label| std::str::from_utf8(label).is_ok_and(is_hostname_label)));
    let mut name = name.ok_or_else(|| "give a domain such as k8s.example.com".to_owned())?.to_lowercase();
    name.set_fqdn(true);
    Ok(name)
}
