//! Load balancers, and the stand-in for what a cluster does with their Deployments: it makes their pods, which
//! are running and ready at once.

use std::{
    collections::{HashMap, HashSet},
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use fairway::{
    agent::protocol::{Configuration, agent_name},
    api::LoadBalancer,
    loadbalancer::plan::objects::read_configuration,
};
use futures::{StreamExt, stream};
use k8s_openapi::api::{
    apps::v1::Deployment,
    core::v1::{Pod, Secret},
};
use kube::{
    Api, Client, ResourceExt,
    api::{ListParams, Patch, PatchParams, PostParams},
    core::PartialObjectMeta,
    runtime::{
        WatchStreamExt,
        watcher::{self, watcher},
    },
};
use serde_json::json;
use tokio_util::task::AbortOnDropHandle;

use crate::{
    agents::Agents,
    support::fleet::{FLEET, until},
};

/// How many requests of the stand-in are under way at a time.
const AT_A_TIME: usize = 16;

pub(crate) struct Fleet {
    client: Client,
    made: AtomicUsize,
    served: Arc<AtomicUsize>,
    _cluster: AbortOnDropHandle<()>,
}

impl Fleet {
    pub(crate) fn start(client: Client, agents: Arc<Agents>) -> Self {
        let served = Arc::new(AtomicUsize::new(0));
        let cluster = tokio::spawn(serve(client.clone(), agents, Arc::clone(&served)));
        Self { client, made: AtomicUsize::new(0), served, _cluster: AbortOnDropHandle::new(cluster) }
    }

    pub(crate) fn made(&self) -> usize {
        self.made.load(Ordering::Relaxed)
    }

    /// Makes load balancers until there are so many.
    pub(crate) async fn grow(&self, count: usize) {
        let api: Api<LoadBalancer> = Api::namespaced(self.client.clone(), FLEET);
        let making = (self.made()..count).map(|number| {
            let api = api.clone();
            async move {
                let spec = json!({
                    "className": "gold",
                    "listeners": [{ "name": "web", "protocol": "HTTP", "port": 80, "pool": "app" }],
                    "pools": [{ "name": "app", "members": members(number) }],
                });
                let resource = LoadBalancer::new(&format!("web-{number}"), serde_json::from_value(spec).unwrap());
                api.create(&PostParams::default(), &resource).await.unwrap();
            }
        });
        stream::iter(making).buffer_unordered(AT_A_TIME).collect::<Vec<()>>().await;
        self.made.store(count, Ordering::Relaxed);
    }

    /// Waits until so many are programmed.
    pub(crate) async fn programmed(&self, count: usize) {
        let patience = Duration::from_mins(10);
        until("every pod", patience, async || self.served.load(Ordering::Relaxed) >= count).await;
        let api: Api<LoadBalancer> = Api::namespaced(self.client.clone(), FLEET);
        let last = format!("web-{}", count - 1);
        until("the last to be programmed", patience, async || proven(&api.get(&last).await.unwrap())).await;
        until("every one to be programmed", patience, async || {
            api.list(&ListParams::default()).await.unwrap().iter().filter(|resource| proven(resource)).count() == count
        })
        .await;
    }
}

/// Each load balancer has members of its own, so that no two configurations are the same.
fn members(number: usize) -> Vec<serde_json::Value> {
    let address = |member: usize| format!("10.{}.{}.{member}", number / 250, number % 250);
    (1..=4).map(|member| json!({ "address": address(member), "port": 8080 })).collect()
}

fn proven(resource: &LoadBalancer) -> bool {
    resource.status.as_ref().is_some_and(|status| status.proven_replicas == 2)
}

/// Makes the pods of each new Deployment.
async fn serve(client: Client, agents: Arc<Agents>, served: Arc<AtomicUsize>) {
    let api: Api<PartialObjectMeta<Deployment>> = Api::namespaced(client.clone(), FLEET);
    let mut known = HashSet::new();
    watcher(api, watcher::Config::default())
        .applied_objects()
        .filter_map(async |deployment| Some(deployment.unwrap().name_any()))
        .filter(move |name| std::future::ready(known.insert(name.clone())))
        .map(|name| {
            let (client, agents) = (client.clone(), Arc::clone(&agents));
            async move { start(&client, &agents, name.strip_suffix("-lb").unwrap()).await }
        })
        .buffer_unordered(AT_A_TIME)
        .for_each(|()| {
            served.fetch_add(1, Ordering::Relaxed);
            std::future::ready(())
        })
        .await;
}

async fn start(client: &Client, agents: &Arc<Agents>, name: &str) {
    let secrets: Api<Secret> = Api::namespaced(client.clone(), FLEET);
    let data = async |kind: &str| secrets.get(&format!("{name}-lb-{kind}")).await.unwrap().data.unwrap();
    let identity: HashMap<String, Vec<u8>> =
        data("identity").await.into_iter().map(|(name, content)| (name, content.0)).collect();
    let mounted: Configuration = read_configuration(&data("configuration").await).unwrap();
    agents.add(&agent_name(FLEET, name), &identity, &mounted);
    let pods: Api<Pod> = Api::namespaced(client.clone(), FLEET);
    for (number, address) in agents.addresses.iter().enumerate() {
        let pod = format!("{name}-lb-{number}");
        let object = json!({
            "metadata": { "name": pod, "labels": { "fairway.dev/loadbalancer": name } },
            "spec": { "nodeName": "none", "containers": [{ "name": "haproxy", "image": "haproxy" }] },
        });
        pods.create(&PostParams::default(), &serde_json::from_value(object).unwrap()).await.unwrap();
        let status = json!({ "status": {
            "phase": "Running",
            "podIP": address,
            "podIPs": [{ "ip": address }],
            "conditions": [{ "type": "Ready", "status": "True" }],
        }});
        pods.patch_status(&pod, &PatchParams::default(), &Patch::Merge(&status)).await.unwrap();
    }
}
