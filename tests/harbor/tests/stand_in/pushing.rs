//! Images in and out, by the token flow.

use hyper::{Method, StatusCode};
use serde_json::json;

use crate::api::Api;
use crate::harbor::{Harbor, PASSWORD};
use crate::image::{Image, login, pull};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_image_goes_in_and_comes_out() {
    let harbor = Harbor::start().await;
    harbor.project("team", 1_000_000).await;
    let image = Image::new(&harbor.ground.directory, 1, 100_000);
    let credentials = format!("admin:{PASSWORD}");

    assert!(
        login(&harbor, "admin", "Wrong-Password-0")
            .expect_err("a wrong password")
            .contains("invalid username/password")
    );
    login(&harbor, "admin", PASSWORD).expect("a login");
    image.push(&harbor, &credentials, "team/nested/hello:1").expect("a push");
    assert_eq!(pull(&harbor, Some(&credentials), "team/nested/hello:1").as_ref(), Ok(&image.digest));

    // What the API tells of it.
    let api = harbor.api();
    let repositories = api.get("/api/v2.0/projects/team/repositories").await;
    assert_eq!(repositories[0]["name"], "team/nested/hello");
    assert_eq!(repositories[0]["pull_count"], 1);
    let artifacts = api.get("/api/v2.0/projects/team/repositories/nested%252Fhello/artifacts").await;
    assert_eq!(artifacts[0]["digest"], image.digest.as_str());
    assert_eq!(artifacts[0]["tags"][0]["name"], "1");
    let used = api.get("/api/v2.0/projects/team/summary").await["quota"]["used"]["storage"].as_i64();
    assert!(used.is_some_and(|used| (100_000..110_000).contains(&used)), "{used:?}");

    // Private is private, public is public, and nobody pushes without a name.
    assert!(pull(&harbor, None, "team/nested/hello:1").is_err());
    image.push(&harbor, &credentials, "library/hello:1").expect("a push");
    assert_eq!(pull(&harbor, None, "library/hello:1").as_ref(), Ok(&image.digest));
    assert!(image.push(&harbor, "admin:Wrong-Password-0", "library/hello:2").is_err());
    assert!(image.push(&harbor, &credentials, "nowhere/hello:1").is_err(), "there is no such project");

    // Each operation was counted.
    let metrics = Api::anonymous(&format!("http://127.0.0.1:{}", harbor.ground.ports.core_metrics));
    let (_, _, text) = metrics.raw(Method::GET, "/metrics", None).await;
    for sample in [
        "harbor_core_http_inflight_requests 0",
        "harbor_core_http_request_total{method=\"GET\",code=\"200\",operation=\"/service/token\"}",
        "harbor_core_http_request_duration_seconds_count{method=\"PUT\"",
    ] {
        assert!(text.contains(sample), "{sample}\n{text}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_push_beyond_the_quota_is_refused() {
    let harbor = Harbor::start().await;
    harbor.project("small", 150_000).await;
    let credentials = format!("admin:{PASSWORD}");
    let first = Image::new(&harbor.ground.directory, 1, 100_000);
    first.push(&harbor, &credentials, "small/first:1").expect("a push");
    // What is there counts once.
    first.push(&harbor, &credentials, "small/again:1").expect("a push");
    let second = Image::new(&harbor.ground.directory, 2, 100_000);
    let refused = second.push(&harbor, &credentials, "small/second:1").expect_err("it is too much");
    assert!(refused.contains("will exceed"), "{refused}");

    let api = harbor.api();
    let quotas = api.get("/api/v2.0/quotas?reference_id=2").await;
    let quota = format!("/api/v2.0/quotas/{}", quotas[0]["id"]);
    assert_eq!(api.does(Method::PUT, &quota, json!({"hard": {"storage": 0}})).await, StatusCode::BAD_REQUEST);
    assert_eq!(api.does(Method::PUT, &quota, json!({"hard": {"storage": 300_000}})).await, StatusCode::OK);
    second.push(&harbor, &credentials, "small/second:1").expect("a push");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_client_is_led_to_its_token() {
    let harbor = Harbor::start().await;
    harbor.project("team", -1).await;
    let url = harbor.url();
    let (status, headers, _) = Api::anonymous(&url).raw(Method::GET, "/v2/", None).await;
    assert_eq!(status, StatusCode::UNAUTHORIZED);
    let challenge = headers["www-authenticate"].to_str().expect("text");
    assert_eq!(challenge, format!("Bearer realm=\"{url}/service/token\",service=\"harbor-registry\""));

    // Another that it is called by, as Harbor 2.14 and later have it; and core's own name.
    for (host, expected) in [("registry.inside:8080", "http://registry.inside:8080"), ("main-core", "http://main-core")]
    {
        let (_, headers, _) = Api::anonymous(&url).called(host).raw(Method::GET, "/v2/", None).await;
        let challenge = headers["www-authenticate"].to_str().expect("text");
        assert!(challenge.starts_with(&format!("Bearer realm=\"{expected}/service/token\"")), "{challenge}");
    }

    let token = |api: Api, query: &'static str| async move {
        api.call(Method::GET, &format!("/service/token?{query}"), None).await
    };
    let (status, _) = token(harbor.api(), "service=another").await;
    assert_eq!(status, StatusCode::BAD_REQUEST);
    let (status, _) = token(Api::anonymous(&url), "service=harbor-registry").await;
    assert_eq!(status, StatusCode::UNAUTHORIZED);
    let scoped = "service=harbor-registry&scope=repository:team/hello:pull";
    let (_, body) = token(harbor.api(), scoped).await;
    assert_eq!(body["expires_in"], 1800);
    let text = body["token"].as_str().expect("a token");
    let header = jsonwebtoken::decode_header(text).expect("a header");
    assert_eq!((header.alg, header.kid.map(|key| key.len())), (jsonwebtoken::Algorithm::RS256, Some(59)));

    // It opens what it names, and nothing else; nobody else can sign one.
    let missing = "/v2/team/hello/manifests/1";
    assert_eq!(Api::bearing(&url, text).call(Method::GET, missing, None).await.0, StatusCode::NOT_FOUND);
    let other = "/v2/team/other/manifests/1";
    assert_eq!(Api::bearing(&url, text).call(Method::GET, other, None).await.0, StatusCode::UNAUTHORIZED);
    let forged = format!("{}AAAA", &text[..text.len() - 4]);
    assert_eq!(Api::bearing(&url, &forged).call(Method::GET, missing, None).await.0, StatusCode::UNAUTHORIZED);
    let (_, body) = token(Api::anonymous(&url), scoped).await;
    let nothing = Api::bearing(&url, body["token"].as_str().expect("a token"));
    assert_eq!(nothing.call(Method::GET, missing, None).await.0, StatusCode::UNAUTHORIZED);
}
