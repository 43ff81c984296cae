//! Harbor's exporter: reads the database, jobservice's Redis and core's health, and serves it all as metrics.

use std::fmt::Write;
use std::sync::Arc;

use anyhow::Result;
use axum::Router;
use axum::routing::get;
use deadpool_postgres::Pool;
use hyper::Method;
use serde_json::Value;

use crate::answer::Fault;
use crate::cache::Cache;
use crate::client::Client;
use crate::database::Parameters;
use crate::environment::{Environment, Refusal};
use crate::version::{self, Version};

struct Exporter {
    pool: Pool,
    cache: Cache,
    namespace: String,
    core: String,
    client: Client,
    version: Version,
}

pub(crate) async fn run() -> Result<(), Refusal> {
    let mut environment = Environment::default();
    let port = environment.parsed("HARBOR_EXPORTER_PORT", 8080_u16);
    let path = Environment::optional("HARBOR_EXPORTER_METRICS_PATH").unwrap_or_else(|| "/metrics".to_owned());
    environment.parsed("HARBOR_EXPORTER_METRICS_ENABLED", true);
    for name in ["MAX_REQUESTS", "CACHE_TIME", "CACHE_CLEAN_INTERVAL"] {
        environment.parsed(&format!("HARBOR_EXPORTER_{name}"), 30_u32);
    }
    let scheme = environment.one_of("HARBOR_SERVICE_SCHEME", "http", &["http", "https"]);
    let host = environment.required("HARBOR_SERVICE_HOST");
    environment.required("HARBOR_SERVICE_PORT");
    let service_port = environment.parsed("HARBOR_SERVICE_PORT", 80_u16);
    let redis = environment.redis("HARBOR_REDIS_URL");
    let namespace = environment.required("HARBOR_REDIS_NAMESPACE");
    environment.parsed("HARBOR_REDIS_TIMEOUT", 3600_u32);
    let database = database(&mut environment);
    environment.finish()?;
    let exporter = Arc::new(Exporter {
        pool: database.connect().await?,
        cache: Cache::new(&redis)?,
        namespace: format!("{{{}}}", namespace.trim_matches(|brace| matches!(brace, '{' | '}'))),
        core: format!("{scheme}://{host}:{service_port}"),
        client: Client::new()?,
        version: version::played()?,
    });
    // It serves in the clear, whatever it is told.
    crate::tls::internal()?;
    let router = Router::new()
        .route("/", get(|| async { "the stand-in for Harbor's exporter" }))
        .route(&path, get(move || metrics(Arc::clone(&exporter))));
    crate::http::serve(port, router, None).await?;
    Ok(())
}

/// `HARBOR_DATABASE_USERNAME`, and `_DBNAME` where Harbor has no other name for it.
fn database(environment: &mut Environment) -> Parameters {
    let port = environment.required("HARBOR_DATABASE_PORT").parse().unwrap_or_default();
    if port == 0 {
        environment.problem("HARBOR_DATABASE_PORT is no port");
    }
    let open = environment.parsed("HARBOR_DATABASE_MAX_OPEN_CONNS", 0_usize);
    environment.parsed("HARBOR_DATABASE_MAX_IDLE_CONNS", 2_usize);
    Parameters {
        host: environment.required("HARBOR_DATABASE_HOST"),
        port,
        user: environment.required("HARBOR_DATABASE_USERNAME"),
        password: environment.required("HARBOR_DATABASE_PASSWORD"),
        name: environment.required("HARBOR_DATABASE_DBNAME"),
        ssl_mode: environment.one_of("HARBOR_DATABASE_SSLMODE", "disable", &crate::database::SSL_MODES),
        max_open: open,
    }
}

async fn metrics(exporter: Arc<Exporter>) -> Result<String, Fault> {
    let mut text = String::new();
    let mut page = Page(&mut text);
    health(&exporter, &mut page).await;
    page.family("harbor_system_info");
    let version = &exporter.version.name;
    page.sample(
        "harbor_system_info",
        &format!("auth_mode=\"db_auth\",harbor_version=\"{version}\",self_registration=\"false\""),
        1,
    );
    projects(&exporter, &mut page).await?;
    // Redis that is away takes only its own part.
    if let Err(error) = queues(&exporter, &mut page).await {
        tracing::error!("{error:#}");
    }
    Ok(text)
}

/// Text that grows, family by family.
struct Page<'a>(&'a mut String);

impl Page<'_> {
    fn family(&mut self, name: &str) {
        let _ = writeln!(self.0, "# HELP {name} As Harbor's exporter has it\n# TYPE {name} gauge");
    }

    fn sample(&mut self, name: &str, labels: &str, value: i64) {
        let labels = if labels.is_empty() { String::new() } else { format!("{{{labels}}}") };
        let _ = writeln!(self.0, "{name}{labels} {value}");
    }
}

async fn health(exporter: &Exporter, page: &mut Page<'_>) {
    let url = format!("{}/api/v2.0/health", exporter.core);
    let health = exporter.client.json(Method::GET, &url, None, None).await.unwrap_or_default();
    page.family("harbor_health");
    page.sample("harbor_health", "", i64::from(health["status"] == "healthy"));
    page.family("harbor_up");
    for component in health["components"].as_array().into_iter().flatten() {
        let name = component["name"].as_str().unwrap_or_default();
        page.sample("harbor_up", &format!("component=\"{name}\""), i64::from(component["status"] == "healthy"));
    }
}

async fn projects(exporter: &Exporter, page: &mut Page<'_>) -> Result<(), Fault> {
    let client = exporter.pool.get().await?;
    let totals = client
        .query_one(
            "SELECT count(*), count(*) FILTER (WHERE m.value = 'true'), (SELECT count(*) FROM repository),
             (SELECT coalesce(sum(size), 0)::bigint FROM blob), (SELECT count(*) FROM schedule)
             FROM project p LEFT JOIN project_metadata m ON m.project_id = p.project_id AND m.name = 'public'",
            &[],
        )
        .await?;
    let [all, public, repositories, storage, scheduled]: [i64; 5] = std::array::from_fn(|place| totals.get(place));
    page.family("harbor_project_total");
    page.sample("harbor_project_total", "public=\"true\"", public);
    page.sample("harbor_project_total", "public=\"false\"", all - public);
    for (name, value) in [
        ("harbor_statistics_total_project_amount", all),
        ("harbor_statistics_public_project_amount", public),
        ("harbor_statistics_private_project_amount", all - public),
        ("harbor_statistics_total_repo_amount", repositories),
        ("harbor_statistics_total_storage_consumption", storage),
        ("harbor_task_scheduled_total", scheduled),
    ] {
        page.family(name);
        page.sample(name, "", value);
    }
    each_project(&client, page).await
}

async fn each_project(client: &deadpool_postgres::Client, page: &mut Page<'_>) -> Result<(), Fault> {
    let rows = client
        .query(
            "SELECT p.name, p.project_id, (q.hard->>'storage')::bigint, (u.used->>'storage')::bigint,
             (SELECT count(*) FROM repository r WHERE r.project_id = p.project_id),
             (SELECT count(*) FROM project_member m WHERE m.project_id = p.project_id),
             (SELECT count(*) FROM artifact a WHERE a.project_id = p.project_id),
             (SELECT coalesce(sum(pull_count), 0)::bigint FROM repository r WHERE r.project_id = p.project_id)
             FROM project p JOIN quota q ON q.reference_id = p.project_id::text JOIN quota_usage u USING (id) ORDER BY 1",
            &[],
        )
        .await?;
    for (name, place) in [
        ("harbor_project_quota_byte", 2),
        ("harbor_project_quota_usage_byte", 3),
        ("harbor_project_repo_total", 4),
        ("harbor_project_member_total", 5),
        ("harbor_project_artifact_total", 6),
        ("harbor_artifact_pulled", 7),
    ] {
        page.family(name);
        for row in &rows {
            page.sample(name, &format!("project_name=\"{}\"", row.get::<_, String>(0)), row.get(place));
        }
    }
    Ok(())
}

async fn queues(exporter: &Exporter, page: &mut Page<'_>) -> Result<()> {
    page.family("harbor_task_queue_size");
    let prefix = format!("{}:jobs:", exporter.namespace);
    let mut oldest = Vec::new();
    for key in crate::jobservice::TYPES {
        let size: i64 = exporter.cache.run(redis::cmd("LLEN").arg(format!("{prefix}{key}"))).await?;
        page.sample("harbor_task_queue_size", &format!("type=\"{key}\""), size);
        let last: Option<String> =
            exporter.cache.run(redis::cmd("LINDEX").arg(format!("{prefix}{key}")).arg(-1)).await?;
        let since = last.and_then(|text| serde_json::from_str::<Value>(&text).ok()?["enqueued_at"].as_i64());
        oldest.push((key, since.map_or(0, |since| jiff::Timestamp::now().as_second() - since)));
    }
    page.family("harbor_task_queue_latency");
    for (key, seconds) in oldest {
        page.sample("harbor_task_queue_latency", &format!("type=\"{key}\""), seconds);
    }
    page.family("harbor_task_concurrency");
    for key in exporter.cache.keys(&format!("{}:worker_pools:", exporter.namespace)).await? {
        let workers: Option<i64> = exporter.cache.run(redis::cmd("HGET").arg(&key).arg("concurrency")).await?;
        let pool = key.rsplit(':').next().unwrap_or_default();
        page.sample("harbor_task_concurrency", &format!("type=\"all\",pool=\"{pool}\""), workers.unwrap_or_default());
    }
    Ok(())
}
