//! What the agent is told: one TOML file, and a directory of service files.
//!
//! - [`agent_file`]: the agent's own file; [`service`]: one instance; [`local`]: a check on the machine
//! - `reader`: a file, key by key; [`problem`]: what is wrong with one, and where
//!
//! What is wrong with a service keeps out that service alone. What is wrong with the agent's own settings keeps it from
//! starting; an agent that runs goes on with what was good.

pub mod agent_file;
pub mod local;
pub mod problem;
mod reader;
pub mod service;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

pub use self::agent_file::Agent;
pub use self::local::{How, LocalCheck, Scripts};
pub use self::problem::Problem;
use self::reader::Source;
use self::service::Defaults;
pub use self::service::Service;

/// Everything that is told.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Config {
    /// About the agent.
    pub agent: Agent,
    /// What is registered, by id.
    pub services: BTreeMap<String, Service>,
    /// What is wrong.
    pub problems: Vec<Problem>,
    /// Whether something is wrong with the agent's own settings: it cannot start like this.
    pub is_unusable: bool,
}

/// A file with more than this is no configuration.
const FILE_BYTES_MAX: u64 = 1 << 20;
/// Instances of one agent: what the controller takes.
pub const SERVICES_MAX: usize = 64;

// === impl Config ===

impl Config {
    /// Reads the agent's file, and the service files that it names.
    pub fn load(path: &Path) -> Self {
        let mut config = Self::default();
        let text = match read(path) {
            Ok(text) => text,
            Err(problem) => return Self { problems: vec![problem], is_unusable: true, ..config },
        };
        let source = Source::new(path, &text);
        let document = source.parse();
        let mut root = source.root(&document);
        let (agent, defaults) = agent_file::read(&mut root, path);
        let mut services = Vec::new();
        for table in root.tables("service") {
            services.extend(service::read(table, &defaults).map(|service| (path.to_path_buf(), service)));
        }
        root.finish();
        config.is_unusable = agent.is_none();
        config.agent = agent.unwrap_or_default();
        config.problems = source.into_problems();
        config.is_unusable |= document.is_empty();
        let folder = config.agent.services.clone();
        let files = folder.map(|folder| config.files(&folder)).unwrap_or_default();
        for file in files {
            services.extend(config.service_file(&file, &defaults));
        }
        config.keep(services);
        config
    }

    /// The service files, in the order of their names.
    fn files(&mut self, folder: &Path) -> Vec<PathBuf> {
        if folder.is_file() {
            return vec![folder.to_path_buf()];
        }
        match std::fs::read_dir(folder) {
            Ok(entries) => {
                let paths = entries.filter_map(Result::ok).map(|entry| entry.path());
                let mut files: Vec<_> =
                    paths.filter(|path| path.extension().is_some_and(|ext| ext == "toml")).collect();
                files.sort();
                files
            }
            Err(error) => {
                let words =
                    format!("services: it cannot be read: {error}; make the directory, or leave `services` out");
                self.problems.push(Problem::of_file(folder, words));
                Vec::new()
            }
        }
    }

    /// One service, with its keys at the top, or several, each begun by `[[service]]`.
    fn service_file(&mut self, path: &Path, defaults: &Defaults) -> Vec<(PathBuf, Service)> {
        let text = match read(path) {
            Ok(text) => text,
            Err(problem) => {
                self.problems.push(problem);
                return Vec::new();
            }
        };
        let source = Source::new(path, &text);
        let document = source.parse();
        let has_several = document.iter().any(|(key, value)| key.get_ref() == "service" && value.get_ref().is_array());
        let mut services = Vec::new();
        let mut root = source.root(&document);
        if has_several {
            for table in root.tables("service") {
                services.extend(service::read(table, defaults));
            }
            root.finish();
        } else if !document.is_empty() {
            services.extend(service::read(root, defaults));
        } else {
            drop(root);
        }
        self.problems.extend(source.into_problems());
        services.into_iter().map(|service| (path.to_path_buf(), service)).collect()
    }

    fn keep(&mut self, services: Vec<(PathBuf, Service)>) {
        for (path, service) in services {
            let id = service.id.clone();
            if self.services.contains_key(&id) {
                let words =
                    format!("service {id} is given twice; the first one counts. Give the other a `name` of its own");
                self.problems.push(Problem::of_file(path, words));
            } else if self.services.len() >= SERVICES_MAX {
                let words = format!("service {id} is left out: one agent has {SERVICES_MAX} at most; run a second one");
                self.problems.push(Problem::of_file(path, words));
            } else {
                self.services.insert(id, service);
            }
        }
    }
}

fn read(path: &Path) -> Result<String, Problem> {
    let problem = |words: String| Problem::of_file(path, words);
    let size = std::fs::metadata(path).map(|metadata| metadata.len());
    let size = size.map_err(|error| problem(format!("it cannot be read: {error}")))?;
    if size > FILE_BYTES_MAX {
        return Err(problem(format!("it has {size} bytes, and a configuration {FILE_BYTES_MAX} at most")));
    }
    std::fs::read_to_string(path).map_err(|error| problem(format!("it cannot be read: {error}")))
}
