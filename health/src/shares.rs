//! Fair turns: whose probe starts next, when more are due than may be under way.
//!
//! Namespaces take turns, and in each its registrations. None may hold all places: a namespace starts while it holds less
//! than what is free, and a registration while it holds less than half of that (the dynamic thresholds of Choudhury and
//! Hahne, 1998). One alone may so use half of all places, and whoever comes finds some free at once, without a
//! place that is kept empty for nobody. Within a registration targets that pass and targets that fail take turns: dark
//! machines, each of which holds its place for a whole timeout, do not make the others late.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;

use rollcall_catalog::input::Origin;
use rollcall_catalog::model::Name;

/// Places, who holds them, and who waits for one.
#[derive(Debug)]
pub struct Shares<T> {
    capacity: usize,
    running: usize,
    namespaces: HashMap<Name, Namespace<T>>,
    /// Namespaces with somebody who waits, in the order of their turns.
    turns: VecDeque<Name>,
}

/// How a target was at its last probe.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lane {
    /// It passed.
    Steady,
    /// It did not, or was never asked.
    Doubtful,
}

#[derive(Debug)]
struct Namespace<T> {
    running: usize,
    registrations: HashMap<Arc<Origin>, Registration<T>>,
    /// Registrations with somebody who waits, in the order of their turns.
    turns: VecDeque<Arc<Origin>>,
}

#[derive(Debug)]
struct Registration<T> {
    running: usize,
    steady: VecDeque<T>,
    doubtful: VecDeque<T>,
    /// Whose turn it is.
    next: Lane,
}

// === impl Shares ===

impl<T> Shares<T> {
    /// So many places, at least one.
    pub fn new(capacity: usize) -> Self {
        Self { capacity: capacity.max(1), running: 0, namespaces: HashMap::new(), turns: VecDeque::new() }
    }

    /// Places that are held.
    pub fn running(&self) -> usize {
        self.running
    }

    /// Waits for a place.
    pub fn wait(&mut self, origin: &Arc<Origin>, lane: Lane, item: T) {
        let namespace = self.namespaces.entry(Name::clone(&origin.namespace)).or_default();
        if namespace.turns.is_empty() {
            self.turns.push_back(Name::clone(&origin.namespace));
        }
        let registration = namespace.registrations.entry(Arc::clone(origin)).or_default();
        if registration.is_idle() {
            namespace.turns.push_back(Arc::clone(origin));
        }
        match lane {
            Lane::Steady => registration.steady.push_back(item),
            Lane::Doubtful => registration.doubtful.push_back(item),
        }
    }

    /// Gives a place to whose turn it is; [`Shares::release`] gives it back. `None` when nobody may start.
    pub fn start(&mut self) -> Option<(Arc<Origin>, T)> {
        let free = self.capacity.saturating_sub(self.running);
        for _ in 0..self.turns.len() {
            let name = self.turns.pop_front()?;
            let Some(namespace) = self.namespaces.get_mut(&name) else { continue };
            let started = if namespace.running < free { namespace.next(free.div_ceil(2)) } else { None };
            if !namespace.turns.is_empty() {
                self.turns.push_back(name);
            }
            if started.is_some() {
                self.running += 1;
                return started;
            }
        }
        None
    }

    /// Gives back a place.
    pub fn release(&mut self, origin: &Arc<Origin>) {
        let Some(namespace) = self.namespaces.get_mut(&origin.namespace) else { return };
        let Some(registration) = namespace.registrations.get_mut(origin).filter(|held| held.running > 0) else {
            return;
        };
        registration.running -= 1;
        namespace.running -= 1;
        self.running -= 1;
        if registration.running == 0 && registration.is_idle() {
            namespace.registrations.remove(origin);
        }
        if namespace.registrations.is_empty() {
            self.namespaces.remove(&origin.namespace);
        }
    }

    /// Lets go of those of a registration that need not wait any more.
    pub fn retain(&mut self, origin: &Arc<Origin>, keep: impl Fn(&T) -> bool) {
        let Some(namespace) = self.namespaces.get_mut(&origin.namespace) else { return };
        let Some(registration) = namespace.registrations.get_mut(origin) else { return };
        registration.steady.retain(&keep);
        registration.doubtful.retain(&keep);
        if !registration.is_idle() {
            return;
        }
        if registration.running == 0 {
            namespace.registrations.remove(origin);
        }
        namespace.turns.retain(|waits| waits != origin);
        if namespace.turns.is_empty() {
            self.turns.retain(|waits| *waits != origin.namespace);
        }
        if namespace.registrations.is_empty() {
            self.namespaces.remove(&origin.namespace);
        }
    }
}

// === impl Namespace ===

impl<T> Namespace<T> {
    fn next(&mut self, most: usize) -> Option<(Arc<Origin>, T)> {
        for _ in 0..self.turns.len() {
            let origin = self.turns.pop_front()?;
            let Some(registration) = self.registrations.get_mut(&origin) else { continue };
            let started = if registration.running < most { registration.next() } else { None };
            if started.is_some() {
                registration.running += 1;
                self.running += 1;
            }
            if !registration.is_idle() {
                self.turns.push_back(Arc::clone(&origin));
            }
            if let Some(item) = started {
                return Some((origin, item));
            }
        }
        None
    }
}

impl<T> Default for Namespace<T> {
    fn default() -> Self {
        Self { running: 0, registrations: HashMap::new(), turns: VecDeque::new() }
    }
}

// === impl Registration ===

impl<T> Registration<T> {
    fn is_idle(&self) -> bool {
        self.steady.is_empty() && self.doubtful.is_empty()
    }

    fn next(&mut self) -> Option<T> {
        let (first, second) = match self.next {
            Lane::Steady => (&mut self.steady, &mut self.doubtful),
            Lane::Doubtful => (&mut self.doubtful, &mut self.steady),
        };
        let item = first.pop_front().or_else(|| second.pop_front());
        self.next = match self.next {
            Lane::Steady => Lane::Doubtful,
            Lane::Doubtful => Lane::Steady,
        };
        item
    }
}

impl<T> Default for Registration<T> {
    fn default() -> Self {
        Self { running: 0, steady: VecDeque::new(), doubtful: VecDeque::new(), next: Lane::Steady }
    }
}

#[cfg(test)]
mod tests;
