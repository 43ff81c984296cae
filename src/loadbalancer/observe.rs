//! What is read, and what gives a load balancer a turn. The only place of the family that reads.

mod cluster;
mod convert;
mod reports;
mod selections;

use std::collections::BTreeMap;

use futures::future::join_all;
use jiff::Timestamp;
use k8s_openapi::api::core::v1::Secret;
use kube::{Api, ResourceExt};

pub(super) use self::{cluster::Observer, reports::Agent};
use super::{
    Error, Fact, LoadBalancers,
    interests::Interest,
    names,
    plan::{self, objects::read_configuration},
    world::{CertificateSecret, Identity, Pins, Replica, SelectedPod, ServiceWorld, World},
};
use crate::{
    agent::protocol::Configuration,
    api::{ConfigurationStatus, LoadBalancer},
    authority::{Leaf, Renewal},
    reconcile::{Key, Owned},
};

impl LoadBalancers {
    /// Reads all that a plan may depend on.
    pub(super) async fn observe_world(&self, resource: &LoadBalancer, owned: &[Owned<Fact>]) -> Result<World, Error> {
        let (namespace, name) = (resource.namespace().unwrap_or_default(), resource.name_any());
        // Before anything is read, so that a change right after the reading leads to another turn.
        let interests = interests(resource, &namespace);
        let key = Key::new(&namespace, &name);
        self.observer.selections.set(&key, interests).await;

        let mut world = World {
            class: resource.spec.class_name.as_deref().and_then(|class| self.observer.class(class)),
            certificates: self.certificates(resource, &namespace).await?,
            authorities: self.authorities(resource, &namespace).await?,
            services: self.services(resource, &namespace),
            selected: self.selected(resource, &namespace),
            installation: self.observer.installation.clone(),
            ..World::default()
        };
        self.remember(&mut world, owned);
        let rolling = |object: &&Owned<Fact>| matches!(*object.fact, Fact::Pods { rolling: true, .. });
        let rolling = owned.iter().filter(rolling).any(|object| !object.deleting);
        self.rollouts.set(key, rolling);
        world.replicas = self.replicas(&namespace, &name).await;
        if world.configuration.is_some() && plan::needs_last_good(resource, &world) {
            world.last_good = self.last_good(&namespace, &name).await?;
        }
        Ok(world)
    }

    /// What owned objects tell.
    fn remember(&self, world: &mut World, owned: &[Owned<Fact>]) {
        for object in owned.iter().filter(|object| !object.deleting) {
            match &*object.fact {
                Fact::Configuration(configuration) => {
                    world.configuration = Some(ConfigurationStatus::clone(configuration));
                }
                Fact::Identity(leaf) => {
                    let renew = |leaf: &Leaf| leaf.needs_renewal(&self.authority.current(), Timestamp::now());
                    let renew = leaf.as_deref().map_or(Some(Renewal::Unreadable), renew);
                    world.identity = Some(Identity { renew: renew.map(|why| why.to_string()) });
                }
                Fact::Pods { pins, .. } => world.pins = Some(Pins::clone(pins)),
                Fact::Service(addresses) => world.service_addresses = addresses.to_vec(),
                Fact::Nothing => {}
            }
        }
    }

    /// The Secrets that listeners name; read once for each version that the watch has told of.
    async fn certificates(
        &self,
        resource: &LoadBalancer,
        namespace: &str,
    ) -> Result<BTreeMap<String, CertificateSecret>, Error> {
        let named = resource.spec.listeners.iter().flat_map(|listener| &listener.certificates);
        let mut found = BTreeMap::new();
        for name in named.map(|certificate| &certificate.secret_name) {
            if found.contains_key(name) {
                continue;
            }
            if let Some(secret) =
                self.observer.certificates.get(&self.client, namespace, name).await.map_err(unread("Secret", name))?
            {
                found.insert(name.clone(), secret);
            }
        }
        Ok(found)
    }

    /// What the `ConfigMap`s say that listeners and pools name; read once for each version.
    async fn authorities(
        &self,
        resource: &LoadBalancer,
        namespace: &str,
    ) -> Result<BTreeMap<String, Option<String>>, Error> {
        let mut found = BTreeMap::new();
        for name in config_maps(resource) {
            if let Some(text) =
                self.observer.authorities.get(&self.client, namespace, name).await.map_err(unread("ConfigMap", name))?
            {
                found.insert(name.clone(), text);
            }
        }
        Ok(found)
    }

    fn services(&self, resource: &LoadBalancer, namespace: &str) -> BTreeMap<String, ServiceWorld> {
        let named = resource.spec.pools.iter().flat_map(|pool| &pool.services);
        named
            .filter_map(|service| Some((service.name.clone(), self.observer.service(namespace, &service.name)?)))
            .collect()
    }

    /// The pods that pools select, by the text of the selector; those that are known.
    fn selected(&self, resource: &LoadBalancer, namespace: &str) -> BTreeMap<String, Vec<SelectedPod>> {
        let known = |selector: String| {
            let key = Key::new(namespace, &selector);
            Some((selector, self.observer.selections.pods(&key)?))
        };
        selectors(resource).filter_map(known).collect()
    }

    /// The pods, and what their agents say; those that are new are asked, all at the same time.
    async fn replicas(&self, namespace: &str, name: &str) -> Vec<Replica> {
        let load_balancer = Key::new(namespace, name);
        let told = self.observer.pods(namespace, name).into_iter().map(|mut replica| {
            let load_balancer = load_balancer.clone();
            async move {
                if let Some(address) = replica.address.filter(|_| !replica.deleting) {
                    let pod = replica.pod.clone();
                    let there = || self.observer.has_pod(namespace, &replica.pod);
                    let report = self.observer.reports.of(Agent { load_balancer, pod, address }, there).await;
                    replica.report = Some(report);
                }
                replica
            }
        });
        join_all(told).await
    }

    async fn last_good(&self, namespace: &str, name: &str) -> Result<Option<Configuration>, Error> {
        let api: Api<Secret> = Api::namespaced(self.client.clone(), namespace);
        let name = names::configuration_secret(name);
        let secret = api
            .get_opt(&name)
            .await
            .map_err(|source| Error::Kubernetes { act: format!("read Secret {name}"), source })?;
        Ok(secret.and_then(|secret| read_configuration(&secret.data?)))
    }
}

fn unread(kind: &str, name: &str) -> impl FnOnce(kube::Error) -> Error {
    let act = format!("read {kind} {name}");
    move |source| Error::Kubernetes { act, source }
}

/// The `ConfigMap`s with authorities that a load balancer names.
fn config_maps(resource: &LoadBalancer) -> impl Iterator<Item = &String> {
    let listeners = resource.spec.listeners.iter().filter_map(|listener| listener.client_authentication.as_ref());
    let pools = resource.spec.pools.iter().filter_map(|pool| pool.tls.as_ref()?.ca_config_map_name.as_ref());
    listeners.map(|authentication| &authentication.ca_config_map_name).chain(pools)
}

/// The texts of the selectors of pods; those that make sense.
fn selectors(resource: &LoadBalancer) -> impl Iterator<Item = String> {
    let pods = resource.spec.pools.iter().flat_map(|pool| &pool.pods);
    pods.filter_map(|pods| plan::parse::pods::text(&pods.selector).ok())
}

fn interests(resource: &LoadBalancer, namespace: &str) -> Vec<Interest> {
    let key = |name: &str| Key::new(namespace, name);
    let spec = &resource.spec;
    let classes = spec.class_name.iter().cloned().map(Interest::Class);
    let secrets = spec.listeners.iter().flat_map(|listener| &listener.certificates);
    let services = spec.pools.iter().flat_map(|pool| &pool.services);
    classes
        .chain(secrets.map(|certificate| Interest::Secret(key(&certificate.secret_name))))
        .chain(config_maps(resource).map(|name| Interest::ConfigMap(key(name))))
        .chain(services.map(|service| Interest::Service(key(&service.name))))
        .chain(selectors(resource).map(|selector| Interest::Pods(key(&selector))))
        .collect()
}
