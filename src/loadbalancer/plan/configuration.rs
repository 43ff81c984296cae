//! The configuration that every replica shall run, from a spec and what it names. Pure.

use std::collections::{BTreeMap, BTreeSet};

use super::{
    parse::{Listener, Pool, Spec},
    references::{References, certificate_file},
};
use crate::{
    agent::protocol::{Configuration, MAIN_FILE},
    api::{ConfigurationStatus, Protocol},
    loadbalancer::{
        config::{Backend, Frontend, HaproxyConfig, Mode, render},
        names,
        world::{Replica, World},
    },
};

/// The most that a Secret holds, in bytes (`MaxSecretSize` of Kubernetes), less what its other keys take.
pub const LARGEST: usize = 1_048_576 - 1_024;

/// The files of the configuration.
#[must_use]
pub fn files(spec: &Spec, references: &References) -> BTreeMap<String, String> {
    let mut files = BTreeMap::new();
    let mut frontends = vec![];
    let mut backends: BTreeSet<(&str, Mode)> = BTreeSet::new();
    for listener in &spec.listeners {
        let certificates: Vec<&String> =
            listener.certificates.iter().filter(|name| references.certificates.contains_key(*name)).collect();
        if listener.protocol == Protocol::Https && certificates.is_empty() {
            // Nothing to serve it with yet; the condition says so.
            continue;
        }
        for name in &certificates {
            files.insert(certificate_file(name), references.certificates[*name].clone());
        }
        if !certificates.is_empty() {
            let list: String = certificates.iter().map(|name| certificate_file(name) + "\n").collect();
            files.insert(certificate_list(listener), list);
        }
        backends.insert((&listener.pool, mode(listener.protocol)));
        frontends.push(frontend(listener));
    }
    let backends = spec
        .pools
        .iter()
        .flat_map(|pool| [(pool, Mode::Http), (pool, Mode::Tcp)])
        .filter(|(pool, mode)| backends.contains(&(pool.name.as_str(), *mode)))
        .map(|(pool, mode)| backend(pool, mode, references))
        .collect();
    files.insert(MAIN_FILE.to_owned(), render(&HaproxyConfig { frontends, backends }));
    files
}

fn mode(protocol: Protocol) -> Mode {
    match protocol {
        Protocol::Http | Protocol::Https => Mode::Http,
        Protocol::Tcp => Mode::Tcp,
    }
}

fn certificate_list(listener: &Listener) -> String {
    format!("certificates-{}.list", listener.name)
}

fn frontend(listener: &Listener) -> Frontend {
    Frontend {
        name: listener.name.clone(),
        mode: mode(listener.protocol),
        port: listener.port,
        certificate_list: (listener.protocol == Protocol::Https).then(|| certificate_list(listener)),
        allowed: listener.allowed.clone(),
        client_timeout: listener.client_timeout,
        backend: names::backend(&listener.pool, mode(listener.protocol)),
    }
}

fn backend(pool: &Pool, mode: Mode, references: &References) -> Backend {
    Backend {
        name: names::backend(&pool.name, mode),
        mode,
        balance: pool.balance,
        check: pool.check.clone(),
        connect_timeout: pool.connect_timeout,
        server_timeout: pool.server_timeout,
        servers: references.servers.get(&pool.name).cloned().unwrap_or_default(),
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
) -> Configuration {
    let mut configuration = Configuration { sequence: 0, files };
    let hash = configuration.hash();
    let newest_elsewhere = world.replicas.iter().filter_map(|replica| newest_other(replica, &hash)).max().unwrap_or(0);
    let known = [wanted_before, world.configuration.as_ref()].into_iter().flatten();
    let newest = known.clone().map(|known| known.sequence).max().unwrap_or(0);
    let as_before = known.filter(|known| known.hash == hash).map(|known| known.sequence).max();
    configuration.sequence = match as_before {
        Some(sequence) if sequence == newest && sequence > newest_elsewhere => sequence,
        _ => newest.max(newest_elsewhere) + 1,
    };
    configuration
}

/// The highest sequence that a replica knows for another configuration than this.
fn newest_other(replica: &Replica, hash: &str) -> Option<u64> {
    let report = replica.answer()?;
    let proven = report.proven.iter().map(|proven| (&proven.hash, proven.sequence));
    let refused = report.refused.iter().map(|refused| (&refused.hash, refused.sequence));
    proven.chain(refused).filter(|(other, _)| *other != hash).map(|(_, sequence)| sequence).max()
}
