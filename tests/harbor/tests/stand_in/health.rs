//! What `/health` tells of those that are away: always with 200, and truly.

use hyper::{Method, StatusCode};

use crate::api::Api;
use crate::ground::Ground;
use crate::harbor::{Environment, Harbor, core_environment, start};
use crate::process::free_port;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn health_tells_who_is_dead_and_who_came_back() {
    let mut harbor = Harbor::start().await;
    harbor.ground.redis = None;
    harbor.ails("redis", "Redis: ").await;
    harbor.is("unhealthy", Some("jobservice")).await;
    harbor.is("healthy", Some("database")).await;
    harbor.is("unhealthy", None).await;
    let (status, _, pong) = Api::anonymous(&harbor.url()).raw(Method::GET, "/api/v2.0/ping", None).await;
    assert_eq!((status, pong.as_str()), (StatusCode::OK, "Pong"), "a constant, whatever is dead");
    harbor.ground.start_redis().await;
    harbor.is("healthy", None).await;

    harbor.ground.registry = None;
    harbor.is("unhealthy", Some("registry")).await;
    harbor.is("healthy", Some("registryctl")).await;
    assert_eq!(harbor.core.terminate().await, 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn core_starts_without_redis_and_is_well_once_it_is_there() {
    let mut ground = Ground::new().await;
    ground.redis = None;
    let mut harbor = Harbor::start_on(ground, |_| {}).await;
    harbor.is("unhealthy", Some("redis")).await;
    harbor.ground.start_redis().await;
    harbor.is("healthy", None).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn health_tells_of_wrong_passwords() {
    let ground = Ground::new().await;
    let harbor = Harbor::start_on(ground, |environment| {
        environment.insert("REGISTRY_CREDENTIAL_PASSWORD", "another-password-of-32-character".to_owned());
        let url = environment["_REDIS_URL_CORE"].replace("cache-Password-0", "wrong");
        environment.insert("_REDIS_URL_CORE", url);
    })
    .await;
    harbor.ails("registry", "401").await;
    harbor.ails("redis", "Authentication").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_component_by_tls_is_well_for_those_who_trust_its_authority() {
    let ground = Ground::new().await;
    let made = rcgen::generate_simple_self_signed(["127.0.0.1".to_owned()]).expect("a certificate");
    ground.directory.folder("authorities");
    ground.directory.write("authorities/own.pem", &made.cert.pem());
    let port = free_port();
    let mut environment = Environment::from([
        ("SCANNER_API_SERVER_ADDR", format!(":{port}")),
        ("SCANNER_API_SERVER_TLS_CERTIFICATE", ground.directory.text("authorities/own.pem")),
        ("SCANNER_API_SERVER_TLS_KEY", ground.directory.write("tls.key", &made.signing_key.serialize_pem())),
        ("SCANNER_TRIVY_CACHE_DIR", ground.directory.text("trivy")),
        ("SCANNER_TRIVY_REPORTS_DIR", ground.directory.text("reports")),
    ]);
    for name in ["SCANNER_REDIS_URL", "SCANNER_STORE_REDIS_URL", "SCANNER_JOB_QUEUE_REDIS_URL"] {
        environment.insert(name, ground.redis_url(5));
    }
    let mut trivy = start(&ground, "scanner-trivy", &[], &environment);
    trivy.listens(port).await;
    let with_trivy = |environment: &mut Environment| {
        environment.insert("WITH_TRIVY", "true".to_owned());
        environment.insert("TRIVY_ADAPTER_URL", format!("https://127.0.0.1:{port}"));
    };
    let authorities = ground.directory.text("authorities");
    let mut harbor = Harbor::start_on(ground, |environment| {
        with_trivy(environment);
        environment.insert("SSL_CERT_DIR", authorities);
    })
    .await;
    harbor.is("healthy", Some("trivy")).await;

    assert_eq!(harbor.core.terminate().await, 0);
    let mut environment = core_environment(&harbor.ground);
    with_trivy(&mut environment);
    harbor.core = start(&harbor.ground, "harbor_core", &[], &environment);
    harbor.core.listens(harbor.ground.ports.core).await;
    harbor.ails("trivy", "certificate").await;
}
