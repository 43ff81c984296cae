//! What is remembered of each owned object: the little that a plan depends on. Pure.

use k8s_openapi::api::core::v1::{Secret, Service};
use kube::{ResourceExt, api::DynamicObject};

use super::{names, rollouts::rolling, world::Pins};
use crate::{
    api::{Address, AddressKind, ConfigurationStatus},
    authority::Leaf,
    reconcile::dynamic::{self, typed},
};

/// What is remembered of an owned object.
#[derive(Clone, Debug, PartialEq)]
pub enum Fact {
    /// What a configuration Secret says that it holds.
    Configuration(Box<ConfigurationStatus>),
    /// The agents' certificate; none where it can't be read.
    Identity(Option<Box<Leaf>>),
    /// What a Deployment's pods are.
    Pods {
        /// What they were made from.
        pins: Box<Pins>,
        /// Whether they are being replaced.
        rolling: bool,
    },
    /// Where a Service is reached.
    Service(Box<[Address]>),
    /// Nothing that matters.
    Nothing,
}

/// What to remember of an object.
pub(super) fn fact(object: &DynamicObject) -> Fact {
    let fact = match dynamic::kind(object) {
        "Secret" => configuration(object).or_else(|| identity(object)),
        "Deployment" => pods(object),
        "Service" => typed(object).map(|service| Fact::Service(addresses(&service).into())),
        _ => None,
    };
    fact.unwrap_or(Fact::Nothing)
}

fn configuration(object: &DynamicObject) -> Option<Fact> {
    let hash = object.annotations().get(names::HASH_ANNOTATION)?.clone();
    let sequence = object.annotations().get(names::SEQUENCE_ANNOTATION)?.parse().ok()?;
    Some(Fact::Configuration(Box::new(ConfigurationStatus { hash, sequence })))
}

fn identity(object: &DynamicObject) -> Option<Fact> {
    let data = typed::<Secret>(object)?.data?;
    let part = |name: &str| data.get(name).map(|part| part.0.as_slice());
    Some(Fact::Identity(Leaf::read(part("tls.crt")?, part("ca.crt")?).map(Box::new)))
}

fn pods(object: &DynamicObject) -> Option<Fact> {
    let pins = serde_json::from_str(object.annotations().get(names::PINS_ANNOTATION)?).ok()?;
    Some(Fact::Pods { pins, rolling: typed(object).is_some_and(|deployment| rolling(&deployment)) })
}

fn addresses(service: &Service) -> Vec<Address> {
    let ip = |value: &String| Address { kind: AddressKind::IPAddress, value: value.clone() };
    let ingress = service.status.iter().flat_map(|status| &status.load_balancer).flat_map(|balancer| &balancer.ingress);
    let outside: Vec<Address> = ingress
        .flatten()
        .filter_map(|ingress| match (&ingress.ip, &ingress.hostname) {
            (Some(address), _) => Some(ip(address)),
            (None, Some(name)) => Some(Address { kind: AddressKind::Hostname, value: name.clone() }),
            (None, None) => None,
        })
        .collect();
    let of_cloud = service.spec.as_ref().and_then(|spec| spec.type_.as_deref()) == Some("LoadBalancer");
    if of_cloud {
        // Until the cloud has given it an address, clients can't reach it at any.
        return outside;
    }
    let inside = service.spec.iter().flat_map(|spec| &spec.cluster_ips).flatten();
    inside.filter(|address| *address != "None" && !address.is_empty()).map(ip).collect()
}
