//! Whom to dial next: the servers of the configuration in turn, then those that were found out meanwhile.

use std::{collections::VecDeque, sync::Arc};

use super::{Config, ConfigError, dial::Dialer};

/// An endless list of servers.
#[derive(Debug)]
pub(super) struct Rounds<'a> {
    config: &'a Config,
    given: Vec<(Arc<str>, Arc<Dialer>)>,
    left: VecDeque<(Arc<str>, Arc<Dialer>)>,
}

impl<'a> Rounds<'a> {
    pub(super) fn new(config: &'a Config) -> Result<Self, ConfigError> {
        let dialers = config.dialers()?.into_iter().map(Arc::new);
        let given = config.servers.iter().map(|server| Arc::from(server.as_str())).zip(dialers).collect();
        Ok(Self { config, given, left: VecDeque::new() })
    }
}

impl Iterator for Rounds<'_> {
    type Item = (Arc<str>, Arc<Dialer>);

    /// `None` only of no servers at all.
    fn next(&mut self) -> Option<Self::Item> {
        if self.left.is_empty() {
            self.left.extend(self.given.iter().cloned());
            for server in self.config.further.borrow().iter().filter(|server| !self.config.servers.contains(server)) {
                if let Ok(dialer) = Dialer::new(self.config, server) {
                    self.left.push_back((Arc::from(server.as_str()), Arc::new(dialer)));
                }
            }
        }
        self.left.pop_front()
    }
}
