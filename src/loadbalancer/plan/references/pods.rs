//! The servers that a selector of pods brings. Pure.

use std::collections::BTreeSet;

use super::ReferenceError;
use crate::loadbalancer::{
    config::Server,
    names,
    plan::parse::{PodPort, Pods},
    world::{SelectedPod, World},
};

/// How many names of ports are told.
const NAMED: usize = 5;

/// The pods that serve, as members: as Kubernetes would have it for a Service with the same selector.
pub(super) fn servers(pool: &str, pods: &Pods, world: &World) -> Result<Vec<Server>, ReferenceError> {
    let Pods { name, selector, port, weight, backup } = pods;
    let selected = world.selected.get(selector).ok_or_else(|| ReferenceError::PodsPending(selector.clone()))?;
    if selected.is_empty() {
        return Err(ReferenceError::NoPods(selector.clone(), pool.to_owned(), name.clone()));
    }
    let with_port: Vec<(&SelectedPod, u16)> =
        selected.iter().filter_map(|pod| Some((pod, number(pod, port)?))).collect();
    if let (true, PodPort::Name(port)) = (with_port.is_empty(), port) {
        return Err(ReferenceError::PodPortNotFound(selector.clone(), port.clone(), known(selected)));
    }
    let serving =
        || with_port.iter().filter_map(|(pod, port)| Some((pod.address.filter(|_| pod.ready)?, pod.ending, port)));
    let any_stays = serving().any(|(_, ending, _)| !ending);
    let origin = names::pods_origin(name);
    let mut servers: Vec<Server> = serving()
        .map(|(address, ending, port)| {
            // What is ending keeps the clients that it has, and serves all when nothing else can.
            let weight = if ending && any_stays { 0 } else { *weight };
            Server { backup: *backup, ..Server::new(Some(&origin), address, *port, weight) }
        })
        .collect();
    servers.sort_by_key(|server| (server.address, server.port));
    Ok(servers)
}

/// The number that a port has in a pod, if it has it.
fn number(pod: &SelectedPod, port: &PodPort) -> Option<u16> {
    match port {
        PodPort::Number(number) => Some(*number),
        PodPort::Name(name) => pod.ports.iter().find(|(known, _)| known == name).map(|(_, number)| *number),
    }
}

/// The names that there are, for a message.
fn known(selected: &[SelectedPod]) -> String {
    let names: BTreeSet<&str> = selected.iter().flat_map(|pod| &pod.ports).map(|(name, _)| name.as_str()).collect();
    if names.is_empty() {
        return String::new();
    }
    format!(" (there are {})", names.into_iter().take(NAMED).collect::<Vec<_>>().join(", "))
}
