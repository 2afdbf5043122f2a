//! The namespaces of this cluster, by their labels: which of them a link imports.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use k8s_openapi::api::core::v1::Namespace;
use kube::core::{Expression, PartialObjectMeta, Selector, SelectorExt};
use rollcall_catalog::model::Name;
use rollcall_crds::{ImportSpec, LabelOperator, LabelRequirement, NamespaceSelector};

use super::table::{News, Reader, Table};
use crate::kubernetes::ObjectKey;
use crate::kubernetes::informer::Handler;

/// Their labels; complete once all have been listed. Clones are the same.
pub type Namespaces = Table<Name, Labels>;

/// As they stand.
pub type Labels = Arc<BTreeMap<String, String>>;

/// The namespaces that one link imports, kept in step with what it says and with the labels that namespaces have.
#[derive(Debug)]
pub struct Imported {
    all: Namespaces,
    news: Reader<Name, Labels>,
    import: Option<ImportSpec>,
    selector: Option<Selector>,
    /// Those whose labels fit.
    fitting: BTreeSet<Name>,
    now: Result<Option<Arc<BTreeSet<Name>>>, String>,
}

/// Said while it is not known which namespaces there are.
const UNKNOWN: &str = "the namespaces of this cluster have not been listed yet, and import.namespaceSelector is about their labels; if that \
                       stays so, the controller lacks the right to list them: helm upgrade with federation.enabled=true, or apply \
                       manifests/rbac-federation.yaml";

// === impl Imported ===

impl Imported {
    /// None yet.
    pub fn new(all: Namespaces) -> Self {
        let (news, now) = (all.follow(), Err(String::new()));
        Self { all, news, import: None, selector: None, fitting: BTreeSet::new(), now }
    }

    /// Which they are; `None` for all.
    ///
    /// # Errors
    /// When that cannot be said, in words.
    pub fn now(&self) -> Result<Option<Arc<BTreeSet<Name>>>, &str> {
        match &self.now {
            Ok(names) => Ok(names.clone()),
            Err(words) => Err(words),
        }
    }

    /// How many they are, unless all.
    pub fn count(&self) -> Option<usize> {
        self.now.as_ref().ok()?.as_ref().map(|names| names.len())
    }

    /// What is to be said of a selector by which nothing is imported.
    pub fn problem(&self) -> Option<String> {
        (self.selector.is_some() && self.now.is_ok() && self.fitting.is_empty()).then(|| {
            format!(
                "import.namespaceSelector fits none of the {} namespaces of this cluster; give one of them the labels (kubectl label \
                 namespace NAME KEY=VALUE), or correct the selector",
                self.all.with(BTreeMap::len)
            )
        })
    }

    /// Waits until a namespace is another, if that may make a difference.
    pub async fn changed(&mut self) {
        match self.selector {
            Some(_) => self.news.changed().await,
            None => std::future::pending().await,
        }
    }

    /// Looks at what the link says, and at namespaces that changed. Whether others are imported than before.
    pub fn look(&mut self, import: &ImportSpec) -> bool {
        let anew = self.import.as_ref() != Some(import);
        if anew {
            self.import = Some(import.clone());
            self.selector = import.namespace_selector.as_ref().and_then(|selector| read(selector).ok());
        }
        let keys = match self.news.news() {
            News::Keys(keys) if !anew => keys,
            News::Keys(_) | News::All => {
                self.fitting.clear();
                if self.selector.is_some() { self.all.keys() } else { BTreeSet::new() }
            }
        };
        let Some(selector) = &self.selector else { return anew && self.take(import) };
        let complete = self.all.is_complete();
        if !anew && keys.is_empty() && complete == self.now.is_ok() {
            return false;
        }
        for key in keys {
            match self.all.get(&key).is_some_and(|labels| selector.matches(&labels)) {
                true => _ = self.fitting.insert(key),
                false => _ = self.fitting.remove(&key),
            }
        }
        self.take(import)
    }

    fn take(&mut self, import: &ImportSpec) -> bool {
        let now = match &import.namespace_selector {
            _ if import.namespaces.iter().any(|name| name == "*") => Ok(None),
            None => Ok(Some(BTreeSet::new())),
            Some(selector) => match read(selector) {
                Err(words) => Err(words),
                Ok(_) if !self.all.is_complete() => Err(UNKNOWN.to_owned()),
                Ok(_) => Ok(Some(self.fitting.clone())),
            },
        };
        let named = import.namespaces.iter().map(|name| Name::from(&**name));
        let now = now.map(|fitting| fitting.map(|fitting| Arc::new(fitting.into_iter().chain(named).collect())));
        std::mem::replace(&mut self.now, now) != self.now
    }
}

impl Handler<PartialObjectMeta<Namespace>> for Namespaces {
    async fn apply(&mut self, namespace: PartialObjectMeta<Namespace>) {
        let name = ObjectKey::of(&namespace.metadata).name;
        self.put(&name, Some(Arc::new(namespace.metadata.labels.unwrap_or_default())));
    }

    async fn delete(&mut self, gone: &ObjectKey) {
        self.put(&gone.name, None);
    }

    async fn synced(&mut self) {
        self.complete();
    }
}

/// A selector as it is compared.
fn read(selector: &NamespaceSelector) -> Result<Selector, String> {
    let equal = selector.match_labels.iter().map(|(key, value)| Ok(Expression::Equal(key.clone(), value.clone())));
    equal.chain(selector.match_expressions.iter().map(expression)).collect()
}

fn expression(requirement: &LabelRequirement) -> Result<Expression, String> {
    let (key, values) = (requirement.key.clone(), requirement.values.iter().cloned().collect());
    match requirement.operator {
        LabelOperator::In => Ok(Expression::In(key, values)),
        LabelOperator::NotIn => Ok(Expression::NotIn(key, values)),
        LabelOperator::Exists => Ok(Expression::Exists(key)),
        LabelOperator::DoesNotExist => Ok(Expression::DoesNotExist(key)),
        LabelOperator::Unsupported => Err(format!(
            "import.namespaceSelector compares the label {key} in a way that this version does not know; upgrade the controller, or use In, \
             NotIn, Exists or DoesNotExist"
        )),
    }
}

#[cfg(test)]
mod tests;
