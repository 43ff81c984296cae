//! The registries of the fleet, and what they name.

use std::{
    sync::atomic::{AtomicUsize, Ordering},
    time::Duration,
};

use fairway::api::{Harbor, HarborClass};
use futures::{StreamExt, stream};
use k8s_openapi::api::core::v1::Secret;
use kube::{
    Api, Client,
    api::{ListParams, Patch, PatchParams, PostParams},
};
use serde_json::{Value, json};
use tokio::time::sleep;

use crate::support::fleet::{FLEET, number, until};

/// Of the servers of `tests/clients`.
const PASSWORD: &str = "root-Of-all-0";
const CLASS: &str = "small";
const PATIENCE: Duration = Duration::from_mins(10);
/// How soon to look again: to read a fleet costs those who are measured.
const AGAIN: Duration = Duration::from_secs(1);

pub(crate) struct Fleet {
    client: Client,
    /// The specs of database and cache.
    servers: (Value, Value),
    made: AtomicUsize,
    /// How many are under way at a time: all at once would measure how a machine copes that is too small for that.
    at_once: usize,
}

impl Fleet {
    /// With the first registry.
    pub(crate) async fn start(client: Client, postgresql: u16, redis: u16) -> Self {
        let secrets: Api<Secret> = Api::namespaced(client.clone(), FLEET);
        for (name, data) in [
            ("server", json!({ "password": PASSWORD })),
            ("bucket", json!({ "accessKey": "bench", "secretKey": "bench" })),
        ] {
            let secret = json!({ "metadata": { "name": name }, "stringData": data });
            secrets.create(&PostParams::default(), &serde_json::from_value(secret).unwrap()).await.unwrap();
        }
        let classes: Api<HarborClass> = Api::all(client.clone());
        let class = HarborClass::new(CLASS, serde_json::from_value(class()).unwrap());
        classes.create(&PostParams::default(), &class).await.unwrap();
        let servers = servers(postgresql, redis);
        let fleet = Self { client, servers, made: AtomicUsize::new(1), at_once: number("AT_ONCE", 32) };
        fleet.create(0).await;
        fleet
    }

    pub(crate) fn made(&self) -> usize {
        self.made.load(Ordering::Relaxed)
    }

    /// Makes registries until there are so many, each with a copy of the first one's credentials.
    pub(crate) async fn grow(&self, count: usize) {
        let secrets: Api<Secret> = Api::namespaced(self.client.clone(), FLEET);
        let first = secrets.get(&format!("{}-credentials", name(0))).await.unwrap();
        let first = &first;
        let making = (self.made()..count).map(|number| {
            let secrets = secrets.clone();
            async move {
                let labels = first.metadata.labels.clone().unwrap_or_default().into_iter();
                let labels: serde_json::Map<String, Value> = labels
                    .map(|(key, value)| (key, json!(if value == name(0) { name(number) } else { value })))
                    .collect();
                let mut copy = first.clone();
                let metadata = json!({ "name": format!("{}-credentials", name(number)), "labels": labels });
                copy.metadata = serde_json::from_value(metadata).unwrap();
                secrets.create(&PostParams::default(), &copy).await.unwrap();
                self.create(number).await;
                self.stands(number).await;
            }
        });
        stream::iter(making).buffer_unordered(self.at_once).collect::<Vec<()>>().await;
        self.made.store(count, Ordering::Relaxed);
    }

    async fn create(&self, number: usize) {
        let url = format!("http://{}.example.com", name(number));
        let (database, cache) = &self.servers;
        let spec = json!({ "externalURL": url, "className": CLASS, "database": database, "cache": cache });
        let harbor = Harbor::new(&name(number), serde_json::from_value(spec).unwrap());
        let api: Api<Harbor> = Api::namespaced(self.client.clone(), FLEET);
        api.create(&PostParams::default(), &harbor).await.unwrap();
    }

    async fn stands(&self, number: usize) {
        let (api, name) = (Api::<Harbor>::namespaced(self.client.clone(), FLEET), name(number));
        until(&format!("{name} to be ready"), PATIENCE, async || {
            let stands = ready(&api.get(&name).await.unwrap());
            if !stands {
                sleep(AGAIN).await;
            }
            stands
        })
        .await;
    }

    /// Waits until so many are ready.
    pub(crate) async fn ready(&self, count: usize) {
        self.stands(count - 1).await;
        let api: Api<Harbor> = Api::namespaced(self.client.clone(), FLEET);
        until("every one to be ready", PATIENCE, async || {
            let all = api.list(&ListParams::default()).await.unwrap();
            let ready = all.iter().filter(|harbor| ready(harbor)).count();
            if ready < count {
                eprintln!("{ready} of {count} are ready");
                sleep(3 * AGAIN).await;
            }
            ready == count
        })
        .await;
    }

    /// Changes the class: a note on it, or what core may use.
    pub(crate) async fn change(&self, note: bool) {
        let classes: Api<HarborClass> = Api::all(self.client.clone());
        let limits = json!({ "limits": { "cpu": "1", "memory": "300Mi" } });
        let change = if note {
            json!({ "metadata": { "annotations": { "example.com/note": "nothing" } } })
        } else {
            json!({ "spec": { "components": { "core": { "resources": limits } } } })
        };
        classes.patch(CLASS, &PatchParams::default(), &Patch::Merge(&change)).await.unwrap();
    }
}

fn name(number: usize) -> String {
    format!("registry-{number}")
}

fn ready(harbor: &Harbor) -> bool {
    let conditions = harbor.status.iter().flat_map(|status| &status.conditions);
    conditions.filter(|condition| condition.type_ == "Ready").any(|condition| condition.status == "True")
}

/// Where all have their database and cache: nothing is in them, and nobody looks.
fn servers(postgresql: u16, redis: u16) -> (Value, Value) {
    let database = json!({
        "host": "127.0.0.1", "port": postgresql, "username": "postgres", "database": "postgres",
        "passwordSecretName": "server", "sslMode": "disable",
    });
    let cache = json!({ "host": "127.0.0.1", "port": redis, "passwordSecretName": "server" });
    (json!({ "type": "External", "external": database }), json!({ "type": "External", "external": cache }))
}

fn class() -> Value {
    let bucket = json!({ "bucket": "images", "endpoint": "http://127.0.0.1:9000", "credentialsSecretName": "bucket" });
    json!({
        "exposure": { "type": "Ingress", "ingress": { "className": "none" } },
        "storage": { "type": "S3", "s3": bucket },
    })
}
