//! A registry of a test: waited for, asked at its front door, deleted and made again. Touches the test's namespace.

use std::{collections::BTreeMap, net::SocketAddr, time::Duration};

use http::{StatusCode, header};
use k8s_openapi::api::core::v1::{PersistentVolumeClaim, Pod, Secret};
use kube::{
    Api, CustomResourceExt, Resource, ResourceExt,
    api::{ApiResource, ListParams},
};
use serde_json::{Value, json};
use tokio::net::lookup_host;

use super::{
    balancer::LIVE,
    result::{Trouble, seen},
    subject::{Subject, good},
    testbed::Testbed,
    traffic::{Traffic, get},
};
use crate::api::{Harbor, HarborClass, HarborStatus, LoadBalancer};

/// How long a registry may take to start, with some gigabytes of images that come from far away.
pub(super) const START: Duration = Duration::from_mins(7);
/// How long one may take whose images are there, and how long pods may take to end.
pub(super) const AGAIN: Duration = Duration::from_mins(3);
/// Of pods: whose they are.
const LABEL: &str = "fairway.dev/harbor";
/// The class that says what registries of tests have to have on this cluster, if there is one.
pub const GIVEN: &str = "fairway-scorecard";

/// A registry.
pub(super) type Registry<'a> = Subject<'a, Harbor>;

impl Registry<'_> {
    /// Waits until clients can push and pull, and Harbor itself says that it is well.
    pub(super) async fn settled(&self, limit: Duration) -> Result<Harbor, Trouble> {
        self.becomes("to be healthy and ready", limit, |registry, status| {
            settled(registry, status).map_err(|missing| format!("{missing}; waiting for: {:?}", status.waiting_for))?;
            Ok(registry.clone())
        })
        .await
    }

    /// Where its front door is, once Harbor says there that it is healthy, and asks clients for a token of its URL.
    pub(super) async fn answers(&self, url: &str) -> Result<SocketAddr, Trouble> {
        let fronts = Api::<LoadBalancer>::namespaced(self.testbed.client.clone(), &self.testbed.namespace);
        let name = format!("{}-front", self.name);
        // As clients do who reach it by its URL.
        let host = url.trim_start_matches("http://");
        let what = format!("Harbor to answer at the front door of {}", self.name);
        let found = self.testbed.until(&what, LIVE, async || {
            let status = fronts.get_opt(&name).await?.and_then(|front| front.status).unwrap_or_default();
            let address = status.addresses.first().map(|address| address.value.clone());
            let target = (address.ok_or_else(|| format!("LoadBalancer {name} has no address"))?, 80);
            let found = lookup_host(target).await.map_err(|error| error.to_string())?.next();
            let address = found.ok_or_else(|| "the address has no meaning".to_owned())?;
            let health = get(address, host, "/api/v2.0/health").await?;
            let told: Value = serde_json::from_str(&health.text).map_err(|error| format!("{error}: {health:?}"))?;
            seen(told["status"] == "healthy", || health.text.clone())?;
            let pull = get(address, host, "/v2/").await?;
            let asks = pull.headers.get(header::WWW_AUTHENTICATE).and_then(|value| value.to_str().ok());
            let realm = format!("Bearer realm=\"{url}/service/token\"");
            let so = pull.status == StatusCode::UNAUTHORIZED && asks.is_some_and(|asks| asks.starts_with(&realm));
            seen(so, || format!("{} with {asks:?}, and not {realm}", pull.status))?;
            Ok(address)
        });
        let address = found.await?;
        self.testbed.note(&format!("{address} answers: healthy, and asks for a token of {url}"));
        Ok(address)
    }

    /// People who look at its pages from now on.
    pub(super) async fn traffic(&self, address: SocketAddr) -> Result<Traffic, Trouble> {
        let page = get(address, &address.to_string(), "/").await.map_err(Trouble::Unmet)?;
        seen(page.status.is_success(), || format!("the page is {}", page.status)).map_err(Trouble::Unmet)?;
        Ok(Traffic::start(address, &page.text))
    }

    /// Ends them; an error if one request failed.
    pub(super) async fn unharmed(&self, traffic: Traffic) -> Result<(), Trouble> {
        let requests = traffic.stop().await?;
        self.testbed.note(&format!("{requests} requests, and none failed"));
        Ok(())
    }

    /// Its volumes, each with its identity.
    pub(super) async fn volumes(&self) -> Result<BTreeMap<String, String>, Trouble> {
        volumes(self.testbed, &self.name).await
    }

    /// Deletes it, and waits until its pods are gone.
    pub(super) async fn delete(&self) -> Result<(), Trouble> {
        self.testbed.delete(&Harbor::api_resource(), &self.name).await?;
        let pods = Api::<Pod>::namespaced(self.testbed.client.clone(), &self.testbed.namespace);
        let own = ListParams::default().labels(&format!("{LABEL}={}", self.name));
        let what = format!("the pods of {} to be gone", self.name);
        self.testbed
            .until(&what, AGAIN, async || {
                let left: Vec<String> = pods.list(&own).await?.iter().map(ResourceExt::name_any).collect();
                Ok(seen(left.is_empty(), || left.join(", "))?)
            })
            .await?;
        self.testbed.note(&format!("registry {} is deleted, and its pods are gone", self.name));
        Ok(())
    }
}

/// A class for registries of a test: the example, and over it what is given on this cluster.
pub(super) async fn class(testbed: &Testbed, example: &Value) -> Result<Value, Trouble> {
    let mut class = example.clone();
    if let Some(given) = Api::<HarborClass>::all(testbed.client.clone()).get_opt(GIVEN).await? {
        testbed.note(&format!("HarborClass {GIVEN} is there: what it says holds for the test's registries"));
        for (field, value) in json!(given.spec).as_object().into_iter().flatten() {
            class["spec"][field] = value.clone();
        }
    }
    Ok(class)
}

/// The volumes of a registry; nobody else has its name.
pub(super) async fn volumes(testbed: &Testbed, name: &str) -> Result<BTreeMap<String, String>, Trouble> {
    let claims = Api::<PersistentVolumeClaim>::namespaced(testbed.client.clone(), &testbed.namespace);
    let claims = claims.list_metadata(&ListParams::default()).await?;
    let own = claims.items.into_iter().filter(|claim| claim.name_any().starts_with(&format!("{name}-")));
    Ok(own.map(|claim| (claim.name_any(), claim.metadata.uid.unwrap_or_default())).collect())
}

/// What stays when a registry with `deletionPolicy: Retain` is deleted: the test takes it away itself.
pub(super) async fn kept(testbed: &Testbed, name: &str) -> Result<Vec<(ApiResource, String)>, Trouble> {
    let claim = ApiResource::erase::<PersistentVolumeClaim>(&());
    let secret = ApiResource::erase::<Secret>(&());
    let volumes = volumes(testbed, name).await?.into_keys().map(|volume| (claim.clone(), volume));
    Ok(volumes.chain([(secret, format!("{name}-credentials"))]).collect())
}

fn settled(registry: &Harbor, status: &HarborStatus) -> Result<(), String> {
    for kind in
        ["Accepted", "ResolvedRefs", "DatabaseReady", "CacheReady", "Migrated", "Healthy", "Ready", "Reconciled"]
    {
        good(registry, status, kind)?;
    }
    let (observed, generation) = (status.observed_generation, registry.meta().generation);
    seen(observed == generation, || format!("observedGeneration is {observed:?}, and generation {generation:?}"))
}

/// Whether status tells what runs, where it is reached, with which login, and how each part is.
pub(super) fn informative(registry: &Harbor) -> Result<(), String> {
    let status = registry.status.clone().unwrap_or_default();
    for condition in &status.conditions {
        seen(!condition.reason.is_empty(), || format!("{} has no reason", condition.type_))?;
    }
    seen(status.url == registry.spec.external_url, || format!("the URL is {:?}", status.url))?;
    let told = [&status.version, &status.credentials_secret_name];
    seen(told.iter().all(|text| !text.is_empty()), || format!("version and Secret are {told:?}"))?;
    seen(status.waiting_for.is_empty(), || format!("it is ready and waits for {:?}", status.waiting_for))?;
    for name in ["database", "cache", "core", "jobservice", "registry", "portal"] {
        let part = status.components.iter().find(|part| part.name == name);
        let well = part
            .is_some_and(|part| part.replicas > 0 && part.ready_replicas == part.replicas && part.health == "healthy");
        seen(well, || format!("of {name} it tells {part:?}"))?;
    }
    let connections = status.connections.unwrap_or_default();
    seen(connections.per_pod > 0, || format!("connections to the database: {connections:?}"))?;
    seen(status.redis_databases.is_some(), || "the databases of Redis are not told".to_owned())
}
