//! Who somebody is.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use k8s_openapi::api::authentication::v1::UserInfo;
use rollcall_xds::tls::date;
use x509_parser::prelude::{FromDer, X509Certificate};

use super::denied::Denied;
use super::memory::{Keys, Print};

/// A user as the API server knows them. Cheap to clone.
#[derive(Clone, PartialEq, Eq)]
pub struct Identity(Arc<Who>);

#[derive(Clone, Debug, PartialEq, Eq)]
struct Who {
    user: String,
    uid: String,
    groups: Vec<String>,
    extra: BTreeMap<String, Vec<String>>,
    print: Print,
}

/// The group of everybody who has shown who they are.
const AUTHENTICATED: &str = "system:authenticated";

// === impl Identity ===

impl Identity {
    /// As a TokenReview tells.
    pub(super) fn of(info: UserInfo, keys: &Keys) -> Self {
        let user = info.username.unwrap_or_default();
        let (uid, groups) = (info.uid.unwrap_or_default(), info.groups.unwrap_or_default());
        Self::new(user, uid, groups, info.extra.unwrap_or_default(), keys)
    }

    /// As the API server reads client certificates: the common name is the user, the organisations are the groups.
    /// It was good at the handshake, and may have expired since: `now_s` is in seconds since 1970.
    ///
    /// # Errors
    /// When it has no common name, cannot be read, or has expired.
    pub(super) fn of_certificate(der: &[u8], keys: &Keys, now_s: i64) -> Result<Self, Denied> {
        let (_, certificate) = X509Certificate::from_der(der).map_err(|_| Denied::Nameless)?;
        let not_after_s = certificate.validity().not_after.timestamp();
        if now_s > not_after_s {
            return Err(Denied::Certificate(format!(
                "it expired on {}; renew it, and connect again",
                date(not_after_s)
            )));
        }
        let subject = certificate.subject();
        let user =
            subject.iter_common_name().next().and_then(|name| name.as_str().ok()).filter(|name| !name.is_empty());
        let user = user.ok_or(Denied::Nameless)?.to_owned();
        let groups = subject.iter_organization().filter_map(|name| name.as_str().ok()).map(str::to_owned);
        let groups = groups.chain([AUTHENTICATED.to_owned()]).collect();
        Ok(Self::new(user, String::new(), groups, BTreeMap::new(), keys))
    }

    fn new(user: String, uid: String, groups: Vec<String>, extra: BTreeMap<String, Vec<String>>, keys: &Keys) -> Self {
        let print = keys.print(&(&user, &uid, &groups, &extra));
        Self(Arc::new(Who { user, uid, groups, extra, print }))
    }

    /// The same user without what the authenticator adds, such as the pod that a token is bound to: so the pods of a
    /// ServiceAccount are one.
    pub(super) fn without_extra(&self, keys: &Keys) -> Self {
        match self.0.extra.is_empty() {
            true => self.clone(),
            false => Self::new(self.0.user.clone(), self.0.uid.clone(), self.0.groups.clone(), BTreeMap::new(), keys),
        }
    }

    /// The user's name, such as `system:serviceaccount:shop:agent`.
    pub fn user(&self) -> &str {
        &self.0.user
    }

    /// Namespace and name of the ServiceAccount, if it is one.
    pub fn service_account(&self) -> Option<(&str, &str)> {
        self.0.user.strip_prefix("system:serviceaccount:")?.split_once(':')
    }

    /// The user's unique id, or nothing.
    pub fn uid(&self) -> &str {
        &self.0.uid
    }

    /// The groups that the user is in.
    pub fn groups(&self) -> &[String] {
        &self.0.groups
    }

    pub(super) fn extra(&self) -> &BTreeMap<String, Vec<String>> {
        &self.0.extra
    }

    pub(super) fn print(&self) -> Print {
        self.0.print
    }
}

impl fmt::Display for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.service_account() {
            Some((namespace, name)) => write!(f, "ServiceAccount {namespace}/{name}"),
            None => write!(f, "user {}", self.0.user),
        }
    }
}

impl fmt::Debug for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Identity").field(&self.0.user).finish()
    }
}
