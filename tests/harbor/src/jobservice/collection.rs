//! Garbage collection: what no artifact holds any more goes out of the registry's storage, by way of registryctl.

use std::time::Duration;

use anyhow::{Context, Result};
use hyper::Method;
use serde_json::{Map, Value};

use super::Jobservice;
use crate::cache::Cache;
use crate::database::Parameters;

const UNTAGGED: &str = "WITH gone AS (DELETE FROM artifact a WHERE NOT EXISTS (SELECT FROM tag t WHERE t.artifact_id = a.id)
    AND NOT EXISTS (SELECT FROM artifact_reference c JOIN artifact p ON p.id = c.parent_id
        WHERE c.child_digest = a.digest AND p.repository_id = a.repository_id)
    RETURNING a.repository_id, a.digest)
    INSERT INTO artifact_trash (repository_name, digest) SELECT r.name, g.digest FROM gone g JOIN repository r USING (repository_id)";

pub(crate) async fn run(jobservice: &Jobservice, parameters: &Map<String, Value>) -> Result<String> {
    let flag = |name: &str| parameters.get(name).is_some_and(|value| *value == true);
    let window = parameters.get("time_window").and_then(Value::as_i64).unwrap_or(2);
    let database = Parameters {
        host: jobservice.setting("postgresql_host"),
        port: jobservice.setting("postgresql_port").parse().context("postgresql_port")?,
        user: jobservice.setting("postgresql_username"),
        password: jobservice.setting("postgresql_password"),
        name: jobservice.setting("postgresql_database"),
        ssl_mode: jobservice.setting("postgresql_sslmode"),
        max_open: 1,
    };
    let pool = tokio::time::timeout(Duration::from_secs(20), database.connect()).await.context("database")??;
    let client = pool.get().await?;
    if flag("delete_untagged") && !flag("dry_run") {
        client.execute(UNTAGGED, &[]).await?;
    }
    let blobs = client
        .query(
            "SELECT b.id, b.digest, b.size FROM blob b WHERE NOT EXISTS (SELECT FROM artifact_blob ab WHERE ab.blob_id = b.id)
             AND b.update_time <= CURRENT_TIMESTAMP - make_interval(hours => $1)",
            &[&i32::try_from(window)?],
        )
        .await?;
    let size: i64 = blobs.iter().map(|row| row.get::<_, i64>(2)).sum();
    let told = format!("{} blobs, {size} bytes", blobs.len());
    if flag("dry_run") {
        return Ok(format!("{told} could be freed"));
    }
    for row in client.query("SELECT DISTINCT repository_name, digest FROM artifact_trash", &[]).await? {
        let (repository, digest): (String, String) = (row.get(0), row.get(1));
        if blobs.iter().any(|blob| blob.get::<_, String>(1) == digest) {
            delete(jobservice, &format!("/api/registry/{repository}/manifests/{digest}")).await?;
            client
                .execute(
                    "DELETE FROM artifact_trash WHERE repository_name = $1 AND digest = $2",
                    &[&repository, &digest],
                )
                .await?;
        }
    }
    for row in &blobs {
        delete(jobservice, &format!("/api/registry/blob/{}", row.get::<_, String>(1))).await?;
        client.execute("DELETE FROM blob WHERE id = $1", &[&row.get::<_, i32>(0)]).await?;
    }
    forget(parameters).await?;
    Ok(format!("{told} freed"))
}

async fn delete(jobservice: &Jobservice, path: &str) -> Result<()> {
    let url = format!("{}{path}", jobservice.registryctl);
    let (status, body) = jobservice.client.call(Method::DELETE, &url, Some(&jobservice.authorization()), None).await?;
    if status.is_success() || status == hyper::StatusCode::NOT_FOUND {
        return Ok(());
    }
    anyhow::bail!("{url} answered {status}: {}", String::from_utf8_lossy(&body))
}

/// The registry must not remember what is gone.
async fn forget(parameters: &Map<String, Value>) -> Result<()> {
    let Some(url) = parameters.get("redis_url_reg").and_then(Value::as_str) else {
        return Ok(());
    };
    let cache = Cache::new(url)?;
    for prefix in ["blobs::", "repository::"] {
        for key in cache.keys(prefix).await? {
            cache.run::<u64>(redis::cmd("DEL").arg(key)).await?;
        }
    }
    Ok(())
}
