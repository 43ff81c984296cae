//! A load balancer of a test: waited for, asked. Touches the test's namespace.

use std::{collections::BTreeSet, net::SocketAddr, time::Duration};

use k8s_openapi::api::core::v1::{Container, Pod};
use kube::{Api, api::ListParams};
use serde_json::Value;
use tokio::net::lookup_host;

use super::{
    result::{Trouble, seen},
    subject::{Subject, good},
    traffic::{Traffic, ask},
};
use crate::api::{LoadBalancer, LoadBalancerStatus};

/// How long pods may take to start, with images that come from far away.
pub(super) const START: Duration = Duration::from_mins(2);
/// How long a change may take that needs no new pod.
pub(super) const LIVE: Duration = Duration::from_secs(30);

/// A load balancer.
pub(super) type Balancer<'a> = Subject<'a, LoadBalancer>;

impl Balancer<'_> {
    /// Waits until every replica has proven what is asked for now, and its members take traffic.
    pub(super) async fn settled(&self, limit: Duration) -> Result<LoadBalancer, Trouble> {
        self.becomes("to be programmed and ready", limit, |load_balancer, status| {
            settled(load_balancer, status)?;
            Ok(load_balancer.clone())
        })
        .await
    }

    /// Where it is reached at a port, once the member answers there.
    pub(super) async fn answers(&self, port: u16) -> Result<SocketAddr, Trouble> {
        let address = self.becomes("to have an address", LIVE, |_, status| {
            status.addresses.first().map(|address| address.value.clone()).ok_or_else(|| "there is none".to_owned())
        });
        let target = (address.await?, port);
        let answer = &self.testbed.member.answer;
        let what = format!("an answer at {}:{port}", target.0);
        let found = self.testbed.until(&what, LIVE, async || {
            let found = lookup_host(target.clone()).await.map_err(|error| error.to_string())?.next();
            let address = found.ok_or_else(|| "the address has no meaning".to_owned())?;
            let told = ask(address).await?;
            seen(told == *answer, || format!("the answer is {told:?} and not the member's"))?;
            Ok(address)
        });
        let address = found.await?;
        self.testbed.note(&format!("{address} answers"));
        Ok(address)
    }

    /// Clients that ask at a port from now on.
    pub(super) async fn traffic(&self, port: u16) -> Result<Traffic, Trouble> {
        Ok(Traffic::start(self.answers(port).await?, &self.testbed.member.answer))
    }

    /// Ends the clients; an error if one request failed.
    pub(super) async fn unharmed(&self, traffic: Traffic) -> Result<(), Trouble> {
        let requests = traffic.stop().await?;
        self.testbed.note(&format!("{requests} requests, and none failed"));
        Ok(())
    }

    /// The `HAProxy` containers of its pods, each with the image that the node says it runs.
    pub(super) async fn containers(&self, status: &LoadBalancerStatus) -> Result<Vec<(Container, String)>, Trouble> {
        let api = Api::<Pod>::namespaced(self.testbed.client.clone(), &self.testbed.namespace);
        let pods = api.list(&ListParams::default().labels(&status.selector)).await?;
        let found = pods.into_iter().filter(|pod| pod.metadata.deletion_timestamp.is_none()).filter_map(|pod| {
            let container = pod.spec?.containers.into_iter().find(|container| container.name == "haproxy")?;
            let statuses = pod.status.and_then(|status| status.container_statuses).unwrap_or_default();
            let status = statuses.into_iter().find(|status| status.name == container.name);
            Some((container, status.map(|status| status.image_id).unwrap_or_default()))
        });
        Ok(found.collect())
    }
}

/// Whether all is as the spec of this generation wants it.
pub(super) fn settled(load_balancer: &LoadBalancer, status: &LoadBalancerStatus) -> Result<(), String> {
    for kind in ["Accepted", "ResolvedRefs", "Programmed", "Ready", "VersionSupported"] {
        good(load_balancer, status, kind)?;
    }
    let (observed, generation) = (status.observed_generation, load_balancer.metadata.generation);
    seen(observed == generation, || format!("observedGeneration is {observed:?}, and generation {generation:?}"))?;
    let hash = status.configuration.as_ref().map(|configuration| configuration.hash.as_str()).unwrap_or_default();
    for replica in &status.replica_statuses {
        seen(replica.ready && replica.proven_hash == hash, || format!("{replica:?}, and {hash} is wanted"))?;
    }
    let counts = (status.replicas, status.proven_replicas);
    seen(counts.0 > 0 && counts.0 == counts.1, || format!("replicas and proven ones: {counts:?}"))?;
    for pool in &status.pools {
        seen(pool.members > 0 && pool.up == pool.members, || format!("{pool:?}"))?;
    }
    Ok(())
}

/// The names of its pods, as status tells them.
pub(super) fn pods(status: &LoadBalancerStatus) -> BTreeSet<String> {
    status.replica_statuses.iter().map(|replica| replica.pod.clone()).collect()
}

/// The port of the first listener that speaks HTTP.
pub(super) fn http_port(spec: &Value) -> Result<u16, Trouble> {
    let listeners = spec["listeners"].as_array().into_iter().flatten();
    let mut ports = listeners.filter(|listener| listener["protocol"] == "HTTP").filter_map(|one| one["port"].as_u64());
    let port = ports.next().and_then(|port| u16::try_from(port).ok());
    port.ok_or_else(|| Trouble::Examples("the first LoadBalancer has no listener of protocol HTTP".to_owned()))
}
