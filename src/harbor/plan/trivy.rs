//! The scanner for vulnerabilities. Pure.

use kube::api::DynamicObject;
use serde_json::json;

use super::{
    Context, core, encryption, outside,
    pods::{self, HARBOR_USER, Pod},
    settings::resources,
};
use crate::harbor::names::{self, Component, HTTP};

/// Where it keeps what it knows.
const FOLDER: &str = "/home/scanner/.cache";

/// The scanner and its Service; none where it is not asked for.
pub(super) fn objects(context: &Context<'_>) -> Vec<DynamicObject> {
    let Some(asked) = context.settings.components.trivy.clone() else { return vec![] };
    let resources = resources(asked.resources.as_ref(), ("100m", "256Mi"), ("1", "1Gi"));
    let image = context.image(asked.image.as_ref(), "trivy-adapter-photon", context.version);
    let connections = names::connections(context.name);
    let redis = |name: &str| pods::secret(name, &connections, core::REDIS_TRIVY);
    let mut environment = vec![
        pods::plain("SCANNER_API_SERVER_ADDR", format!(":{}", encryption::listen(context, HTTP))),
        pods::plain("SCANNER_LOG_LEVEL", outside::log_level(context)),
        redis("SCANNER_REDIS_URL"),
        redis("SCANNER_STORE_REDIS_URL"),
        redis("SCANNER_JOB_QUEUE_REDIS_URL"),
        pods::plain("SCANNER_STORE_REDIS_NAMESPACE", "harbor.scanner.trivy:store"),
        pods::plain("SCANNER_JOB_QUEUE_REDIS_NAMESPACE", "harbor.scanner.trivy:job-queue"),
        pods::plain("SCANNER_JOB_QUEUE_WORKER_CONCURRENCY", "1"),
        pods::plain("SCANNER_TRIVY_CACHE_DIR", format!("{FOLDER}/trivy")),
        pods::plain("SCANNER_TRIVY_REPORTS_DIR", format!("{FOLDER}/reports")),
        pods::plain("SCANNER_TRIVY_VULN_TYPE", "os,library"),
        pods::plain("SCANNER_TRIVY_SEVERITY", "UNKNOWN,LOW,MEDIUM,HIGH,CRITICAL"),
        pods::plain("SCANNER_TRIVY_IGNORE_UNFIXED", asked.ignore_unfixed.to_string()),
        pods::plain("SCANNER_TRIVY_SKIP_UPDATE", asked.offline.to_string()),
        pods::plain("SCANNER_TRIVY_SKIP_JAVA_DB_UPDATE", asked.offline.to_string()),
        pods::plain("SCANNER_TRIVY_OFFLINE_SCAN", asked.offline.to_string()),
        pods::plain("SCANNER_TRIVY_TIMEOUT", "10m"),
    ];
    if context.certificates.is_some() {
        let folder = encryption::folder(Component::Trivy);
        environment.push(pods::plain("SCANNER_API_SERVER_TLS_CERTIFICATE", format!("{folder}/tls.crt")));
        environment.push(pods::plain("SCANNER_API_SERVER_TLS_KEY", format!("{folder}/tls.key")));
    }
    outside::environment(context, Component::Trivy, &mut environment);
    let command = ["/home/scanner/bin/scanner-trivy"];
    let mut container = pods::container("trivy", &image, &command, &resources);
    container["env"] = json!(environment);
    container["ports"] = json!([encryption::port(context, "http", HTTP)]);
    container["startupProbe"] = encryption::probe(context, "/probe/healthy", HTTP, 1, 300);
    container["livenessProbe"] = encryption::probe(context, "/probe/healthy", HTTP, 10, 6);
    container["readinessProbe"] = encryption::probe(context, "/probe/ready", HTTP, 10, 3);
    container["volumeMounts"] = json!(outside::mounts(
        context,
        Component::Trivy,
        vec![pods::mount("cache", FOLDER), pods::mount("tmp", "/tmp")]
    ));
    let connections = core::connection_hash(context, &[core::REDIS_TRIVY]);
    let mut parts = vec![("connections", connections.as_str()), ("trusted", &context.references.trusted)];
    encryption::hash(context, Component::Trivy, &mut parts);
    let pod = Pod {
        component: Component::Trivy,
        user: HARBOR_USER,
        hash: names::hash(parts),
        volumes: outside::volumes(
            context,
            Component::Trivy,
            vec![pods::empty("cache", asked.cache_size.as_deref().unwrap_or("5Gi")), pods::empty("tmp", "2Gi")],
        ),
        containers: vec![container],
    };
    vec![
        encryption::service(context, Component::Trivy, &[("http", HTTP, HTTP)]),
        pods::deployment(context, asked.replicas.unwrap_or(1), false, &pod),
    ]
}
