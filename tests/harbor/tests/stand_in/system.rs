//! The configuration of the system, and what it is kept in.

use hyper::{Method, StatusCode};
use serde_json::json;

use crate::ground::Ground;
use crate::harbor::{Harbor, PASSWORD};
use crate::image::{Image, pull};

const PATH: &str = "/api/v2.0/configurations";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_read_only_registry_gives_and_takes_nothing() {
    let harbor = Harbor::start().await;
    let api = harbor.api();
    let credentials = format!("admin:{PASSWORD}");
    let image = Image::new(&harbor.ground.directory, 1, 10_000);
    image.push(&harbor, &credentials, "library/hello:1").expect("a push");
    assert_eq!(api.does(Method::PUT, PATH, json!({"no_such_setting": 1})).await, StatusCode::UNPROCESSABLE_ENTITY);
    assert_eq!(api.does(Method::PUT, PATH, json!({"read_only": "yes"})).await, StatusCode::UNPROCESSABLE_ENTITY);
    assert_eq!(api.does(Method::PUT, PATH, json!({"read_only": true})).await, StatusCode::OK);
    assert!(image.push(&harbor, &credentials, "library/hello:2").is_err());
    pull(&harbor, Some(&credentials), "library/hello:1").expect("a pull");
    assert_eq!(
        api.does(Method::POST, "/api/v2.0/projects", json!({"project_name": "late"})).await,
        StatusCode::FORBIDDEN
    );
    assert_eq!(api.does(Method::PUT, PATH, json!({"read_only": false})).await, StatusCode::OK);
    image.push(&harbor, &credentials, "library/hello:2").expect("a push");
    let info = api.get("/api/v2.0/systeminfo").await;
    assert_eq!(info["external_url"], harbor.url());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_list_is_told_in_pages() {
    let harbor = Harbor::start_on(Ground::new().await, |_| {}).await;
    for name in ["a", "b", "c"] {
        harbor.project(name, -1).await;
    }
    let api = harbor.api();
    let (_, headers, _) = api.raw(Method::GET, "/api/v2.0/projects?name=&page=2&page_size=1", None).await;
    assert_eq!(headers["x-total-count"], "4");
    let path =
        |page: u8, relation: &str| format!("</api/v2.0/projects?name=&page={page}&page_size=1>; rel=\"{relation}\"");
    assert_eq!(headers["link"], format!("{} , {}", path(1, "prev"), path(3, "next")));
    let (_, headers, text) = api.raw(Method::GET, "/api/v2.0/projects?page_size=100", None).await;
    assert!(!headers.contains_key("link"), "{headers:?}");
    assert!(text.contains("\"cve_allowlist\":{\"id\":0,\"items\":[],"), "{text}");
    let (status, ..) = api.raw(Method::GET, "/api/v2.0/projects?page_size=101", None).await;
    assert_eq!(status, StatusCode::UNPROCESSABLE_ENTITY);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_overwritten_can_not_be_changed() {
    let ground = Ground::new().await;
    let harbor = Harbor::start_on(ground, |environment| {
        environment.insert("CONFIG_OVERWRITE_JSON", r#"{"robot_name_prefix": "bot-"}"#.to_owned());
    })
    .await;
    let api = harbor.api();
    let told = api.get(PATH).await;
    assert_eq!(told["robot_name_prefix"], json!({"value": "bot-", "editable": false}));
    assert_eq!(api.does(Method::PUT, PATH, json!({"read_only": true})).await, StatusCode::FORBIDDEN);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn credentials_of_others_need_the_key_that_they_were_stored_with() {
    let mut harbor = Harbor::start().await;
    let registry = json!({"name": "hub", "url": "https://hub.example.com", "type": "docker-hub",
        "credential": {"type": "basic", "access_key": "me", "access_secret": "Their-Secret-0"}});
    let path = "/api/v2.0/registries";
    assert_eq!(harbor.api().does(Method::POST, path, registry).await, StatusCode::CREATED);
    assert_eq!(harbor.api().get(path).await[0]["credential"]["access_secret"], "*****");
    let database = harbor.ground.database("registry").await;
    let row = database.query_one("SELECT access_secret FROM registry", &[]).await.expect("one row");
    assert!(!row.get::<_, String>(0).contains("Their-Secret-0"));

    // Another key, as after a restore that forgot it.
    assert_eq!(harbor.core.terminate().await, 0);
    harbor.ground.directory.write("key", "fedcba9876543210");
    let Harbor { ground, jobservice, registryctl, core } = harbor;
    drop((jobservice, registryctl, core));
    let mut core = crate::harbor::start(&ground, "harbor_core", &[], &crate::harbor::core_environment(&ground));
    core.listens(ground.ports.core).await;
    let api = crate::api::Api::new(&format!("http://127.0.0.1:{}", ground.ports.core), "admin", PASSWORD);
    assert_eq!(api.call(Method::GET, path, None).await.0, StatusCode::INTERNAL_SERVER_ERROR);
    assert_eq!(api.call(Method::GET, "/api/v2.0/projects", None).await.0, StatusCode::OK);
}
