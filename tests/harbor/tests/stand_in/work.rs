//! Garbage collection, its schedule, and the queues.

use hyper::{Method, StatusCode};
use serde_json::{Value, json};

use crate::api::Api;
use crate::ground::Ground;
use crate::harbor::{Harbor, PASSWORD};
use crate::image::{Image, pull};
use crate::process::{Process, command, free_port};

const GC: &str = "/api/v2.0/system/gc/schedule";

fn manual() -> Value {
    json!({"schedule": {"type": "Manual"}, "parameters": {"delete_untagged": true, "workers": 1}})
}

/// Collects, and waits for the end of it.
pub(crate) async fn collect(harbor: &Harbor) {
    let (status, headers, text) = harbor.api().raw(Method::POST, GC, Some(&manual())).await;
    assert_eq!(status, StatusCode::CREATED, "{text}");
    let id = headers["location"].to_str().ok().and_then(|place| place.rsplit('/').next()?.parse().ok()).expect("an id");
    assert_eq!(harbor.ended("gc", id).await, "Success");
}

/// Pushes, deletes, collects, and pushes again: what is gone is not remembered.
async fn goes_and_comes_back(harbor: &Harbor, stored: impl Fn(&str) -> bool) {
    let image = Image::new(&harbor.ground.directory, 7, 50_000);
    let credentials = format!("admin:{PASSWORD}");
    image.push(harbor, &credentials, "library/hello:1").expect("a push");
    collect(harbor).await;
    assert!(stored(&image.layer), "what is held stays");
    let artifact = format!("/api/v2.0/projects/library/repositories/hello/artifacts/{}", image.digest);
    assert_eq!(harbor.api().does(Method::DELETE, &artifact, json!(null)).await, StatusCode::OK);
    assert!(pull(harbor, Some(&credentials), "library/hello:1").is_err());
    assert!(stored(&image.layer), "only collecting frees it");
    collect(harbor).await;
    assert!(!stored(&image.layer), "it is freed");
    image.push(harbor, &credentials, "library/hello:1").expect("a push");
    assert_eq!(pull(harbor, Some(&credentials), "library/hello:1").as_ref(), Ok(&image.digest));
}

fn below(digest: &str) -> String {
    let hex = digest.trim_start_matches("sha256:");
    format!("docker/registry/v2/blobs/sha256/{}/{hex}/data", &hex[..2])
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_nobody_holds_is_collected_from_a_folder() {
    let harbor = Harbor::start().await;
    let storage = harbor.ground.directory.path("storage");
    goes_and_comes_back(&harbor, |digest| storage.join(below(digest)).exists()).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_nobody_holds_is_collected_from_a_bucket() {
    let mut ground = Ground::without_registry().await;
    // A bucket is a folder to this server.
    let objects = ground.directory.folder("objects");
    ground.directory.folder("objects/images");
    let port = free_port();
    let mut starting = command("versitygw");
    starting.args([
        "--port",
        &format!("127.0.0.1:{port}"),
        "--access",
        "key",
        "--secret",
        "secret-of-s3",
        "posix",
        &objects,
    ]);
    let mut s3 = Process::start(starting, &ground.directory, "s3");
    s3.listens(port).await;
    let storage = format!(
        "s3: {{region: us-east-1, bucket: images, regionendpoint: 'http://127.0.0.1:{port}', rootdirectory: /tenant, \
         secure: false, accesskey: key, secretkey: secret-of-s3}}"
    );
    ground.start_registry(&storage, &[]).await;
    let harbor = Harbor::start_on(ground, |_| {}).await;
    harbor.is("healthy", None).await;
    let bucket = harbor.ground.directory.path("objects/images/tenant");
    goes_and_comes_back(&harbor, |digest| bucket.join(below(digest)).exists()).await;
    drop(harbor);
    drop(s3);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn schedules_are_kept_and_ill_formed_ones_refused() {
    let harbor = Harbor::start().await;
    let api = harbor.api();
    assert_eq!(api.get(GC).await, json!({}));
    let daily = |cron: &str, workers: i64| json!({"schedule": {"type": "Custom", "cron": cron}, "parameters": {"workers": workers}});
    assert_eq!(api.does(Method::POST, GC, daily("0 0 * * *", 1)).await, StatusCode::BAD_REQUEST);
    assert_eq!(api.does(Method::POST, GC, daily("0 0 2 * * *", 11)).await, StatusCode::BAD_REQUEST);
    assert_eq!(api.does(Method::POST, GC, daily("0 0 2 * * *", 4)).await, StatusCode::CREATED);
    assert_eq!(api.get(GC).await["schedule"], json!({"type": "Custom", "cron": "0 0 2 * * *"}));
    assert_eq!(api.does(Method::PUT, GC, json!({"schedule": {"type": "None"}})).await, StatusCode::OK);
    assert_eq!(api.get(GC).await, json!({}));

    let retention = |cron: &str| {
        json!({"algorithm": "or", "scope": {"level": "project", "ref": 1},
        "trigger": {"kind": "Schedule", "settings": {"cron": cron}}, "rules": [{"template": "latestPushedK", "action": "retain",
        "params": {"latestPushedK": 5}, "tag_selectors": [], "scope_selectors": {}}]})
    };
    let path = "/api/v2.0/retentions";
    assert_eq!(api.does(Method::POST, path, retention("every day")).await, StatusCode::BAD_REQUEST);
    assert_eq!(api.does(Method::POST, path, retention("0 0 0 * * *")).await, StatusCode::CREATED);
    assert_eq!(api.does(Method::POST, path, retention("0 0 0 * * *")).await, StatusCode::BAD_REQUEST, "one a project");
    let id = api.get("/api/v2.0/projects/library").await["metadata"]["retention_id"].clone();
    let kept = api.get(&format!("{path}/{}", id.as_str().expect("a number as text"))).await;
    assert_eq!(kept["rules"][0]["params"]["latestPushedK"], 5);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_paused_queue_keeps_its_jobs_through_a_restart() {
    let mut harbor = Harbor::start().await;
    let api = harbor.api();
    let queue = "/api/v2.0/jobservice/queues/GARBAGE_COLLECTION";
    assert_eq!(api.does(Method::PUT, queue, json!({"action": "hold"})).await, StatusCode::BAD_REQUEST);
    assert_eq!(api.does(Method::PUT, queue, json!({"action": "pause"})).await, StatusCode::OK);
    let (status, headers, _) = api.raw(Method::POST, GC, Some(&manual())).await;
    assert_eq!(status, StatusCode::CREATED);
    let id = headers["location"].to_str().ok().and_then(|place| place.rsplit('/').next()?.parse().ok()).expect("an id");
    harbor.jobservice = None;
    harbor.start_jobservice().await;
    let told = api.get("/api/v2.0/jobservice/queues").await;
    let waiting = told.as_array().into_iter().flatten().find(|queue| queue["job_type"] == "GARBAGE_COLLECTION");
    assert_eq!(waiting.map(|queue| (queue["count"].clone(), queue["paused"].clone())), Some((json!(1), json!(true))));
    assert!(api.get("/api/v2.0/jobservice/pools").await.as_array().is_some_and(|pools| !pools.is_empty()));
    assert_eq!(api.get("/api/v2.0/schedules/all/paused").await["paused"], false);
    assert_eq!(api.does(Method::PUT, queue, json!({"action": "resume"})).await, StatusCode::OK);
    assert_eq!(harbor.ended("gc", id).await, "Success");

    let metrics = Api::anonymous(&format!("http://127.0.0.1:{}", harbor.ground.ports.jobservice_metrics));
    let (_, _, text) = metrics.raw(Method::GET, "/metrics", None).await;
    assert!(text.contains("harbor_jobservice_task_total{type=\"all\",status=\"success\"} 1"), "{text}");
}
