//! Harbor's Trivy adapter: its probes and its metadata. It scans nothing.

use std::sync::Arc;

use axum::Router;
use axum::response::IntoResponse;
use axum::routing::get;
use hyper::StatusCode;
use serde_json::json;

use crate::answer::{Answer, ok};
use crate::cache::Cache;
use crate::environment::{Environment, Refusal};

pub(crate) async fn run() -> Result<(), Refusal> {
    let mut environment = Environment::default();
    let address = Environment::optional("SCANNER_API_SERVER_ADDR").unwrap_or_else(|| ":8080".to_owned());
    let port = address.rsplit_once(':').and_then(|(_, port)| port.parse::<u16>().ok()).unwrap_or_default();
    if port == 0 {
        environment.problem(format!("SCANNER_API_SERVER_ADDR is ill-formed: {address:?}"));
    }
    let url = environment.redis("SCANNER_REDIS_URL");
    for name in ["SCANNER_STORE_REDIS_URL", "SCANNER_JOB_QUEUE_REDIS_URL"] {
        environment.redis(name);
    }
    environment.parsed("SCANNER_JOB_QUEUE_WORKER_CONCURRENCY", 1_u32);
    for name in ["CACHE_DIR", "REPORTS_DIR"] {
        let folder = Environment::optional(&format!("SCANNER_TRIVY_{name}")).unwrap_or_else(|| {
            let last = if name == "CACHE_DIR" { "trivy" } else { "reports" };
            format!("/home/scanner/.cache/{last}")
        });
        if let Err(error) = std::fs::create_dir_all(&folder) {
            environment.problem(format!("{folder}: {error}"));
        }
    }
    environment.finish()?;
    let tls = match ["SCANNER_API_SERVER_TLS_CERTIFICATE", "SCANNER_API_SERVER_TLS_KEY"].map(Environment::optional) {
        [Some(certificate), Some(key)] => Some(crate::tls::server(&certificate, &key)?),
        [None, None] => None,
        _ => return Err(Refusal::new("SCANNER_API_SERVER_TLS_CERTIFICATE and SCANNER_API_SERVER_TLS_KEY go together")),
    };
    let cache = Arc::new(Cache::new(&url)?);
    let router = Router::new()
        .route("/probe/healthy", get(|| async { StatusCode::OK }))
        .route("/probe/ready", get(move || ready(Arc::clone(&cache))))
        .route("/api/v1/metadata", get(metadata))
        .route("/metrics", get(|| async { "# TYPE scanner_trivy_up gauge\nscanner_trivy_up 1\n" }));
    crate::http::serve(port, router, tls).await?;
    Ok(())
}

async fn ready(cache: Arc<Cache>) -> Answer {
    match cache.ping().await {
        Ok(()) => Ok(StatusCode::OK.into_response()),
        Err(error) => Ok((StatusCode::SERVICE_UNAVAILABLE, format!("{error:#}")).into_response()),
    }
}

async fn metadata() -> Answer {
    ok(json!({
        "scanner": {"name": "Trivy", "vendor": "stand-in", "version": "0.0.0"},
        "capabilities": [{
            "consumes_mime_types": ["application/vnd.oci.image.manifest.v1+json",
                "application/vnd.docker.distribution.manifest.v2+json"],
            "produces_mime_types": ["application/vnd.security.vulnerability.report; version=1.1"],
        }],
        "properties": {"harbor.scanner-adapter/scanner-type": "os-package-vulnerability"},
    }))
}
