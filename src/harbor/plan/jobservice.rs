//! Jobservice: what Harbor does by itself. Pure.

use kube::api::DynamicObject;
use serde_json::json;

use super::{
    Context, core, encryption, outside,
    pods::{self, HARBOR_USER, Pod},
    settings::resources,
    volumes,
};
use crate::harbor::{
    credentials::{CORE_SECRET, JOBSERVICE_SECRET, REGISTRY_PASSWORD, REGISTRY_USER},
    names::{self, Component, HTTP, METRICS, REGISTRY},
};

const FILE: &str = "config.yml";
/// How many jobs a pod does at the same time.
const WORKERS: i32 = 10;

/// Jobservice, with its configuration and its Service.
pub(super) fn objects(context: &Context<'_>) -> Vec<DynamicObject> {
    let asked = context.settings.components.jobservice.clone().unwrap_or_default();
    let resources = resources(asked.resources.as_ref(), ("100m", "128Mi"), ("1", "512Mi"));
    let image = context.image(asked.image.as_ref(), "harbor-jobservice", context.version);
    let configuration = configuration(context, asked.workers.unwrap_or(WORKERS));
    let name = names::child(context.name, Component::JobService);
    let command = ["/harbor/harbor_jobservice", "-c", "/etc/jobservice/config.yml"];
    let mut container = pods::container("jobservice", &image, &command, &resources);
    container["env"] = json!(environment(context));
    container["ports"] = json!([
        encryption::port(context, "http", HTTP),
        { "name": "metrics", "containerPort": METRICS, "protocol": "TCP" },
    ]);
    container["startupProbe"] = encryption::probe(context, "/api/v1/stats", HTTP, 1, 300);
    container["livenessProbe"] = encryption::probe(context, "/api/v1/stats", HTTP, 10, 6);
    container["readinessProbe"] = encryption::probe(context, "/api/v1/stats", HTTP, 10, 3);
    container["volumeMounts"] = json!(outside::mounts(
        context,
        Component::JobService,
        vec![
            pods::file("configuration", "/etc/jobservice/config.yml", FILE),
            pods::mount("jobs", "/var/log/jobs"),
            pods::mount("tmp", "/tmp"),
        ],
    ));
    let (credentials, references) = (context.credentials, context.references);
    // Core tells jobservice where the database is, and how much of it there is; jobservice asks when it starts.
    let database = format!("{:?} {} {}", references.database, references.database.ssl_word(), context.per_pod);
    let connections = core::connection_hash(context, &[core::DATABASE_PASSWORD]);
    let mut parts = vec![(FILE, configuration.as_str()), ("database", &database), ("connections", &connections)];
    parts.push(("trusted", &references.trusted));
    parts.extend([CORE_SECRET, JOBSERVICE_SECRET, REGISTRY_PASSWORD].map(|key| (key, credentials.get(key))));
    encryption::hash(context, Component::JobService, &mut parts);
    let pod = Pod {
        component: Component::JobService,
        user: HARBOR_USER,
        hash: names::hash(parts),
        volumes: outside::volumes(
            context,
            Component::JobService,
            vec![
                volumes::secret("configuration", &name, &[(FILE, FILE)]),
                pods::empty("jobs", "1Gi"),
                pods::empty("tmp", "1Gi"),
            ],
        ),
        containers: vec![container],
    };
    vec![
        pods::secret_object(&name, &[(FILE, &configuration)]),
        encryption::service(context, Component::JobService, &[("http", 80, HTTP), ("metrics", METRICS, METRICS)]),
        pods::deployment(context, context.settings.jobservice_replicas(), false, &pod),
    ]
}

fn environment(context: &Context<'_>) -> Vec<serde_json::Value> {
    let at = |component: Component, port: u16| encryption::url(context, component, port);
    let credentials = names::credentials(context.name);
    let mut environment = vec![
        pods::plain("CORE_URL", at(Component::Core, 80)),
        pods::plain("TOKEN_SERVICE_URL", format!("{}/service/token", at(Component::Core, 80))),
        pods::plain("REGISTRY_URL", at(Component::Registry, REGISTRY)),
        pods::plain("REGISTRY_CONTROLLER_URL", at(Component::Registry, HTTP)),
        pods::plain("REGISTRY_CREDENTIAL_USERNAME", REGISTRY_USER),
        pods::secret("REGISTRY_CREDENTIAL_PASSWORD", &credentials, REGISTRY_PASSWORD),
        pods::secret("CORE_SECRET", &credentials, CORE_SECRET),
        pods::secret("JOBSERVICE_SECRET", &credentials, JOBSERVICE_SECRET),
        pods::plain("JOBSERVICE_WEBHOOK_JOB_MAX_RETRY", "3"),
        pods::plain("JOBSERVICE_WEBHOOK_JOB_HTTP_CLIENT_TIMEOUT", "3"),
        pods::plain("METRIC_NAMESPACE", "harbor"),
        pods::plain("METRIC_SUBSYSTEM", "jobservice"),
    ];
    outside::environment(context, Component::JobService, &mut environment);
    environment
}

/// What jobs say goes into the database, where every pod finds it.
fn configuration(context: &Context<'_>, workers: i32) -> String {
    let cache = &context.references.cache;
    let url = cache.url(cache.databases.unwrap_or_default().jobservice);
    let level = outside::log_level(context).to_uppercase();
    let port = encryption::listen(context, HTTP);
    let listen = if context.certificates.is_some() {
        let folder = encryption::folder(Component::JobService);
        format!("protocol: https\nport: {port}\nhttps_config:\n  cert: {folder}/tls.crt\n  key: {folder}/tls.key")
    } else {
        format!("protocol: http\nport: {port}")
    };
    format!(
        "{listen}
worker_pool:
  workers: {workers}
  backend: redis
  redis_pool:
    redis_url: \"{url}\"
    namespace: {NAMESPACE}
    idle_timeout_second: 3600
job_loggers:
- name: DB
  level: {level}
  sweeper:
    duration: 14
loggers:
- name: STD_OUTPUT
  level: {level}
metric:
  enabled: true
  path: /metrics
  port: {METRICS}
reaper:
  max_update_hours: 24
  max_dangling_hours: 168
"
    )
}

/// What all keys of the queue begin with.
pub(super) const NAMESPACE: &str = "harbor_job_service_namespace";

/// The metrics of the registry as a whole.
pub(super) fn exporter(context: &Context<'_>) -> Vec<DynamicObject> {
    let asked = context.settings.components.exporter.clone().unwrap_or_default();
    let resources = resources(asked.resources.as_ref(), ("10m", "32Mi"), ("200m", "128Mi"));
    let image = context.image(asked.image.as_ref(), "harbor-exporter", context.version);
    let database = &context.references.database;
    let connections = names::connections(context.name);
    let mut container = pods::container("exporter", &image, &["/harbor/harbor_exporter"], &resources);
    let mut environment = vec![
        pods::plain("HARBOR_EXPORTER_PORT", METRICS.to_string()),
        pods::plain("HARBOR_EXPORTER_METRICS_PATH", "/metrics"),
        pods::plain("HARBOR_EXPORTER_METRICS_ENABLED", "true"),
        pods::plain("HARBOR_EXPORTER_MAX_REQUESTS", "30"),
        pods::plain("HARBOR_EXPORTER_CACHE_TIME", "60"),
        pods::plain("HARBOR_EXPORTER_CACHE_CLEAN_INTERVAL", "14400"),
        pods::plain("HARBOR_METRIC_NAMESPACE", "harbor"),
        pods::plain("HARBOR_METRIC_SUBSYSTEM", "exporter"),
        pods::plain("HARBOR_SERVICE_SCHEME", if context.certificates.is_some() { "https" } else { "http" }),
        pods::plain("HARBOR_SERVICE_HOST", names::child(context.name, Component::Core)),
        pods::plain("HARBOR_SERVICE_PORT", encryption::listen(context, 80).to_string()),
        pods::secret("HARBOR_REDIS_URL", &connections, core::REDIS_JOBSERVICE),
        pods::plain("HARBOR_REDIS_NAMESPACE", NAMESPACE),
        pods::plain("HARBOR_REDIS_TIMEOUT", "3600"),
        pods::plain("HARBOR_DATABASE_HOST", database.host.as_str()),
        pods::plain("HARBOR_DATABASE_PORT", database.port.to_string()),
        pods::plain("HARBOR_DATABASE_USERNAME", database.user.as_str()),
        pods::secret("HARBOR_DATABASE_PASSWORD", &connections, core::DATABASE_PASSWORD),
        pods::plain("HARBOR_DATABASE_DBNAME", database.database.as_str()),
        pods::plain("HARBOR_DATABASE_SSLMODE", database.ssl_word()),
        pods::plain("HARBOR_DATABASE_MAX_IDLE_CONNS", "1"),
        pods::plain("HARBOR_DATABASE_MAX_OPEN_CONNS", context.per_pod.to_string()),
    ];
    outside::trust(context, Component::Exporter, &mut environment);
    container["env"] = json!(environment);
    container["ports"] = json!([{ "name": "metrics", "containerPort": METRICS, "protocol": "TCP" }]);
    container["startupProbe"] = pods::http_probe("/", METRICS, 1, 300);
    container["livenessProbe"] = pods::http_probe("/", METRICS, 10, 6);
    container["readinessProbe"] = pods::http_probe("/", METRICS, 10, 3);
    container["volumeMounts"] = json!(outside::mounts(context, Component::Exporter, vec![pods::mount("tmp", "/tmp")]));
    let connections = core::connection_hash(context, &[core::DATABASE_PASSWORD, core::REDIS_JOBSERVICE]);
    let mut parts = vec![("connections", connections.as_str()), ("trusted", &context.references.trusted)];
    encryption::hash(context, Component::Exporter, &mut parts);
    let pod = Pod {
        component: Component::Exporter,
        user: HARBOR_USER,
        hash: names::hash(parts),
        volumes: outside::volumes(context, Component::Exporter, vec![pods::empty("tmp", "64Mi")]),
        containers: vec![container],
    };
    vec![
        pods::service(context, Component::Exporter, &[("metrics", METRICS, METRICS)]),
        pods::deployment(context, 1, false, &pod),
    ]
}
