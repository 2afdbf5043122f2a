//! Which resources have come, or are told, each with the version of its content: as many as may be, and the version of all together.

use std::collections::HashMap;
use std::sync::Arc;

use rollcall_catalog::digest::{Digest, Version};
use rollcall_xds::client::Upsert;
use rollcall_xds::resource::{self, ResourceType};

/// By type and name.
#[derive(Debug)]
pub struct Marks {
    all: HashMap<(ResourceType, Arc<str>), u64>,
    sum: u64,
    max: usize,
}

// === impl Marks ===

impl Marks {
    /// None yet, and never more than these.
    pub fn new(max: usize) -> Self {
        Self { all: HashMap::new(), sum: 0, max }
    }

    /// A resource is there in this version. Whether there is room for it.
    pub fn put(&mut self, ty: ResourceType, name: &Arc<str>, version: &str) -> bool {
        let (mark, full) = (of(ty, name, version), self.all.len() >= self.max);
        let place = (ty, Arc::clone(name));
        match self.all.get_mut(&place) {
            Some(before) => self.sum = self.sum.wrapping_sub(std::mem::replace(before, mark)),
            None if full => return false,
            None => _ = self.all.insert(place, mark),
        }
        self.sum = self.sum.wrapping_add(mark);
        true
    }

    /// A resource is there no more.
    pub fn remove(&mut self, ty: ResourceType, name: &Arc<str>) {
        if let Some(before) = self.all.remove(&(ty, Arc::clone(name))) {
            self.sum = self.sum.wrapping_sub(before);
        }
    }

    /// Of all together, in whichever order they came; `None` where there is none.
    pub fn version(&self) -> Option<Version> {
        (!self.all.is_empty()).then_some(Version(self.sum))
    }
}

fn of(ty: ResourceType, name: &str, version: &str) -> u64 {
    let mut digest = Digest::default();
    digest.text(ty.type_url()).text(name).text(version);
    digest.finish().0
}

/// Whether content is what its version is of: else a reconnect, which tells versions, would leave something else here than there.
///
/// # Errors
/// When it is not, in words.
pub fn content(upsert: &Upsert) -> Result<(), String> {
    let version = resource::Version::of(&upsert.value).to_string();
    match version == *upsert.version {
        true => Ok(()),
        false => Err(format!(
            "{:.300} came as version {:.63} with the content of version {version}; whatever changes it on the way, or the other \
             cluster's controller, is to be mended",
            upsert.name, upsert.version
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ResourceType::{ExportedBucket, ExportedService};

    #[test]
    fn the_version_of_all_is_that_of_what_is_there_whatever_came_before() {
        let [a, b] = ["shop/a", "shop/b"].map(Arc::from);
        let (mut one, mut other) = (Marks::new(9), Marks::new(2));
        assert_eq!(one.version(), None);
        one.put(ExportedService, &a, "1");
        one.put(ExportedBucket, &a, "1");
        other.put(ExportedBucket, &a, "0");
        other.put(ExportedService, &b, "1");
        assert_ne!(one.version(), other.version());
        assert!(!other.put(ExportedService, &a, "1"), "there is room for two");
        other.remove(ExportedService, &b);
        assert!(other.put(ExportedService, &a, "1") && other.put(ExportedBucket, &a, "1"));
        assert_eq!(one.version(), other.version());
        one.remove(ExportedService, &a);
        one.remove(ExportedBucket, &a);
        assert_eq!(one.version(), None);
    }
}
