//! The exporter and the Trivy adapter.

use hyper::{Method, StatusCode};

use crate::api::Api;
use crate::ground::DATABASE_PASSWORD;
use crate::harbor::{Environment, Harbor, PASSWORD, start};
use crate::image::Image;
use crate::process::free_port;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_exporter_tells_of_projects_queues_and_health() {
    let mut harbor = Harbor::start().await;
    harbor.project("team", 1_000_000).await;
    let image = Image::new(&harbor.ground.directory, 1, 10_000);
    image.push(&harbor, &format!("admin:{PASSWORD}"), "team/hello:1").expect("a push");
    let (port, ports) = (free_port(), &harbor.ground.ports);
    let environment = Environment::from([
        ("HARBOR_EXPORTER_PORT", port.to_string()),
        ("HARBOR_SERVICE_SCHEME", "http".to_owned()),
        ("HARBOR_SERVICE_HOST", "127.0.0.1".to_owned()),
        ("HARBOR_SERVICE_PORT", ports.core.to_string()),
        ("HARBOR_REDIS_URL", harbor.ground.redis_url(2)),
        ("HARBOR_REDIS_NAMESPACE", "harbor_job_service_namespace".to_owned()),
        ("HARBOR_DATABASE_HOST", "127.0.0.1".to_owned()),
        ("HARBOR_DATABASE_PORT", ports.postgresql.to_string()),
        ("HARBOR_DATABASE_USERNAME", "postgres".to_owned()),
        ("HARBOR_DATABASE_PASSWORD", DATABASE_PASSWORD.to_owned()),
        ("HARBOR_DATABASE_DBNAME", "registry".to_owned()),
        ("HARBOR_DATABASE_SSLMODE", "disable".to_owned()),
    ]);
    let mut without = environment.clone();
    without.remove("HARBOR_REDIS_URL");
    let mut refused = start(&harbor.ground, "harbor_exporter", &[], &without);
    assert_eq!(refused.ends().await, 1);
    assert!(refused.log().contains("HARBOR_REDIS_URL is not set"));

    let mut exporter = start(&harbor.ground, "harbor_exporter", &[], &environment);
    exporter.listens(port).await;
    let api = Api::anonymous(&format!("http://127.0.0.1:{port}"));
    let (_, _, text) = api.raw(Method::GET, "/metrics", None).await;
    for sample in [
        "harbor_health 1",
        "harbor_up{component=\"registry\"} 1",
        "harbor_project_quota_byte{project_name=\"team\"} 1000000",
        "harbor_project_artifact_total{project_name=\"team\"",
        "harbor_task_queue_size{type=\"GARBAGE_COLLECTION\"} 0",
        "harbor_task_concurrency{type=\"all\",pool=",
        "harbor_statistics_",
    ] {
        assert!(text.contains(sample), "{sample}\n{text}");
    }
    harbor.ground.registry = None;
    harbor.is("unhealthy", None).await;
    let (_, _, text) = api.raw(Method::GET, "/metrics", None).await;
    assert!(text.contains("harbor_health 0") && text.contains("harbor_up{component=\"registry\"} 0"), "{text}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_trivy_adapter_is_ready_with_redis_alone() {
    let mut ground = crate::ground::Ground::without_registry().await;
    let port = free_port();
    let environment = Environment::from([
        ("SCANNER_API_SERVER_ADDR", format!(":{port}")),
        ("SCANNER_REDIS_URL", ground.redis_url(5)),
        ("SCANNER_STORE_REDIS_URL", ground.redis_url(5)),
        ("SCANNER_JOB_QUEUE_REDIS_URL", ground.redis_url(5)),
        ("SCANNER_TRIVY_CACHE_DIR", ground.directory.text("trivy")),
        ("SCANNER_TRIVY_REPORTS_DIR", ground.directory.text("reports")),
    ]);
    let mut trivy = start(&ground, "scanner-trivy", &[], &environment);
    trivy.listens(port).await;
    let api = Api::anonymous(&format!("http://127.0.0.1:{port}"));
    assert_eq!(api.raw(Method::GET, "/probe/ready", None).await.0, StatusCode::OK);
    ground.redis = None;
    assert_eq!(api.raw(Method::GET, "/probe/ready", None).await.0, StatusCode::SERVICE_UNAVAILABLE);
    assert_eq!(api.raw(Method::GET, "/probe/healthy", None).await.0, StatusCode::OK);
}
