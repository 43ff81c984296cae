//! The configuration that every replica shall run, from a spec and what it names. Pure.

use std::collections::{BTreeMap, BTreeSet};

use super::{
    parse::{Listener, Pool, Spec},
    references::References,
};
use crate::{
    agent::protocol::{Configuration, MAIN_FILE},
    api::ConfigurationStatus,
    loadbalancer::{
        config::{Backend, BackendSettings, Frontend, HaproxyConfig, Mode, render},
        names,
        world::{Replica, World},
    },
};

/// The most that a Secret holds, in bytes (`MaxSecretSize` of Kubernetes), less what its other keys take.
pub const LARGEST: usize = 1_048_576 - 1_024;

/// A configuration that every replica shall run, with its hash: that is as much work as all the rest of a
/// plan, and done once. What it holds can't be changed, so the hash is always its own.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Wanted {
    hash: String,
    configuration: Configuration,
}

impl Wanted {
    /// Of these files; `sequence` gives them their place in the order of changes, knowing their hash.
    fn new(files: BTreeMap<String, String>, sequence: impl FnOnce(&str) -> u64) -> Self {
        let mut configuration = Configuration { sequence: 0, files };
        let hash = configuration.hash();
        configuration.sequence = sequence(&hash);
        Self { hash, configuration }
    }

    /// As [`Configuration::hash`].
    #[must_use]
    pub fn hash(&self) -> &str {
        &self.hash
    }
}

impl std::ops::Deref for Wanted {
    type Target = Configuration;

    fn deref(&self) -> &Configuration {
        &self.configuration
    }
}

/// The files of the configuration.
#[must_use]
pub fn files(spec: &Spec, references: &References) -> BTreeMap<String, String> {
    let mut files = BTreeMap::new();
    let mut frontends = vec![];
    for listener in spec.listeners.iter().filter(|listener| listener.enabled) {
        // Without what it has to serve with it stays closed; the condition says so.
        let Some(of_listener) = listener_files(listener, references) else { continue };
        files.extend(of_listener);
        frontends.push(listener.frontend.clone());
    }
    let used: BTreeSet<&str> = frontends.iter().flat_map(Frontend::backends).collect();
    let mut backends = vec![];
    for (pool, mode) in spec.pools.iter().flat_map(|pool| [(pool, Mode::Http), (pool, Mode::Tcp)]) {
        if !used.contains(names::backend(&pool.name, mode).as_str()) {
            continue;
        }
        let authorities = pool.authorities.as_ref().and_then(|name| references.authorities.get_key_value(name));
        files.extend(authorities.map(|(name, file)| (names::authorities_file(name), file.clone())));
        backends.push(backend(pool, mode, references));
    }
    files.insert(MAIN_FILE.to_owned(), render(&HaproxyConfig { frontends, backends }));
    files
}

/// The certificates and authorities of a listener; none when it can't be served without what is missing.
fn listener_files(listener: &Listener, references: &References) -> Option<BTreeMap<String, String>> {
    let mut files = BTreeMap::new();
    let mut list = String::new();
    for name in &listener.certificates {
        if let Some(certificate) = references.certificates.get(name) {
            list = list + &names::certificate_file(name) + "\n";
            files.insert(names::certificate_file(name), certificate.clone());
        }
    }
    if let Some(tls) = &listener.frontend.tls {
        if list.is_empty() {
            return None;
        }
        files.insert(tls.certificate_list.clone(), list);
    }
    if let Some(name) = &listener.authorities {
        files.insert(names::authorities_file(name), references.authorities.get(name)?.clone());
    }
    Some(files)
}

fn backend(pool: &Pool, mode: Mode, references: &References) -> Backend {
    let backend = Backend {
        name: names::backend(&pool.name, mode),
        mode,
        settings: pool.settings.clone(),
        servers: references.servers.get(&pool.name).cloned().unwrap_or_default(),
    };
    match &pool.authorities {
        // Without the authorities nobody could be told from a member: none is trusted.
        Some(name) if !references.authorities.contains_key(name) => {
            let settings = BackendSettings { tls: None, ..backend.settings };
            Backend { settings, servers: vec![], ..backend }
        }
        _ => backend,
    }
}

/// Gives the files their place in the order of changes: as before when they are what was wanted before
/// or what the Secret holds, else one more than any that is known anywhere. Lost statuses and agents
/// that were reached by a leader before this one are so never taken for newer.
#[must_use]
pub fn sequenced(
    files: BTreeMap<String, String>,
    wanted_before: Option<&ConfigurationStatus>,
    world: &World,
) -> Wanted {
    Wanted::new(files, |hash| {
        let newest_elsewhere =
            world.replicas.iter().filter_map(|replica| newest_other(replica, hash)).max().unwrap_or(0);
        let known = [wanted_before, world.configuration.as_ref()].into_iter().flatten();
        let newest = known.clone().map(|known| known.sequence).max().unwrap_or(0);
        let as_before = known.filter(|known| known.hash == hash).map(|known| known.sequence).max();
        match as_before {
            Some(sequence) if sequence == newest && sequence > newest_elsewhere => sequence,
            _ => newest.max(newest_elsewhere) + 1,
        }
    })
}

/// The highest sequence that a replica knows for another configuration than this.
fn newest_other(replica: &Replica, hash: &str) -> Option<u64> {
    let report = replica.answer()?;
    let proven = report.proven.iter().map(|proven| (&proven.hash, proven.sequence));
    let refused = report.refused.iter().map(|refused| (&refused.hash, refused.sequence));
    proven.chain(refused).filter(|(other, _)| *other != hash).map(|(_, sequence)| sequence).max()
}
