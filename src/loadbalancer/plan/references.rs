//! What a spec names in the cluster: certificates, Services and pods. What can't be used is told, and what
//! served until now serves on in its place. Pure.

mod former;
mod pods;

use std::collections::{BTreeMap, BTreeSet};

pub use self::former::fall_back;
use super::{
    certificate::{CertificateError, authorities_file, pem_file},
    parse::{Pool, Spec},
};
use crate::{
    api::{ServiceMembers, ServicePort},
    loadbalancer::{config::Server, names, world::World},
};

/// Something that the spec names and that can't be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ReferenceError {
    /// There is no such class.
    #[error(
        "there is no LoadBalancerClass {0:?}: create it or correct spec.className; until then the pods stay as they are"
    )]
    ClassNotFound(String),
    /// There is no such Secret.
    #[error(
        "there is no Secret {0:?} of type kubernetes.io/tls in this namespace: create it or correct the name; until then what served before serves on"
    )]
    SecretNotFound(String),
    /// The Secret can't be used.
    #[error("Secret {0:?} {1}: mend it; until then what served before serves on")]
    InvalidCertificate(String, CertificateError),
    /// There is no such `ConfigMap`.
    #[error(
        "there is no ConfigMap {0:?} in this namespace: create it or correct the name; until then what served before serves on"
    )]
    ConfigMapNotFound(String),
    /// The `ConfigMap` can't be used.
    #[error("ConfigMap {0:?} {1}: mend it; until then what served before serves on")]
    InvalidAuthorities(String, CertificateError),
    /// There is no such Service.
    #[error(
        "there is no Service {0:?} in this namespace: create it or correct the name; until then the members known before stay"
    )]
    ServiceNotFound(String),
    /// The Service was just made, and what stands behind it is not known yet.
    #[error("Service {0:?} has no EndpointSlice yet: until it has one the members known before stay")]
    ServicePending(String),
    /// The Service has no such port.
    #[error("Service {0:?} has no port {1}: it has {2}")]
    ServicePortNotFound(String, String, String),
    /// It is not clear which port is meant.
    #[error("Service {0:?} has several ports ({1}): say which one in port")]
    ServicePortUnclear(String, String),
    /// The pods that a selector matches were not listed yet.
    #[error("the pods with {0} are not known yet: until they are the members known before stay")]
    PodsPending(String),
    /// No pod has such a port.
    #[error(
        "no pod with {0} has a container with a TCP port named {1:?}{2}: give a container's port that name, or say its number; until then the members known before stay"
    )]
    PodPortNotFound(String, String, String),
    /// A selector matches nothing.
    #[error(
        "no pod in this namespace has {0}: start one, or correct the selector of spec.pools[{1}].pods[{2}]; until then it has no members"
    )]
    NoPods(String, String, String),
}

impl ReferenceError {
    /// For condition and event.
    #[must_use]
    pub fn reason(&self) -> &'static str {
        match self {
            Self::ClassNotFound(_) => "ClassNotFound",
            Self::SecretNotFound(_) => "SecretNotFound",
            Self::InvalidCertificate(..) => "InvalidCertificate",
            Self::ConfigMapNotFound(_) => "ConfigMapNotFound",
            Self::InvalidAuthorities(..) => "InvalidAuthorities",
            Self::ServiceNotFound(_) => "ServiceNotFound",
            Self::ServicePending(_) | Self::PodsPending(_) => "Pending",
            Self::ServicePortNotFound(..) | Self::ServicePortUnclear(..) => "ServicePortNotFound",
            Self::PodPortNotFound(..) => "PodPortNotFound",
            Self::NoPods(..) => "NoPods",
        }
    }

    /// Whether what served before serves on in its place, so that it has to be known.
    #[must_use]
    pub fn keeps_what_was(&self) -> bool {
        !matches!(self, Self::ClassNotFound(_) | Self::NoPods(..))
    }
}

/// What was found.
#[derive(Debug, Default)]
pub struct References {
    /// PEM files by Secret name; a Secret that can't be used and never could is not in it.
    pub certificates: BTreeMap<String, String>,
    /// PEM files by the name of their `ConfigMap`; one that can't be used and never could is not in it.
    pub authorities: BTreeMap<String, String>,
    /// Servers by pool name.
    pub servers: BTreeMap<String, Vec<Server>>,
    /// What can't be used.
    pub errors: Vec<ReferenceError>,
}

/// Looks up all that the spec names.
#[must_use]
pub fn resolve(spec: &Spec, class_name: Option<&str>, world: &World) -> References {
    let mut references = References::default();
    if let (Some(name), None) = (class_name, &world.class) {
        references.errors.push(ReferenceError::ClassNotFound(name.to_owned()));
    }
    let before = |file: String| world.last_good.as_ref().and_then(|good| good.files.get(&file)).cloned();
    let secrets: BTreeSet<&String> = spec.listeners.iter().flat_map(|listener| &listener.certificates).collect();
    for name in secrets {
        let found = certificate(name, world).map_err(|error| references.errors.push(error));
        if let Some(file) = found.ok().or_else(|| before(names::certificate_file(name))) {
            references.certificates.insert(name.clone(), file);
        }
    }
    let of_listeners = spec.listeners.iter().filter_map(|listener| listener.authorities.as_ref());
    let config_maps: BTreeSet<&String> =
        of_listeners.chain(spec.pools.iter().filter_map(|pool| pool.authorities.as_ref())).collect();
    for name in config_maps {
        let found = authorities(name, world).map_err(|error| references.errors.push(error));
        if let Some(file) = found.ok().or_else(|| before(names::authorities_file(name))) {
            references.authorities.insert(name.clone(), file);
        }
    }
    for pool in &spec.pools {
        let servers = pool_servers(pool, world, &mut references.errors);
        references.servers.insert(pool.name.clone(), servers);
    }
    references
}

fn certificate(name: &str, world: &World) -> Result<String, ReferenceError> {
    let secret = world.certificates.get(name).ok_or_else(|| ReferenceError::SecretNotFound(name.to_owned()))?;
    pem_file(secret).map_err(|error| ReferenceError::InvalidCertificate(name.to_owned(), error))
}

fn authorities(name: &str, world: &World) -> Result<String, ReferenceError> {
    let found = world.authorities.get(name).ok_or_else(|| ReferenceError::ConfigMapNotFound(name.to_owned()))?;
    authorities_file(found.as_deref()).map_err(|error| ReferenceError::InvalidAuthorities(name.to_owned(), error))
}

/// The members by address, then those of Services, then pods; what is named twice counts once, as first named.
fn pool_servers(pool: &Pool, world: &World, errors: &mut Vec<ReferenceError>) -> Vec<Server> {
    let mut servers = pool.members.clone();
    let services = pool.services.iter().map(|service| (service.name.clone(), service_servers(service, world)));
    let pods = pool.pods.iter().map(|pods| (names::pods_origin(&pods.name), pods::servers(&pool.name, pods, world)));
    let (origins, found): (Vec<_>, Vec<_>) = services.chain(pods).unzip();
    for (origin, found) in origins.iter().zip(found) {
        match found {
            Ok(found) => servers.extend(found),
            Err(error) => {
                if error.keeps_what_was() {
                    servers.extend(former::servers(&pool.name, origin, &origins, world.last_good.as_ref()));
                }
                if !errors.contains(&error) {
                    errors.push(error);
                }
            }
        }
    }
    let mut seen = BTreeSet::new();
    servers.retain(|server| seen.insert((server.address, server.port)));
    servers
}

fn service_servers(members: &ServiceMembers, world: &World) -> Result<Vec<Server>, ReferenceError> {
    let service =
        world.services.get(&members.name).ok_or_else(|| ReferenceError::ServiceNotFound(members.name.clone()))?;
    let known = || {
        let names = service.ports.iter().map(|port| match port.name.as_str() {
            "" => port.number.to_string(),
            name => format!("{} ({name})", port.number),
        });
        names.collect::<Vec<_>>().join(", ")
    };
    let port = match (&members.port, service.ports.as_slice()) {
        (None, [port]) => port,
        (None, _) => return Err(ReferenceError::ServicePortUnclear(members.name.clone(), known())),
        (Some(wanted), ports) => ports.iter().find(|port| port.is(wanted)).ok_or_else(|| {
            let wanted = match wanted {
                ServicePort::Number(number) => number.to_string(),
                ServicePort::Name(name) => format!("{name:?}"),
            };
            ReferenceError::ServicePortNotFound(members.name.clone(), wanted, known())
        })?,
    };
    if !service.sliced {
        return Err(ReferenceError::ServicePending(members.name.clone()));
    }
    // The field was parsed: the weight is between 0 and 256.
    let weight = u16::try_from(members.weight).unwrap_or_default();
    let of_port = || service.endpoints.iter().filter(|endpoint| endpoint.port_name == port.name);
    let any_ready = of_port().any(|endpoint| !endpoint.ending);
    let mut servers: Vec<Server> = of_port()
        .map(|endpoint| {
            // What is ending keeps the clients that it has, and serves all when nothing else can.
            let weight = if endpoint.ending && any_ready { 0 } else { weight };
            let server = Server::new(Some(&members.name), endpoint.address, endpoint.port, weight);
            Server { backup: members.backup, ..server }
        })
        .collect();
    servers.sort_by_key(|server| (server.address, server.port));
    Ok(servers)
}
