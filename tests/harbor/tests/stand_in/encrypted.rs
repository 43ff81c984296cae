//! TLS between Harbor's programs, by certificates of the same shape as Fairway makes for each registry.

use hyper::{Method, StatusCode};
use serde_json::json;

use crate::ground::Ground;
use crate::harbor::{
    Environment, Harbor, PASSWORD, core_environment, jobservice_environment, registryctl_environment, start,
};
use crate::image::{Image, pull};
use crate::work::collect;

/// Starts a program that must refuse, and say why.
async fn refused(ground: &Ground, part: &str, arguments: &[&str], environment: &Environment, code: i32, why: &str) {
    let mut process = start(ground, part, arguments, environment);
    assert_eq!(process.ends().await, code, "{}", process.log());
    assert!(process.log().contains(why), "{why:?} is not said:\n{}", process.log());
}

/// All in one test: core has one port for this.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn all_of_it_speaks_tls_and_knows_whom_it_speaks_to() {
    let ground = Ground::encrypted().await;
    let [jobservice, registryctl] = ["jobservice.yml", "registryctl.yml"].map(|name| ground.directory.text(name));
    let environments = [
        ("harbor_core", core_environment(&ground), vec![]),
        ("harbor_jobservice", jobservice_environment(&ground), vec!["-c", &jobservice]),
        ("harbor_registryctl", registryctl_environment(&ground), vec!["-c", &registryctl]),
    ];
    for (part, environment, arguments) in &environments {
        let mut without = environment.clone();
        without.insert("INTERNAL_TLS_CERT_PATH", "/nowhere/at/all".to_owned());
        refused(&ground, part, arguments, &without, 1, "internal TLS enabled but can't get cert file").await;
    }
    let mut elsewhere = environments[0].1.clone();
    elsewhere.insert("PORT", "8080".to_owned());
    refused(&ground, "harbor_core", &[], &elsewhere, 1, "PORT must be 8443 where INTERNAL_TLS_ENABLED is true").await;

    let mut harbor = Harbor::start_on(ground, |_| {}).await;
    // Each is asked by core, which looks at certificates.
    harbor.is("healthy", None).await;
    let (status, _) = harbor.api().call(Method::GET, "/api/v2.0/projects", None).await;
    assert_eq!(status, StatusCode::OK);

    // One that trusts nobody reads no configuration, as one that comes before core does.
    let mut stranger = jobservice_environment(&harbor.ground);
    stranger.remove("SSL_CERT_DIR");
    refused(&harbor.ground, "harbor_jobservice", &["-c", &jobservice], &stranger, 2, "UnknownIssuer").await;

    // Through core to the registry, and by jobservice to its controller.
    let image = Image::new(&harbor.ground.directory, 3, 50_000);
    let credentials = format!("admin:{PASSWORD}");
    image.push(&harbor, &credentials, "library/hello:1").expect("a push");
    assert_eq!(pull(&harbor, Some(&credentials), "library/hello:1").as_ref(), Ok(&image.digest));
    let artifact = format!("/api/v2.0/projects/library/repositories/hello/artifacts/{}", image.digest);
    assert_eq!(harbor.api().does(Method::DELETE, &artifact, json!(null)).await, StatusCode::OK);
    collect(&harbor).await;

    // A certificate that core does not know is told, by the component that shows it.
    drop(harbor.jobservice.take());
    harbor.ground.certify(&["tls.crt", "tls.key"]);
    harbor.start_jobservice().await;
    // It has the name of the one that is known, and not its signature.
    harbor.ails("jobservice", "BadSignature").await;
}
