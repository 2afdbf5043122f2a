//! Names by the forms of a registry: flags.

use hickory_proto::rr::Name;

use crate::zone::Registry;
use crate::zone::label::is_hostname_label;

/// Domains with such names, and how they are read.
#[derive(Clone, Debug, clap::Args)]
pub struct RegistryArgs {
    /// Domain in which services have names by the forms of Consul, such as db.service.rollcall or canary.web.service.shop.ns.rollcall.
    /// Repeat it for more, such as `rollcall,consul`; `none` for none.
    #[arg(long, env = "ROLLCALL_REGISTRY_DOMAIN", value_name = "DOMAIN", default_value = "rollcall")]
    #[arg(value_delimiter = ',', value_parser = registry_domain)]
    pub registry_domain: Vec<Name>,

    /// Namespace of names below --registry-domain that say none.
    #[arg(long, env = "ROLLCALL_REGISTRY_NAMESPACE", value_name = "NAMESPACE", default_value = "default")]
    #[arg(value_parser = namespace)]
    pub registry_namespace: String,

    /// Name of this cluster in names that say a datacenter, such as db.service.east.rollcall. The names of zones stand there as
    /// well, for the endpoints in them, and those of linked clusters, for what these export. Default: none.
    #[arg(long, env = "ROLLCALL_REGISTRY_DATACENTER", value_name = "NAME", value_parser = datacenter)]
    pub registry_datacenter: Option<String>,

    /// Leaves endpoints with health Warning out of answers to names below --registry-domain (`only_passing` of Consul).
    #[arg(long, env = "ROLLCALL_REGISTRY_ONLY_PASSING")]
    pub registry_only_passing: bool,
}

// === impl RegistryArgs ===

impl From<RegistryArgs> for Registry {
    fn from(args: RegistryArgs) -> Self {
        Self {
            domains: args.registry_domain,
            namespace: args.registry_namespace.into(),
            datacenter: args.registry_datacenter.unwrap_or_default().into(),
            only_passing: args.registry_only_passing,
        }
    }
}

/// The root stands for no domain: it is none that can be served.
fn registry_domain(text: &str) -> Result<Name, String> {
    if text == "none" {
        return Ok(Name::root());
    }
    let name = Name::from_ascii(text.trim_end_matches('.')).ok().filter(|name| !name.is_root());
    let name = name.filter(|name| name.iter().all(|label| std::str::from_utf8(label).is_ok_and(is_hostname_label)));
    let mut name = name.ok_or_else(|| "give a domain such as rollcall or consul, or none".to_owned())?.to_lowercase();
    name.set_fqdn(true);
    Ok(name)
}

fn namespace(text: &str) -> Result<String, String> {
    lower_label(text).ok_or_else(|| "give the name of a namespace, such as default".to_owned())
}

fn datacenter(text: &str) -> Result<String, String> {
    lower_label(text).ok_or_else(|| "give one label of small letters, digits and dashes, such as east".to_owned())
}

fn lower_label(text: &str) -> Option<String> {
    let known = is_hostname_label(text) && !text.bytes().any(|byte| byte.is_ascii_uppercase());
    known.then(|| text.to_owned())
}
