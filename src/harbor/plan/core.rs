//! Core: Harbor's API, and the Job that brings the database to a version with the same program. Pure.

use kube::api::DynamicObject;
use serde_json::{Value, json};

use super::{
    Context, encryption, outside,
    pods::{self, HARBOR_USER, Pod, object},
    settings::resources,
    volumes,
};
use crate::{
    api::{CoreComponent, Resources, StorageKind},
    harbor::{
        credentials::{
            ADMIN_PASSWORD, CORE_SECRET, CSRF_KEY, JOBSERVICE_SECRET, REGISTRY_PASSWORD, REGISTRY_USER, SECRET_KEY,
            TOKEN_KEY,
        },
        names::{self, Component, HTTP, METRICS, REGISTRY},
    },
};

/// The keys of the Secret with URLs and passwords.
pub(super) const DATABASE_PASSWORD: &str = "databasePassword";
pub(super) const REDIS_CORE: &str = "redisUrlCore";
pub(super) const REDIS_REGISTRY: &str = "redisUrlRegistry";
pub(super) const REDIS_JOBSERVICE: &str = "redisUrlJobservice";
pub(super) const REDIS_TRIVY: &str = "redisUrlTrivy";
pub(super) const REDIS_PASSWORD: &str = "redisPassword";

/// How many connections a pod keeps while nothing asks.
const IDLE: i32 = 5;
/// The file that beego reads; all else is in the environment.
const FILE: &str = "app.conf";
const CONTENT: &str = "appname = Harbor\nrunmode = prod\nenablegzip = true\n\n[prod]\nhttpport = 8080\n";

/// The Secret with the URLs and passwords of database and cache, which the environment of pods refers to.
pub(super) fn connections(context: &Context<'_>) -> DynamicObject {
    let texts = connection_texts(context);
    let texts: Vec<(&str, &str)> = texts.iter().map(|(key, text)| (*key, text.as_str())).collect();
    pods::secret_object(&names::connections(context.name), &texts)
}

fn connection_texts(context: &Context<'_>) -> [(&'static str, String); 6] {
    let cache = &context.references.cache;
    let databases = cache.databases.unwrap_or_default();
    [
        (DATABASE_PASSWORD, context.references.database.password.clone()),
        (REDIS_CORE, cache.url(databases.core)),
        (REDIS_JOBSERVICE, cache.url(databases.jobservice)),
        (REDIS_PASSWORD, cache.password.clone().unwrap_or_default()),
        (REDIS_REGISTRY, cache.url(databases.registry)),
        (REDIS_TRIVY, cache.url(databases.trivy)),
    ]
}

/// A hash over some of that Secret, for those who refer to them.
pub(super) fn connection_hash(context: &Context<'_>, keys: &[&str]) -> String {
    let texts = connection_texts(context);
    names::hash(texts.iter().filter(|(key, _)| keys.contains(key)).map(|(key, text)| (*key, text.as_str())))
}

fn asked(context: &Context<'_>) -> CoreComponent {
    context.settings.components.core.clone().unwrap_or_default()
}

fn sized(context: &Context<'_>) -> Resources {
    resources(asked(context).resources.as_ref(), ("100m", "256Mi"), ("1", "1Gi"))
}

fn image(context: &Context<'_>, version: &str) -> String {
    context.image(asked(context).image.as_ref(), "harbor-core", version)
}

/// Core, with its configuration and its Service.
pub(super) fn objects(context: &Context<'_>) -> Vec<DynamicObject> {
    let mut container = program(context, &["/harbor/harbor_core"], context.version);
    container["ports"] = json!([
        encryption::port(context, "http", HTTP),
        { "name": "metrics", "containerPort": METRICS, "protocol": "TCP" },
    ]);
    container["startupProbe"] = encryption::probe(context, "/api/v2.0/ping", HTTP, 1, 360);
    container["livenessProbe"] = encryption::probe(context, "/api/v2.0/ping", HTTP, 10, 6);
    container["readinessProbe"] = encryption::probe(context, "/api/v2.0/ping", HTTP, 5, 3);
    let pod = pod(context, Component::Core, container);
    vec![
        encryption::service(context, Component::Core, &[("http", 80, HTTP), ("metrics", METRICS, METRICS)]),
        pods::deployment(context, context.settings.core_replicas(), false, &pod),
    ]
}

/// What core and the Job read from a file.
pub(super) fn configuration(context: &Context<'_>) -> DynamicObject {
    pods::config_map_object(&names::child(context.name, Component::Core), &[(FILE, CONTENT)])
}

/// What the Job of a migration is called: a template can't be changed, so another one is another Job. Of two that run
/// at the same time one waits for the other, at a lock in the database.
pub(super) fn migration(context: &Context<'_>) -> String {
    let template = migration_template(context).to_string();
    let hash = names::hash([("template", template.as_str())]);
    format!("{}-{}", names::child(context.name, Component::Migrate), &hash[..8])
}

/// The Job that brings the database to the wanted version, and ends.
pub(super) fn migrate(context: &Context<'_>) -> DynamicObject {
    object(json!({
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": { "name": migration(context) },
        // No deadline: a migration that is cut off leaves the database dirty.
        "spec": { "backoffLimit": 2, "template": migration_template(context) },
    }))
}

fn migration_template(context: &Context<'_>) -> Value {
    // It calls nobody but database and cache.
    let context = &Context { certificates: None, ..*context };
    let container = program(context, &["/harbor/harbor_core", "-mode=migrate"], &context.settings.version);
    let mut template = pod(context, Component::Migrate, container).template(context);
    template["spec"]["restartPolicy"] = json!("Never");
    template
}

fn pod(context: &Context<'_>, component: Component, container: Value) -> Pod {
    let credentials = context.credentials;
    let connections = connection_hash(context, &[DATABASE_PASSWORD, REDIS_CORE, REDIS_REGISTRY]);
    let mut parts = vec![(FILE, CONTENT), ("connections", connections.as_str())];
    // The administrator's password counts at the first start alone.
    let keys = [CORE_SECRET, CSRF_KEY, JOBSERVICE_SECRET, REGISTRY_PASSWORD, SECRET_KEY, TOKEN_KEY];
    parts.extend(keys.map(|key| (key, credentials.get(key))));
    parts.push(("trusted", &context.references.trusted));
    encryption::hash(context, component, &mut parts);
    let items = [(SECRET_KEY, "key"), (TOKEN_KEY, "private_key.pem")];
    Pod {
        component,
        user: HARBOR_USER,
        hash: names::hash(parts),
        volumes: outside::volumes(
            context,
            component,
            vec![
                volumes::config_map("configuration", &names::child(context.name, Component::Core)),
                volumes::secret("keys", &names::credentials(context.name), &items),
                pods::empty("token", "16Mi"),
                pods::empty("tmp", "1Gi"),
            ],
        ),
        containers: vec![container],
    }
}

/// The program with its environment and files. Its working directory is the image's: migrations are looked for
/// from there.
fn program(context: &Context<'_>, command: &[&str], version: &str) -> Value {
    let mut container = pods::container("core", &image(context, version), command, &sized(context));
    container["env"] = json!(environment(context));
    container["volumeMounts"] = json!(outside::mounts(
        context,
        Component::Core,
        vec![
            pods::file("configuration", "/etc/core/app.conf", FILE),
            pods::file("keys", "/etc/core/key", "key"),
            pods::file("keys", "/etc/core/private_key.pem", "private_key.pem"),
            pods::mount("token", "/etc/core/token"),
            pods::mount("tmp", "/tmp"),
        ],
    ));
    container
}

fn environment(context: &Context<'_>) -> Vec<Value> {
    let mut environment = vec![
        pods::plain("CONFIG_PATH", "/etc/core/app.conf"),
        pods::plain("PORT", encryption::listen(context, HTTP).to_string()),
        pods::plain("LOG_LEVEL", outside::log_level(context)),
        pods::plain("EXT_ENDPOINT", context.settings.url.text.as_str()),
    ];
    environment.extend(servers(context));
    environment.extend(others(context));
    environment.extend(secrets(context));
    environment.extend([
        pods::plain("PERMITTED_REGISTRY_TYPES_FOR_PROXY_CACHE", PROXY_CACHES),
        // Without it Harbor offers no kind of registry to replicate with, nor to be a cache of.
        pods::plain("REPLICATION_ADAPTER_WHITELIST", REPLICATION_ADAPTERS),
        pods::plain("QUOTA_UPDATE_PROVIDER", "db"),
        pods::plain("METRIC_ENABLE", "true"),
        pods::plain("METRIC_PATH", "/metrics"),
        pods::plain("METRIC_PORT", METRICS.to_string()),
        pods::plain("METRIC_NAMESPACE", "harbor"),
        pods::plain("METRIC_SUBSYSTEM", "core"),
    ]);
    outside::environment(context, Component::Core, &mut environment);
    environment
}

/// Where database and cache are.
fn servers(context: &Context<'_>) -> [Value; 13] {
    let database = &context.references.database;
    let connections = names::connections(context.name);
    [
        pods::plain("DATABASE_TYPE", "postgresql"),
        pods::plain("POSTGRESQL_HOST", database.host.as_str()),
        pods::plain("POSTGRESQL_PORT", database.port.to_string()),
        pods::plain("POSTGRESQL_USERNAME", database.user.as_str()),
        pods::secret("POSTGRESQL_PASSWORD", &connections, DATABASE_PASSWORD),
        pods::plain("POSTGRESQL_DATABASE", database.database.as_str()),
        pods::plain("POSTGRESQL_SSLMODE", database.ssl_word()),
        pods::plain("POSTGRESQL_MAX_IDLE_CONNS", IDLE.min(context.per_pod).to_string()),
        pods::plain("POSTGRESQL_MAX_OPEN_CONNS", context.per_pod.to_string()),
        pods::plain("POSTGRESQL_CONN_MAX_LIFETIME", "5m"),
        pods::plain("POSTGRESQL_CONN_MAX_IDLE_TIME", "5m"),
        pods::secret("_REDIS_URL_CORE", &connections, REDIS_CORE),
        pods::secret("_REDIS_URL_REG", &connections, REDIS_REGISTRY),
    ]
}

/// Where Harbor's other programs are.
fn others(context: &Context<'_>) -> Vec<Value> {
    let at = |component: Component, port: u16| encryption::url(context, component, port);
    let scheme = if context.certificates.is_some() { "https" } else { "http" };
    let core = at(Component::Core, 80);
    let trivy = context.settings.components.trivy.is_some();
    let mut others = vec![
        pods::plain("CORE_URL", core.as_str()),
        pods::plain("CORE_LOCAL_URL", format!("{scheme}://127.0.0.1:{}", encryption::listen(context, HTTP))),
        pods::plain("TOKEN_SERVICE_URL", format!("{core}/service/token")),
        pods::plain("JOBSERVICE_URL", at(Component::JobService, 80)),
        pods::plain("REGISTRY_URL", at(Component::Registry, REGISTRY)),
        pods::plain("REGISTRY_CONTROLLER_URL", at(Component::Registry, HTTP)),
        pods::plain("PORTAL_URL", at(Component::Portal, 80)),
        pods::plain("WITH_TRIVY", trivy.to_string()),
    ];
    if trivy {
        others.push(pods::plain("TRIVY_ADAPTER_URL", at(Component::Trivy, HTTP)));
    }
    others
}

/// What they know each other by.
fn secrets(context: &Context<'_>) -> [Value; 7] {
    let credentials = names::credentials(context.name);
    let provider = match context.settings.storage.kind {
        StorageKind::Filesystem => "filesystem",
        StorageKind::S3 => "s3",
        StorageKind::Swift => "swift",
    };
    [
        pods::plain("REGISTRY_STORAGE_PROVIDER_NAME", provider),
        pods::plain("REGISTRY_CREDENTIAL_USERNAME", REGISTRY_USER),
        pods::secret("REGISTRY_CREDENTIAL_PASSWORD", &credentials, REGISTRY_PASSWORD),
        pods::secret("CORE_SECRET", &credentials, CORE_SECRET),
        pods::secret("JOBSERVICE_SECRET", &credentials, JOBSERVICE_SECRET),
        pods::secret("CSRF_KEY", &credentials, CSRF_KEY),
        pods::secret("HARBOR_ADMIN_PASSWORD", &credentials, ADMIN_PASSWORD),
    ]
}

/// The kinds of registry that Harbor replicates with: those of its installer, and Quay, which may be a cache.
const REPLICATION_ADAPTERS: &str = concat!(
    "ali-acr,aws-ecr,azure-acr,docker-hub,docker-registry,github-ghcr,google-gcr,harbor,huawei-SWR,jfrog-artifactory,",
    "quay,tencent-tcr,volcengine-cr"
);
/// The kinds of registry that Harbor can stand in front of.
const PROXY_CACHES: &str =
    "docker-hub,harbor,azure-acr,ali-acr,aws-ecr,google-gcr,docker-registry,github-ghcr,jfrog-artifactory,quay";
