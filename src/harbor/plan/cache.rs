//! The Redis that Fairway runs for one registry. Pure.

use kube::api::DynamicObject;
use serde_json::json;

use super::{
    Context,
    pods::{self, Pod, SERVER_USER},
    settings::resources,
    storage, volumes,
};
use crate::{
    api::{ManagedCache, Resources},
    clients::redis::CANNOT_SAVE,
    harbor::{
        images,
        names::{self, Component, REDIS},
        quantity,
        world::Problem,
    },
};

/// The file in its Secret.
const FILE: &str = "redis.conf";
/// Answers when it has its data; `MISCONF` is what it says when its disk is full: it can be read, and the operator asks it
/// for more. The password comes from a file, and never stands in a list of processes.
const ASKS: &str = "REDISCLI_AUTH=$(cat /etc/fairway/password) redis-cli -h 127.0.0.1 ping | grep -qE 'PONG|MISCONF'";

fn asked(context: &Context<'_>) -> ManagedCache {
    context.settings.cache.managed.clone().unwrap_or_default()
}

/// What its data is on.
pub(super) fn volume(context: &Context<'_>) -> DynamicObject {
    volumes::claim(context, Component::Cache, &asked(context).volume.unwrap_or_default(), "1Gi")
}

/// The server, with its configuration, its volume and its Service.
pub(super) fn objects(context: &Context<'_>) -> Vec<DynamicObject> {
    let asked = asked(context);
    let resources = resources(asked.resources.as_ref(), ("50m", "64Mi"), ("500m", "256Mi"));
    let password = context.references.cache.password.clone().unwrap_or_default();
    let configuration = configuration(&resources, &password);
    let image = asked.image.unwrap_or_else(|| context.images.get(images::REDIS));
    let mut container = pods::container("redis", &image, &["redis-server", "/etc/fairway/redis.conf"], &resources);
    container["ports"] = json!([{ "name": "redis", "containerPort": REDIS, "protocol": "TCP" }]);
    let asks = ["sh", "-c", ASKS];
    container["startupProbe"] = pods::exec_probe(&asks, 1, 600);
    container["readinessProbe"] = pods::exec_probe(&asks, 10, 3);
    container["volumeMounts"] =
        json!([pods::mount("data", "/data"), pods::mount("configuration", "/etc/fairway"), pods::mount("tmp", "/tmp")]);
    let name = names::child(context.name, Component::Cache);
    let pod = Pod {
        component: Component::Cache,
        user: SERVER_USER,
        containers: vec![container],
        volumes: vec![
            volumes::mounted("data", &names::volume(context.name, Component::Cache)),
            volumes::secret("configuration", &name, &[(FILE, FILE), ("password", "password")]),
            pods::empty("tmp", "16Mi"),
        ],
        hash: names::hash([(FILE, configuration.as_str())]),
    };
    vec![
        pods::secret_object(&name, &[(FILE, &configuration), ("password", &password)]),
        volume(context),
        pods::service(context, Component::Cache, &[("redis", REDIS, REDIS)]),
        pods::stateful_set(context, &pod),
    ]
}

/// Whether it takes writes. Whether it runs its pod has said: an operator that does not reach it changes nothing.
pub(super) fn saves(context: &Context<'_>) -> Result<(), Problem> {
    match &context.world.cache {
        Some(Err(problem)) if problem.reason == CANNOT_SAVE => {
            let full = storage::full(context, Component::Cache, "takes no writes", &problem.message);
            Err(full.unwrap_or_else(|| problem.clone()))
        }
        _ => Ok(()),
    }
}

/// It is a queue: nothing is thrown away when memory runs out, and each write is in a file within a second. Snapshots
/// besides would take as much room again; it takes no writes when one fails, and can't be ended.
fn configuration(resources: &Resources, password: &str) -> String {
    let told = [&resources.limits, &resources.requests].into_iter().flatten().find_map(|one| one.memory.as_ref());
    let memory = told.and_then(|memory| quantity::bytes(memory)).unwrap_or(256 << 20);
    format!(
        "port {REDIS}\nbind * -::*\nprotected-mode no\nrequirepass {password}\ndir /data\nappendonly yes\nsave \"\"\n\
         appendfsync everysec\nmaxmemory {}\nmaxmemory-policy noeviction\ndatabases 16\ntcp-keepalive 60\n",
        memory / 4 * 3
    )
}
