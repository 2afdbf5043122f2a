//! Names as a source keeps them: each text once.

use rollcall_catalog::intern::Interner;
use rollcall_catalog::model::Name;

/// Interned names of one source: namespaces, zones, nodes and label sets repeat many times over.
#[derive(Debug, Default)]
pub struct Names(Interner<str>);

// === impl Names ===

impl Names {
    /// The shared copy of a text.
    pub fn get(&mut self, text: &str) -> Name {
        self.0.get(text)
    }

    /// The shared copy of a text that may be absent or empty, which mean the same in the API.
    pub fn maybe(&mut self, text: Option<&str>) -> Option<Name> {
        text.filter(|text| !text.is_empty()).map(|text| self.0.get(text))
    }
}
