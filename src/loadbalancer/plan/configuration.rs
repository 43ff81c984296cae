//! The configuration that every replica shall run, from a spec and what it names. Pure.

use std::collections::{BTreeMap, BTreeSet};

use super::{
    parse::{Listener, Pool, Spec},
    references::References,
};
use crate::{
    agent::protocol::Configuration,
    api::ConfigurationStatus,
    loadbalancer::{
        config::{Backend, BackendSettings, Frontend, HaproxyConfig, Mode, render},
        names,
        world::{Replica, World},
    },
};

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
    // Without what it has to serve with it stays closed; the condition says so.
    for listener in spec.listeners.iter().filter(|listener| is_served(listener, references)) {
        files.extend(listener_files(listener, references));
        frontends.push(listener.frontend.clone());
    }
    let used: BTreeSet<&str> = frontends.iter().flat_map(Frontend::backends).collect();
    let mut backends = vec![];
    for (pool, mode) in spec.pools.iter().flat_map(|pool| modes(pool, &frontends, &used)) {
        let authorities = pool.authorities.as_ref().and_then(|name| references.authorities.get_key_value(name));
        files.extend(authorities.map(|(name, file)| (names::authorities_file(name), file.clone())));
        backends.push(backend(pool, mode, references));
    }
    files.extend(render(&HaproxyConfig { frontends, backends }));
    files
}

/// What a pool is needed for. One that nothing goes to is there all the same where a rule could name it: routes
/// come and go without HAProxy loading anything.
fn modes<'a>(pool: &'a Pool, frontends: &[Frontend], used: &BTreeSet<&str>) -> Vec<(&'a Pool, Mode)> {
    let all = [Mode::Http, Mode::Tcp];
    let mut modes = Vec::from(all);
    modes.retain(|mode| used.contains(names::backend(&pool.name, *mode).as_str()));
    if modes.is_empty() {
        let takes_rules = |mode: &Mode| frontends.iter().any(|it| it.mode == *mode && it.takes_rules());
        modes.extend(all.into_iter().find(takes_rules));
    }
    modes.into_iter().map(|mode| (pool, mode)).collect()
}

/// Whether a listener is enabled and has what it needs to be served with.
#[must_use]
pub fn is_served(listener: &Listener, references: &References) -> bool {
    let has_certificate = listener.certificates.iter().any(|name| references.certificates.contains_key(name));
    let has_authorities = listener.authorities.as_ref().is_none_or(|name| references.authorities.contains_key(name));
    listener.enabled && (listener.frontend.tls.is_none() || has_certificate) && has_authorities
}

/// The certificates and authorities of a listener.
fn listener_files(listener: &Listener, references: &References) -> BTreeMap<String, String> {
    let mut files = BTreeMap::new();
    let mut list = String::new();
    for name in &listener.certificates {
        if let Some(certificate) = references.certificates.get(name) {
            list = list + &names::certificate_file(name) + "\n";
            files.insert(names::certificate_file(name), certificate.clone());
        }
    }
    files.extend(listener.frontend.tls.as_ref().map(|tls| (tls.certificate_list.clone(), list)));
    let authorities = listener.authorities.as_ref().and_then(|name| references.authorities.get_key_value(name));
    files.extend(authorities.map(|(name, file)| (names::authorities_file(name), file.clone())));
    files
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
