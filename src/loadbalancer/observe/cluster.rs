//! What is known of the cluster, kept up to date by watches that keep only what a plan needs, and which
//! load balancers a change is for.

use std::sync::Arc;

use k8s_openapi::api::core::v1::{ConfigMap, Secret};
use kube::{Client, runtime::watcher};

use super::{
    convert::{self, KnownPod, KnownSlice},
    reports::{Handle, Reports},
    selections::Selections,
};
use crate::{
    api::{LoadBalancerClass, LoadBalancerClassSpec},
    clients::agent::AgentClient,
    loadbalancer::{
        interests::{Groups, Interest, Interests},
        names::LOAD_BALANCER_LABEL,
        world::{CertificateSecret, Installation, Replica, ServicePortWorld, ServiceWorld},
    },
    reconcile::{Cache, Changed, Contents, Key, Scope, Trigger, cache},
    telemetry::Metrics,
};

/// What is known of the cluster.
pub(in crate::loadbalancer) struct Observer {
    pub(in crate::loadbalancer) installation: Installation,
    /// The pods that pools select, and what load balancers are interested in.
    pub(in crate::loadbalancer) selections: Selections,
    classes: Cache<LoadBalancerClassSpec>,
    /// Secrets of type `kubernetes.io/tls`.
    pub(super) certificates: Contents<Secret, CertificateSecret>,
    /// What the key `ca.crt` of a `ConfigMap` holds.
    pub(super) authorities: Contents<ConfigMap, Option<String>>,
    services: Cache<Box<[ServicePortWorld]>>,
    slices: Cache<KnownSlice>,
    slices_of: Arc<Groups>,
    pods: Cache<KnownPod>,
    pods_of: Arc<Groups>,
    /// What their agents say.
    pub(in crate::loadbalancer) reports: Reports,
}

type Triggers = Vec<Trigger>;

impl Observer {
    /// What is known of the cluster, and what gives load balancers a turn when it changes.
    pub(in crate::loadbalancer) fn new(
        client: &Client,
        agents: AgentClient,
        scope: &Scope,
        installation: Installation,
        metrics: &Metrics,
    ) -> (Self, Triggers) {
        let everything = watcher::Config::default();
        let interests = Arc::new(Interests::default());

        let (classes, feed) = cache::cluster(client, &everything, metrics, |class: LoadBalancerClass| class.spec);
        let class = interested(&interests, |key| Interest::Class(key.name().to_owned()));
        let mut triggers: Triggers = vec![feed.triggers(class)];

        let of_tls = watcher::Config::default().fields("type=kubernetes.io/tls");
        let affected = interests.affected(Interest::Secret);
        let (certificates, trigger) = Contents::new(client, scope, &of_tls, metrics, affected, convert::certificate);
        triggers.push(trigger);
        let affected = interests.affected(Interest::ConfigMap);
        let (authorities, trigger) = Contents::new(client, scope, &everything, metrics, affected, convert::authorities);
        triggers.push(trigger);

        let (services, feed) = cache::namespaced(client, scope, &everything, metrics, convert::service_ports);
        triggers.push(feed.triggers(interested(&interests, |key| Interest::Service(key.clone()))));

        let (slices, feed) = cache::namespaced(client, scope, &everything, metrics, convert::slice);
        let slices_of = Arc::new(Groups::default());
        triggers.push(feed.triggers(slices_changed(&interests, &slices_of)));

        let ours = watcher::Config::default().labels(LOAD_BALANCER_LABEL);
        let (pods, feed) = cache::namespaced(client, scope, &ours, metrics, convert::pod);
        let pods_of = Arc::new(Groups::default());
        let (reports, trigger) = Reports::new(agents);
        triggers.push(trigger);
        triggers.push(feed.triggers(pods_changed(&pods_of, reports.handle())));

        let (selections, trigger) = Selections::new(client, metrics, &interests);
        triggers.push(trigger);

        let observer = Self {
            installation,
            selections,
            classes,
            certificates,
            authorities,
            services,
            slices,
            slices_of,
            pods,
            pods_of,
            reports,
        };
        (observer, triggers)
    }

    pub(super) fn class(&self, name: &str) -> Option<LoadBalancerClassSpec> {
        self.classes.get("", name).map(|class| LoadBalancerClassSpec::clone(&class))
    }

    /// A Service and its endpoints; none when there is no such Service.
    pub(super) fn service(&self, namespace: &str, name: &str) -> Option<ServiceWorld> {
        let ports = self.services.get(namespace, name)?;
        let slices = self.slices_of.of(namespace, name);
        let slices: Vec<_> = slices.iter().filter_map(|slice| self.slices.get(namespace, slice)).collect();
        Some(ServiceWorld {
            ports: ports.to_vec(),
            sliced: !slices.is_empty(),
            endpoints: slices.iter().flat_map(|slice| slice.endpoints.to_vec()).collect(),
        })
    }

    /// Whether there is a pod of this name that stays.
    pub(super) fn has_pod(&self, namespace: &str, name: &str) -> bool {
        self.pods.get(namespace, name).is_some_and(|pod| !pod.deleting)
    }

    /// The pods of a load balancer, by name.
    pub(super) fn pods(&self, namespace: &str, load_balancer: &str) -> Vec<Replica> {
        let names = self.pods_of.of(namespace, load_balancer);
        names.into_iter().filter_map(|name| Some(self.pods.get(namespace, &name)?.replica(name))).collect()
    }
}

/// The load balancers that are interested in what has changed.
pub(super) fn interested<V>(
    interests: &Arc<Interests>,
    interest: impl Fn(&Key) -> Interest + Send + 'static,
) -> impl Fn(Changed<V>) -> Vec<Key> + Send + 'static {
    let interests = Arc::clone(interests);
    move |changed| interests.of(&interest(&changed.key))
}

fn slices_changed(
    interests: &Arc<Interests>,
    groups: &Arc<Groups>,
) -> impl Fn(Changed<KnownSlice>) -> Vec<Key> + Send + 'static {
    let (interests, groups) = (Arc::clone(interests), Arc::clone(groups));
    move |Changed { key, before, now }| {
        let service = |slice: &Option<Arc<KnownSlice>>| slice.as_ref().map(|slice| slice.service.clone());
        let (from, to) = (service(&before), service(&now));
        groups.moved(key.namespace(), key.name(), from.as_deref(), to.as_deref());
        let mut services = vec![from, to];
        services.dedup();
        let interest = |service: Box<str>| Interest::Service(Key::new(key.namespace(), &service));
        services.into_iter().flatten().flat_map(|service| interests.of(&interest(service))).collect()
    }
}

fn pods_changed(groups: &Arc<Groups>, reports: Handle) -> impl Fn(Changed<KnownPod>) -> Vec<Key> + Send + 'static {
    let groups = Arc::clone(groups);
    move |Changed { key, before, now }| {
        let load_balancer = |pod: &Option<Arc<KnownPod>>| pod.as_ref().map(|pod| pod.load_balancer.clone());
        let (from, to) = (load_balancer(&before), load_balancer(&now));
        groups.moved(key.namespace(), key.name(), from.as_deref(), to.as_deref());
        let ready = |pod: &Option<Arc<KnownPod>>| pod.as_ref().is_some_and(|pod| pod.ready);
        match &now {
            Some(pod) if !pod.deleting => {
                if ready(&before) != ready(&now) {
                    reports.hurry(&key);
                }
            }
            _ => reports.forget(&key),
        }
        let mut affected = vec![from, to];
        affected.dedup();
        affected.into_iter().flatten().map(|name| Key::new(key.namespace(), &name)).collect()
    }
}
