//! Names of resources: `xdstp:` names (cncf/xds TP1) in their normal form, so that equal ones are equal texts.

use std::borrow::Cow;

use crate::resource::ResourceType;

/// A name as `xdstp://AUTHORITY/TYPE/ID?PARAMETERS#DIRECTIVES`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Xdstp<'a> {
    /// Whose name it is; may be empty.
    pub authority: &'a str,
    /// The resource type, without its prefix: `envoy.config.listener.v3.Listener`.
    pub resource_type: &'a str,
    /// What is meant, as it is written.
    pub id: &'a str,
    /// `?` and the context parameters, or nothing.
    pub parameters: &'a str,
}

const SCHEME: &str = "xdstp:";

// === impl Xdstp ===

impl<'a> Xdstp<'a> {
    /// Reads a name; `None` when it is of another kind.
    pub fn read(name: &'a str) -> Option<Self> {
        let rest = name.strip_prefix(SCHEME)?.strip_prefix("//")?;
        let rest = rest.split_once('#').map_or(rest, |(rest, _)| rest);
        let (rest, parameters) = rest.find('?').map_or((rest, ""), |at| rest.split_at(at));
        let (authority, path) = rest.split_once('/')?;
        let (resource_type, id) = path.split_once('/')?;
        Some(Self { authority, resource_type, id, parameters })
    }

    /// The same of another type.
    pub fn of(self, ty: ResourceType) -> String {
        let Self { authority, id, parameters, .. } = self;
        format!("{SCHEME}//{authority}/{}/{id}{parameters}", ty.type_url().trim_start_matches(PREFIX))
    }
}

const PREFIX: &str = "type.googleapis.com/";

/// The normal form of a name: of an `xdstp:` name the context parameters in order, and without directives, which say how
/// to use a resource and not which one it is. Percent-encoding is undone where it says nothing, as clients do who make
/// names out of templates. Other names stay as they are.
pub fn normal(name: &str) -> Cow<'_, str> {
    let Some(Xdstp { authority, resource_type, id, parameters }) = Xdstp::read(name) else {
        return Cow::Borrowed(name);
    };
    let mut pairs: Vec<_> = parameters.trim_start_matches('?').split('&').filter(|pair| !pair.is_empty()).collect();
    pairs.sort_unstable();
    let mark = if pairs.is_empty() { "" } else { "?" };
    let normal = format!("{SCHEME}//{authority}/{resource_type}/{}{mark}{}", plain(id), pairs.join("&"));
    if normal == name { Cow::Borrowed(name) } else { Cow::Owned(normal) }
}

/// Without the percent-encoding of characters that stand for themselves in a path (RFC 3986 §3.3).
fn plain(id: &str) -> Cow<'_, str> {
    if !id.contains('%') {
        return Cow::Borrowed(id);
    }
    let mut rest = id;
    let mut plain = String::with_capacity(id.len());
    while let Some((before, after)) = rest.split_once('%') {
        plain.push_str(before);
        let byte = after.get(..2).and_then(|hex| u8::from_str_radix(hex, 16).ok()).map(char::from);
        match byte.filter(|c| c.is_ascii_alphanumeric() || "-._~!$'()*+,;=:@".contains(*c)) {
            Some(c) => {
                plain.push(c);
                rest = &after[2..];
            }
            None => {
                plain.push('%');
                rest = after;
            }
        }
    }
    plain.push_str(rest);
    Cow::Owned(plain)
}

/// The name of the endpoints of a cluster: its own; of an `xdstp:` cluster the one of that type.
pub fn endpoints_of(cluster: &str) -> Cow<'_, str> {
    Xdstp::read(cluster).map_or(Cow::Borrowed(cluster), |name| Cow::Owned(name.of(ResourceType::Endpoints)))
}

/// The way back from [`endpoints_of`].
pub fn cluster_of(endpoints: &str) -> Cow<'_, str> {
    Xdstp::read(endpoints).map_or(Cow::Borrowed(endpoints), |name| Cow::Owned(name.of(ResourceType::Cluster)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equal_names_are_equal_texts() {
        let name = "xdstp://mesh/envoy.config.listener.v3.Listener/payments.shop:http";
        for (written, normal_form) in [
            ("payments.shop:http", "payments.shop:http".to_owned()),
            (&format!("{name}?b=1&a=2"), format!("{name}?a=2&b=1")),
            (&format!("{name}#entry=x"), name.to_owned()),
            (&format!("{name}?"), name.to_owned()),
            (&name.replace(':', "%3A").replace("xdstp%3A", "xdstp:"), name.to_owned()),
            ("xdstp://mesh/T/a%2Fb%2", "xdstp://mesh/T/a%2Fb%2".to_owned()),
            ("xdstp://mesh/T/%é%zz%", "xdstp://mesh/T/%é%zz%".to_owned()),
            ("xdstp:nonsense", "xdstp:nonsense".to_owned()),
        ] {
            assert_eq!(normal(written), normal_form);
            assert_eq!(normal(&normal_form), normal_form, "once is enough");
        }
    }

    #[test]
    fn a_cluster_and_its_endpoints_find_each_other() {
        let cluster = "xdstp://mesh/envoy.config.cluster.v3.Cluster/payments.shop:http?a=b";
        let endpoints = "xdstp://mesh/envoy.config.endpoint.v3.ClusterLoadAssignment/payments.shop:http?a=b";
        assert_eq!((&*endpoints_of(cluster), &*cluster_of(endpoints)), (endpoints, cluster));
        assert_eq!(endpoints_of("payments.shop:http"), "payments.shop:http");
    }
}
