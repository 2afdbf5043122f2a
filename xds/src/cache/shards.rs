use std::sync::{Arc, LazyLock};

use xxhash_rust::xxh3::xxh3_64;

use crate::resource::Resource;

#[cfg(test)]
mod tests;

/// Children per node. Two levels give 4,096 leaves: about a dozen resources each at 50,000.
const FANOUT: usize = 64;

/// Resources by name, in a tree of fixed depth cut by the hash of the name. A clone shares everything; a write copies
/// one node per level (2 × 64 pointers and one leaf) if somebody else holds it.
#[derive(Clone, Debug)]
pub(super) struct Shards {
    root: Arc<Node<Node<Leaf>>>,
    len: usize,
}

#[derive(Debug)]
struct Node<T>([Arc<T>; FANOUT]);

/// Sorted by name.
#[derive(Clone, Debug, Default)]
struct Leaf(Vec<Resource>);

static EMPTY: LazyLock<Arc<Node<Node<Leaf>>>> = LazyLock::new(|| {
    let branch = Node(std::array::from_fn(|_| Arc::default()));
    let branch = Arc::new(branch);
    Arc::new(Node(std::array::from_fn(|_| branch.clone())))
});

// === impl Shards ===

impl Shards {
    pub(super) fn get(&self, name: &str) -> Option<&Resource> {
        let (high, low) = place(name);
        let leaf = &self.root.0[high].0[low].0;
        leaf.binary_search_by(|resource| (*resource.name).cmp(name)).ok().map(|at| &leaf[at])
    }

    /// Adds or replaces; says whether anything changed. Nothing is copied when nothing does.
    pub(super) fn insert(&mut self, resource: Resource) -> bool {
        match self.get(&resource.name) {
            Some(old) if old.version == resource.version => return false,
            Some(_) => {}
            None => self.len += 1,
        }
        let leaf = self.leaf_mut(&resource.name);
        match leaf.binary_search_by(|other| other.name.cmp(&resource.name)) {
            Ok(at) => leaf[at] = resource,
            Err(at) => leaf.insert(at, resource),
        }
        true
    }

    pub(super) fn remove(&mut self, name: &str) -> Option<Resource> {
        self.get(name)?;
        self.len -= 1;
        let leaf = self.leaf_mut(name);
        let at = leaf.binary_search_by(|resource| (*resource.name).cmp(name)).ok()?;
        Some(leaf.remove(at))
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &Resource> {
        self.root.0.iter().flat_map(|branch| &branch.0).flat_map(|leaf| &leaf.0)
    }

    pub(super) fn len(&self) -> usize {
        self.len
    }

    fn leaf_mut(&mut self, name: &str) -> &mut Vec<Resource> {
        let (high, low) = place(name);
        let branch = Arc::make_mut(&mut Arc::make_mut(&mut self.root).0[high]);
        &mut Arc::make_mut(&mut branch.0[low]).0
    }
}

impl Default for Shards {
    fn default() -> Self {
        Self { root: EMPTY.clone(), len: 0 }
    }
}

impl<T> Clone for Node<T> {
    fn clone(&self) -> Self {
        Self(std::array::from_fn(|at| self.0[at].clone()))
    }
}

fn place(name: &str) -> (usize, usize) {
    let hash = xxh3_64(name.as_bytes()) as usize;
    (hash % FANOUT, hash / FANOUT % FANOUT)
}
