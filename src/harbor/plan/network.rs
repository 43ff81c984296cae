//! Who reaches whom, and how many pods of a component may be taken away by hand. Pure.

use kube::api::DynamicObject;
use serde_json::{Value, json};

use super::{Context, encryption, pods::object};
use crate::{
    api::{ExposureKind, FrontDoor, ServerKind, StorageKind},
    harbor::names::{self, Component, HTTP, METRICS, POSTGRESQL, REDIS, REGISTRY},
};

/// Where cluster DNS listens: policies see the ports of its pods, which on `OpenShift` and Gardener are not that of the
/// Service.
const DNS: [u16; 3] = [53, 5353, 8053];

/// The policy and the budget of a component.
pub(super) fn around(context: &Context<'_>, component: Component) -> Vec<DynamicObject> {
    let mut objects = vec![policy(context, component)];
    if component != Component::Migrate {
        objects.push(budget(context, component));
    }
    objects
}

/// One pod at a time may be taken away by hand.
fn budget(context: &Context<'_>, component: Component) -> DynamicObject {
    object(json!({
        "apiVersion": "policy/v1",
        "kind": "PodDisruptionBudget",
        "metadata": { "name": names::child(context.name, component) },
        "spec": {
            "maxUnavailable": 1,
            "unhealthyPodEvictionPolicy": "AlwaysAllow",
            "selector": { "matchLabels": names::selector(context.name, component) },
        },
    }))
}

/// Each is reached by those alone that need it, and reaches those alone that it needs, unless it goes where users send it.
fn policy(context: &Context<'_>, component: Component) -> DynamicObject {
    use Component::{Core, Exporter, JobService};
    let mut ingress: Vec<Value> = doors(context, component)
        .into_iter()
        .map(|(port, peers)| match peers {
            Some(peers) => json!({ "from": peers, "ports": ports(port) }),
            None => json!({ "ports": [ { "protocol": "TCP", "port": port } ] }),
        })
        .collect();
    if matches!(component, Core | JobService | Exporter) {
        ingress.push(json!({ "from": [{ "namespaceSelector": {} }], "ports": ports(METRICS) }));
    }
    let mut spec = json!({
        "podSelector": { "matchLabels": names::selector(context.name, component) },
        "policyTypes": ["Ingress"],
        "ingress": ingress,
    });
    if let Some(reached) = reached(context, component) {
        spec["policyTypes"] = json!(["Ingress", "Egress"]);
        spec["egress"] = egress(context, reached);
    }
    object(json!({
        "apiVersion": "networking.k8s.io/v1",
        "kind": "NetworkPolicy",
        "metadata": { "name": names::child(context.name, component) },
        "spec": spec,
    }))
}

/// The ports of a component and who may come to each; none where anybody may.
fn doors(context: &Context<'_>, component: Component) -> Vec<(u16, Option<Vec<Value>>)> {
    use Component::{Cache, Core, Database, Exporter, Front, JobService, Migrate, Portal, Registry, Trivy};
    let from = |components: &[Component]| -> Vec<Value> {
        let selector = |component: &Component| names::selector(context.name, *component);
        components.iter().map(|one| json!({ "podSelector": { "matchLabels": selector(one) } })).collect()
    };
    let and = |mut peers: Vec<Value>, more: Vec<Value>| {
        peers.extend(more);
        Some(peers)
    };
    let operator = || vec![operator(context)];
    match component {
        Database => vec![(POSTGRESQL, and(from(&[Core, JobService, Exporter, Migrate]), operator()))],
        Cache => vec![(REDIS, and(from(&[Core, JobService, Registry, Trivy, Exporter, Migrate]), operator()))],
        Core => {
            let own = and(from(&[JobService, Trivy, Exporter]), clients(context));
            vec![(HTTP, and(own.unwrap_or_default(), operator()))]
        }
        JobService | Trivy => vec![(HTTP, Some(from(&[Core, JobService])))],
        Registry => {
            vec![(REGISTRY, and(from(&[Core, JobService]), operator())), (HTTP, Some(from(&[Core, JobService])))]
        }
        Portal => vec![(HTTP, and(from(&[Core]), clients(context)))],
        Front => vec![(HTTP, None)],
        Exporter | Migrate => vec![],
    }
}

/// Whom a component opens connections to; none where no policy can say.
fn reached(context: &Context<'_>, component: Component) -> Option<&'static [(Component, u16)]> {
    use Component::{Cache, Core, Database, Exporter, Front, JobService, Migrate, Portal, Registry, Trivy};
    let settings = context.settings;
    // A server that Fairway does not run may be at any address, and behind a Service at any port.
    let cache = settings.cache.kind == ServerKind::Managed;
    let both = cache && settings.database.kind == ServerKind::Managed;
    let volume = settings.storage.kind == StorageKind::Filesystem;
    match component {
        Database | Cache | Portal => Some(&[]),
        Front => Some(&[(Core, HTTP), (Portal, HTTP)]),
        Exporter if both => Some(&[(Core, HTTP), (Database, POSTGRESQL), (Cache, REDIS)]),
        // Both are told of a proxy as well, and ask nobody over HTTP.
        Migrate if both => Some(&[(Database, POSTGRESQL), (Cache, REDIS)]),
        Registry if volume && cache => Some(&[(Cache, REDIS)]),
        // Registries to replicate with, directories, buckets, lists of vulnerabilities.
        Core | JobService | Trivy | Registry | Exporter | Migrate => None,
    }
}

/// The pods that are reached and, where there are any, the DNS that they are found by. That may be on a node's own address,
/// so that no selector can name it.
fn egress(context: &Context<'_>, reached: &[(Component, u16)]) -> Value {
    let to = |(component, port): &(Component, u16)| {
        let labels = names::selector(context.name, *component);
        json!({ "to": [{ "podSelector": { "matchLabels": labels } }], "ports": ports(*port) })
    };
    let dns = DNS.iter().flat_map(|port| ["UDP", "TCP"].map(|protocol| json!({ "protocol": protocol, "port": port })));
    let dns = (!reached.is_empty()).then(|| json!({ "ports": dns.collect::<Vec<_>>() }));
    reached.iter().map(to).chain(dns).collect()
}

/// The port, and the one with TLS in its place: while it is turned on or off there are pods of both.
fn ports(port: u16) -> Value {
    let ports = [port, encryption::secure(port)];
    let both = if ports[0] == ports[1] { &ports[..1] } else { &ports[..] };
    both.iter().map(|port| json!({ "protocol": "TCP", "port": port })).collect()
}

fn operator(context: &Context<'_>) -> Value {
    json!({
        "namespaceSelector": {
            "matchLabels": { "kubernetes.io/metadata.name": context.world.installation.namespace },
        },
        "podSelector": { "matchLabels": { "app.kubernetes.io/name": "fairway" } },
    })
}

/// Who stands in front of core and portal.
fn clients(context: &Context<'_>) -> Vec<Value> {
    match context.settings.exposure.kind {
        FrontDoor::LoadBalancer => {
            let asked = context.settings.exposure.load_balancer.as_ref();
            let of_node = asked.is_some_and(|asked| match &asked.exposure {
                Some(exposure) => exposure.kind == ExposureKind::HostNetwork,
                None => asked.class_name.is_some(),
            });
            if of_node {
                // On the host's network HAProxy comes from its node's address, which no selector can name; a class
                // may say so too.
                return anybody();
            }
            let front = names::child(context.name, Component::Front);
            vec![json!({ "podSelector": { "matchLabels": { "fairway.dev/loadbalancer": front } } })]
        }
        FrontDoor::Service => {
            vec![json!({ "podSelector": { "matchLabels": names::selector(context.name, Component::Front) } })]
        }
        // A controller may be pods, or on its nodes' network, or outside of the cluster.
        FrontDoor::Ingress => [vec![json!({ "namespaceSelector": {} })], anybody()].concat(),
    }
}

/// Any address; of pods not every network says that they are at one.
fn anybody() -> Vec<Value> {
    ["0.0.0.0/0", "::/0"].map(|any| json!({ "ipBlock": { "cidr": any } })).into()
}
