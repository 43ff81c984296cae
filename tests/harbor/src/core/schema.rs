//! The schema, led from version to version as golang-migrate does it: one row of version and `dirty`, set before a
//! step and cleared after it, so that a step which broke off is seen and refused.

use anyhow::{Context, Result, bail};
use deadpool_postgres::{Client, Pool};

/// What one lock holds against: two cores that migrate at once.
const LOCK: i64 = 8_273_645_019;

/// Each step, by the version that it leads to.
const STEPS: [(i64, &str); 4] = [
    (160, include_str!("schema/0160.sql")),
    (170, include_str!("schema/0170.sql")),
    (171, include_str!("schema/0171.sql")),
    (180, include_str!("schema/0180.sql")),
];

/// Leads the database to the schema of `wanted`, from whatever older one it has.
pub(crate) async fn migrate(pool: &Pool, wanted: i64) -> Result<()> {
    let client = pool.get().await.context("database")?;
    client.execute("SELECT pg_advisory_lock($1)", &[&LOCK]).await?;
    let migrated = migrate_locked(&client, wanted).await;
    client.execute("SELECT pg_advisory_unlock($1)", &[&LOCK]).await?;
    migrated
}

async fn migrate_locked(client: &Client, wanted: i64) -> Result<()> {
    client
        .batch_execute(
            "CREATE TABLE IF NOT EXISTS schema_migrations (version bigint PRIMARY KEY, dirty boolean NOT NULL)",
        )
        .await?;
    let current = current(client).await?.unwrap_or_default();
    if current > wanted {
        bail!("no migration found for version {current}: the schema is newer than this Harbor, which knows {wanted}");
    }
    for (version, text) in STEPS.into_iter().filter(|(version, _)| (current + 1..=wanted).contains(version)) {
        record(client, version, true).await?;
        client.batch_execute(text).await.with_context(|| format!("migration {version} broke off"))?;
        record(client, version, false).await?;
        tracing::info!("the schema is at version {version}");
    }
    Ok(())
}

/// `skip-migrate`: the schema must be the one that is wanted.
pub(crate) async fn require(pool: &Pool, wanted: i64) -> Result<()> {
    let client = pool.get().await.context("database")?;
    let row = client.query_one("SELECT to_regclass('schema_migrations') IS NOT NULL", &[]).await?;
    if !row.get::<_, bool>(0) {
        bail!("the database has no schema, and skip-migrate makes none: run harbor_core -mode=migrate first");
    }
    match current(&client).await? {
        Some(version) if version == wanted => Ok(()),
        version => bail!("the schema is at version {}, and this Harbor needs {wanted}", version.unwrap_or_default()),
    }
}

async fn current(client: &Client) -> Result<Option<i64>> {
    let Some(row) = client.query_opt("SELECT version, dirty FROM schema_migrations", &[]).await? else {
        return Ok(None);
    };
    let version: i64 = row.get(0);
    if row.get(1) {
        bail!("Dirty database version {version}. Fix and force version.");
    }
    Ok(Some(version))
}

async fn record(client: &Client, version: i64, dirty: bool) -> Result<()> {
    let text = format!(
        "BEGIN; DELETE FROM schema_migrations; INSERT INTO schema_migrations VALUES ({version}, {dirty}); COMMIT"
    );
    Ok(client.batch_execute(&text).await?)
}
