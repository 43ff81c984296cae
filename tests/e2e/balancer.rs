//! A load balancer as its user handles it: written, waited for, read. Touches the sandbox.

use std::{
    collections::BTreeSet,
    net::{IpAddr, SocketAddr},
    time::{Duration, Instant},
};

use fairway::api::{LoadBalancer, LoadBalancerStatus};
use k8s_openapi::{
    api::{core::v1::Pod, events::v1::Event},
    apimachinery::pkg::apis::meta::v1::Condition,
};
use kube::{ResourceExt, api::ListParams};
use serde_json::{Value, json};

use crate::{
    application::{address, is_ready},
    cluster::tell,
    sandbox::Sandbox,
    traffic::{Speech, Target, reachable},
    wait::{self, LIVE, seen},
};

/// A load balancer of a sandbox.
pub(crate) struct Balancer<'a> {
    sandbox: &'a Sandbox,
    pub(crate) name: String,
}

impl<'a> Balancer<'a> {
    /// One that is there or will be.
    pub(crate) fn named(sandbox: &'a Sandbox, name: &str) -> Self {
        Self { sandbox, name: name.to_owned() }
    }

    /// Makes one and waits until it has this many replicas and all have proven what they run.
    pub(crate) async fn start(sandbox: &'a Sandbox, name: &str, spec: &Value) -> Self {
        let balancer = Self::named(sandbox, name);
        balancer.write(spec).await;
        balancer.programmed(wait::POD).await;
        balancer
    }

    /// Writes the whole spec.
    pub(crate) async fn write(&self, spec: &Value) {
        self.sandbox.apply::<LoadBalancer>(json!({ "metadata": { "name": self.name }, "spec": spec })).await;
    }

    /// Writes the whole spec, waits until it is proven everywhere, and tells how long that took.
    pub(crate) async fn change(&self, what: &str, spec: &Value) -> LoadBalancer {
        let begun = Instant::now();
        self.write(spec).await;
        let programmed = self.programmed(LIVE).await;
        tell(&format!("{what}: proven after {} ms", begun.elapsed().as_millis()));
        programmed
    }

    pub(crate) async fn get(&self) -> LoadBalancer {
        self.sandbox.api::<LoadBalancer>().get(&self.name).await.unwrap()
    }

    pub(crate) async fn status(&self) -> LoadBalancerStatus {
        self.get().await.status.unwrap_or_default()
    }

    /// Waits until every replica there shall be has proven the configuration of the present generation.
    pub(crate) async fn programmed(&self, limit: Duration) -> LoadBalancer {
        let what = format!("load balancer {} to be programmed", self.name);
        self.becomes(&what, limit, |load_balancer| {
            let status = load_balancer.status.clone().unwrap_or_default();
            for kind in ["Accepted", "ResolvedRefs", "Programmed", "Ready"] {
                good(load_balancer, kind)?;
            }
            let replicas = load_balancer.spec.replicas.unwrap_or(2);
            let counts = (status.replicas, status.proven_replicas);
            seen(counts == (replicas, replicas), || format!("replicas and proven ones: {counts:?}"))?;
            seen(status.observed_generation == load_balancer.metadata.generation, || "an older generation".to_owned())
        })
        .await
    }

    /// Waits until the load balancer is as `look` wants it.
    pub(crate) async fn becomes(
        &self,
        what: &str,
        limit: Duration,
        mut look: impl FnMut(&LoadBalancer) -> Result<(), String>,
    ) -> LoadBalancer {
        let api = self.sandbox.api::<LoadBalancer>();
        wait::until(what, limit, async || {
            let load_balancer = api.get(&self.name).await.map_err(|error| error.to_string())?;
            look(&load_balancer)?;
            Ok::<_, String>(load_balancer)
        })
        .await
    }

    /// Waits until a condition has a status and reason for the present generation; its message.
    pub(crate) async fn tells(&self, kind: &str, status: &str, reason: &str) -> String {
        let what = format!("{kind}={status} with reason {reason} on load balancer {}", self.name);
        let told = self
            .becomes(&what, LIVE, |load_balancer| {
                let found = condition(load_balancer, kind)?;
                let current = found.observed_generation == load_balancer.metadata.generation;
                seen(found.status == status && found.reason == reason && current, || shown(&found))
            })
            .await;
        condition(&told, kind).unwrap().message
    }

    /// Waits until a pool has this many members and as many of them take traffic.
    pub(crate) async fn pool(&self, name: &str, members: i32, up: i32, limit: Duration) {
        let what = format!("pool {name} to have {members} members, {up} up");
        self.becomes(&what, limit, |load_balancer| {
            let pools = load_balancer.status.iter().flat_map(|status| &status.pools);
            let pool = pools.into_iter().find(|pool| pool.name == name).ok_or("it is not told of")?;
            seen((pool.members, pool.up) == (members, up), || format!("{pool:?}"))?;
            good(load_balancer, "Programmed")
        })
        .await;
    }

    /// Waits until a pool has no members.
    pub(crate) async fn pool_is_empty(&self, name: &str, limit: Duration) {
        self.becomes(&format!("pool {name} to be empty"), limit, |load_balancer| {
            let pools = load_balancer.status.iter().flat_map(|status| &status.pools);
            let pool = pools.into_iter().find(|pool| pool.name == name).ok_or("it is not told of")?;
            seen(pool.members == 0, || format!("{pool:?}"))
        })
        .await;
    }

    /// Waits until there is an event with this reason; its note.
    pub(crate) async fn event(&self, reason: &str) -> String {
        let events = self.sandbox.api::<Event>();
        wait::until(&format!("an event {reason} about {}", self.name), LIVE, async || {
            let found = events.list(&ListParams::default()).await.map_err(|error| error.to_string())?;
            let of_this = found.into_iter().filter(|event| {
                event.regarding.as_ref().is_some_and(|object| object.name.as_ref() == Some(&self.name))
            });
            let mut reasons = BTreeSet::new();
            for event in of_this {
                if event.reason.as_deref() == Some(reason) {
                    return Ok(event.note.unwrap_or_default());
                }
                reasons.extend(event.reason);
            }
            Err(format!("events {reasons:?}"))
        })
        .await
    }

    /// Its pods, those that are ending as well.
    pub(crate) async fn all_pods(&self) -> Vec<Pod> {
        let labels = ListParams::default().labels(&format!("fairway.dev/loadbalancer={}", self.name));
        self.sandbox.api::<Pod>().list(&labels).await.unwrap().items
    }

    /// Its pods that serve and are to stay.
    pub(crate) async fn pods(&self) -> Vec<Pod> {
        self.all_pods().await.into_iter().filter(is_ready).collect()
    }

    /// Tells its pods apart, and each container's restarts.
    pub(crate) async fn identities(&self) -> BTreeSet<(String, i32)> {
        let pods = self.all_pods().await;
        let restarts = |pod: &Pod| {
            let containers = pod.status.iter().flat_map(|status| &status.container_statuses).flatten();
            containers.map(|container| container.restart_count).sum()
        };
        pods.iter().map(|pod| (pod.uid().unwrap_or_default(), restarts(pod))).collect()
    }

    /// Where its Service is reached.
    pub(crate) async fn address(&self) -> IpAddr {
        let what = format!("an address of load balancer {}", self.name);
        let found = self
            .becomes(&what, LIVE, |load_balancer| {
                seen(load_balancer.status.iter().any(|status| !status.addresses.is_empty()), || "none".to_owned())
            })
            .await;
        found.status.unwrap().addresses[0].value.parse().unwrap()
    }

    /// The Service and each pod, at a port.
    pub(crate) async fn targets(&self, port: u16, speech: &Speech) -> Vec<Target> {
        let service = self.address().await;
        let pods = self.pods().await;
        let addresses = std::iter::once(service).chain(pods.iter().filter_map(address));
        addresses.map(|address| Target { address: SocketAddr::new(address, port), speech: speech.clone() }).collect()
    }

    /// The Service at a port, as soon as it can be reached there.
    pub(crate) async fn service(&self, port: u16, speech: Speech) -> Target {
        let target = Target { address: SocketAddr::new(self.address().await, port), speech };
        reachable(&target).await;
        target
    }
}

/// A condition, if it is told.
pub(crate) fn condition(load_balancer: &LoadBalancer, kind: &str) -> Result<Condition, String> {
    let conditions = load_balancer.status.iter().flat_map(|status| &status.conditions);
    let found = conditions.into_iter().find(|condition| condition.type_ == kind).cloned();
    found.ok_or_else(|| format!("{kind} is not told"))
}

fn good(load_balancer: &LoadBalancer, kind: &str) -> Result<(), String> {
    let found = condition(load_balancer, kind)?;
    let current = found.observed_generation == load_balancer.metadata.generation;
    seen(found.status == "True" && current, || shown(&found))
}

fn shown(condition: &Condition) -> String {
    let Condition { type_, status, reason, message, observed_generation, .. } = condition;
    format!("{type_}={status} ({reason}: {message}) of generation {observed_generation:?}")
}

/// A listener of a spec, for brevity.
pub(crate) fn listener(name: &str, protocol: &str, port: u16, pool: &str) -> Value {
    json!({ "name": name, "protocol": protocol, "port": port, "pool": pool })
}

/// A pool of a Service's endpoints that are checked every second.
pub(crate) fn service_pool(name: &str, service: &str) -> Value {
    json!({ "name": name, "monitor": monitor(), "services": [{ "name": service }] })
}

/// A pool of the pods that a selector matches, checked every second.
pub(crate) fn pods_pool(name: &str, selector: &Value, port: &Value) -> Value {
    json!({ "name": name, "monitor": monitor(), "pods": [{ "name": name, "selector": selector, "port": port }] })
}

/// A pool of members by address that are checked every second.
pub(crate) fn member_pool(name: &str, members: &[Value]) -> Value {
    json!({ "name": name, "monitor": monitor(), "members": members })
}

fn monitor() -> Value {
    json!({
        "type": "HTTP", "path": "/healthz", "intervalSeconds": 1, "timeoutSeconds": 1, "rises": 1, "falls": 2,
    })
}

/// Little, so that many pods have room on a small machine.
pub(crate) fn small() -> Value {
    json!({ "requests": { "cpu": "20m", "memory": "32Mi" }, "limits": { "cpu": "500m", "memory": "128Mi" } })
}
