//! Servers that tests bring along: real ones, in the images that Harbor is tested on. Touches a sandbox.

use k8s_openapi::api::core::v1::{Pod, Secret, Service};
use serde_json::{Value, json};

use crate::{
    application::is_ready,
    sandbox::Sandbox,
    wait::{self, POD, seen},
};

/// The administrator's password of each.
pub(super) const PASSWORD: &str = "Administrator-of-1";
/// The user of the S3 server.
pub(super) const ACCESS_KEY: &str = "fairway";

/// What the restricted standard wants of a container; `/tmp` can be written to.
pub(super) fn harden(container: &mut Value) {
    container["securityContext"] = json!({
        "allowPrivilegeEscalation": false,
        "readOnlyRootFilesystem": true,
        "capabilities": { "drop": ["ALL"] },
    });
    container["resources"] = json!({ "requests": { "cpu": "10m", "memory": "32Mi" } });
    let mounts = container["volumeMounts"].as_array().cloned().unwrap_or_default();
    container["volumeMounts"] = mounts.into_iter().chain([json!({ "name": "tmp", "mountPath": "/tmp" })]).collect();
}

/// The spec of a pod with one container, of the restricted standard.
pub(super) fn pod(user: i64, container: &Value, volumes: &Value) -> Value {
    let mut volumes = volumes.as_array().cloned().unwrap_or_default();
    volumes.push(json!({ "name": "tmp", "emptyDir": {} }));
    json!({
        "automountServiceAccountToken": false,
        "terminationGracePeriodSeconds": 1,
        "securityContext": {
            "runAsNonRoot": true,
            "runAsUser": user,
            "fsGroup": user,
            "seccompProfile": { "type": "RuntimeDefault" },
        },
        "containers": [container],
        "volumes": volumes,
    })
}

/// A `PostgreSQL` named `db`, with the superuser `postgres`.
pub(super) async fn postgresql(sandbox: &Sandbox) {
    let container = json!({
        "image": "docker.io/library/postgres:15",
        "command": ["docker-entrypoint.sh", "postgres", "-c", "max_connections=200"],
        "env": [
            { "name": "POSTGRES_PASSWORD", "value": PASSWORD },
            { "name": "PGDATA", "value": "/var/lib/postgresql/data/pgdata" },
        ],
        "volumeMounts": [
            { "name": "data", "mountPath": "/var/lib/postgresql/data" },
            { "name": "run", "mountPath": "/var/run/postgresql" },
        ],
        "readinessProbe": { "exec": { "command": ["pg_isready", "--host=127.0.0.1"] }, "periodSeconds": 1 },
    });
    start(sandbox, "db", 999, 5432, container).await;
}

/// A Redis named `redis`, with `users` in a file.
pub(super) async fn redis(sandbox: &Sandbox) {
    let start_redis = "touch /data/users.acl && exec redis-server --save '' --appendonly no --dir /data \
                       --aclfile /data/users.acl --databases 64";
    let container = json!({
        "image": "docker.io/library/redis:7",
        "command": ["sh", "-c", format!(r#"echo "user default on >{PASSWORD} ~* &* +@all" >/data/users.acl; {start_redis}"#)],
        "volumeMounts": [{ "name": "data", "mountPath": "/data" }, { "name": "run", "mountPath": "/run" }],
        "readinessProbe": { "tcpSocket": { "port": 6379 }, "periodSeconds": 1 },
    });
    start(sandbox, "redis", 999, 6379, container).await;
}

/// An S3 server named `s3`; its buckets are folders of `/data`.
pub(super) async fn s3(sandbox: &Sandbox) {
    let container = json!({
        "image": "docker.io/versity/versitygw:v1.8.0",
        "command": ["/usr/local/bin/versitygw", "--port", ":7070", "posix", "/data"],
        "env": [
            { "name": "ROOT_ACCESS_KEY", "value": ACCESS_KEY },
            { "name": "ROOT_SECRET_KEY", "value": PASSWORD },
            { "name": "VGW_REGION", "value": "us-east-1" },
        ],
        "volumeMounts": [{ "name": "data", "mountPath": "/data" }, { "name": "run", "mountPath": "/run" }],
        "readinessProbe": { "tcpSocket": { "port": 7070 }, "periodSeconds": 1 },
    });
    start(sandbox, "s3", 10_000, 7070, container).await;
}

async fn start(sandbox: &Sandbox, name: &str, user: i64, port: u16, mut container: Value) {
    container["name"] = json!(name);
    harden(&mut container);
    let volumes = json!([{ "name": "data", "emptyDir": {} }, { "name": "run", "emptyDir": {} }]);
    let labels = json!({ "server": name });
    let ports = json!([{ "port": port }]);
    sandbox
        .apply::<Service>(json!({ "metadata": { "name": name }, "spec": { "selector": labels, "ports": ports } }))
        .await;
    let spec = pod(user, &container, &volumes);
    sandbox.apply::<Pod>(json!({ "metadata": { "name": name, "labels": labels }, "spec": spec })).await;
}

/// Waits until these servers answer.
pub(super) async fn serve(sandbox: &Sandbox, names: &[&str]) {
    for name in names {
        wait::until(&format!("server {name}"), POD, async || {
            let pod = sandbox.api::<Pod>().get(name).await.map_err(|error| error.to_string())?;
            seen(is_ready(&pod), || format!("{:?}", pod.status.and_then(|status| status.phase)))
        })
        .await;
    }
}

/// A Secret with these texts.
pub(super) async fn secret(sandbox: &Sandbox, name: &str, texts: &Value) {
    sandbox.apply::<Secret>(json!({ "metadata": { "name": name }, "stringData": texts })).await;
}

/// Asks the `PostgreSQL` as its superuser.
pub(super) async fn sql(sandbox: &Sandbox, command: &str) -> String {
    let psql = ["exec", "db", "--", "psql", "--tuples-only", "--no-align", "--username=postgres", "--command", command];
    sandbox.kubectl(&psql).await.unwrap().trim().to_owned()
}
