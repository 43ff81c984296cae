//! A registry whose database, cache and storage are somebody else's: it works, and each of them that does not let it in
//! is told with what to do. Touches a sandbox.

use fairway::api::Harbor;
use k8s_openapi::api::{apps::v1::StatefulSet, core::v1::PersistentVolumeClaim};
use serde_json::{Value, json};

use super::{Registry, servers, small};
use crate::sandbox::{self, Sandbox};

fn spec(host: &str, database: &str) -> Value {
    let mut spec = small();
    spec["database"] = json!({
        "type": "External",
        "external": {
            "host": host, "database": database, "username": "harbor", "passwordSecretName": "db", "sslMode": "disable",
        },
    });
    spec["cache"] = json!({ "type": "External", "external": { "host": "redis", "passwordSecretName": "redis" } });
    spec["storage"] = json!({
        "type": "S3",
        "s3": { "bucket": "images", "endpoint": "http://s3:7070", "credentialsSecretName": "s3" },
    });
    spec
}

async fn keys(sandbox: &Sandbox, secret: &str) {
    servers::secret(sandbox, "s3", &json!({ "accessKey": servers::ACCESS_KEY, "secretKey": secret })).await;
}

async fn password(sandbox: &Sandbox, name: &str, password: &str) {
    servers::secret(sandbox, name, &json!({ "password": password })).await;
}

/// What is in the bucket.
async fn objects(sandbox: &Sandbox) -> Vec<String> {
    let found = sandbox.kubectl(&["exec", "s3", "--", "find", "/data/images", "-type", "f"]).await.unwrap();
    found.lines().map(str::to_owned).collect()
}

#[test]
fn what_is_somebody_elses_is_used_and_told_when_it_refuses() {
    sandbox::restricted("harbor-outside", async |sandbox| {
        servers::postgresql(sandbox).await;
        servers::redis(sandbox).await;
        servers::s3(sandbox).await;
        password(sandbox, "db", "wrong").await;
        password(sandbox, "redis", "wrong").await;
        keys(sandbox, "wrong").await;
        servers::serve(sandbox, &["db", "redis", "s3"]).await;
        servers::sql(sandbox, "CREATE ROLE harbor LOGIN PASSWORD 'Harbors-own-1'").await;

        let registry = Registry::named(sandbox, "registry");
        registry.write(&spec("nowhere", "registry")).await;
        registry.says("DatabaseReady", "False/DatabaseUnreachable", &["check its host"]).await;
        registry.write(&spec("db", "registry")).await;
        registry.says("DatabaseReady", "False/DatabasePasswordRefused", &["\"harbor\"", "Secret \"db\""]).await;
        password(sandbox, "db", "Harbors-own-1").await;
        registry.says("DatabaseReady", "False/DatabaseMissing", &["\"registry\"", "create it"]).await;
        registry.says("CacheReady", "False/CachePasswordRefused", &["Secret \"redis\""]).await;
        servers::sql(sandbox, "CREATE DATABASE registry OWNER harbor").await;
        password(sandbox, "redis", servers::PASSWORD).await;
        registry.says("CacheReady", "True/CacheReady", &[]).await;
        registry.says("DatabaseReady", "True/DatabaseReady", &["PostgreSQL 15"]).await;

        a_bucket_that_refuses(&registry).await;
        registry.ready().await;
        let (pushed, said) = registry.push("1").await;
        assert!(pushed, "{said}");
        let digest = registry.digest("inspect", "1").await;
        let hexadecimal = digest.strip_prefix("sha256:").unwrap();
        let own = format!("/data/images/harbor/{}/registry/docker/registry/v2/blobs/sha256/", sandbox.namespace);
        let found = objects(sandbox).await;
        let blob = found.iter().any(|object| object.starts_with(&own) && object.contains(hexadecimal));
        assert!(blob, "{digest} is not in the bucket: {found:?}");
        registry.pull("pull", "1").await;
        assert!(
            sandbox.names::<StatefulSet>("").await.is_empty()
                && sandbox.names::<PersistentVolumeClaim>("").await.is_empty()
        );

        a_password_that_is_changed(&registry).await;
        registry.pull("pull-again", "1").await;
        // What is somebody else's stays, whatever the policy.
        sandbox.edit::<Harbor>("registry", json!({ "spec": { "deletionPolicy": "Delete" } })).await;
        let before = objects(sandbox).await.len();
        registry.delete().await;
        assert_eq!(objects(sandbox).await.len(), before);
        let left = servers::sql(sandbox, "SELECT datname FROM pg_database WHERE datname = 'registry'").await;
        assert_eq!(left, "registry");
    });
}

/// A registry starts with a bucket that refuses; that it can't write to it says what is wrong.
async fn a_bucket_that_refuses(registry: &Registry<'_>) {
    let sandbox = registry.sandbox;
    registry.says("StorageReady", "False/StorageRefuses", &["bucket \"images\"", "Secret \"s3\""]).await;
    keys(sandbox, servers::PASSWORD).await;
    registry.says("StorageReady", "False/StorageRefuses", &["check that bucket"]).await;
    sandbox.kubectl(&["exec", "s3", "--", "mkdir", "/data/images"]).await.unwrap();
    registry.says("StorageReady", "True/StorageReady", &["bucket \"images\""]).await;
}

/// What runs runs on with the connections that it has, and is not replaced by what could not log in.
async fn a_password_that_is_changed(registry: &Registry<'_>) {
    let sandbox = registry.sandbox;
    password(sandbox, "db", "wrong").await;
    sandbox.edit::<Harbor>("registry", json!({ "metadata": { "annotations": { "somebody": "looks" } } })).await;
    registry.says("DatabaseReady", "False/DatabasePasswordRefused", &["\"harbor\"", "Secret \"db\""]).await;
    registry.pull("pull-without-database", "1").await;
    password(sandbox, "db", "Harbors-own-1").await;
    registry.says("DatabaseReady", "True/DatabaseReady", &[]).await;
    registry.ready().await;
}
