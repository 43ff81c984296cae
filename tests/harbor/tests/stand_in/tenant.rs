//! A Harbor on a Redis that many share: as a user with its own databases and no more rights than it needs.

use hyper::{Method, StatusCode};
use serde_json::json;

use crate::ground::{CACHE_PASSWORD, Ground};
use crate::harbor::{Harbor, PASSWORD};
use crate::image::Image;

const RULES: &str = "on >tenant-Password-0 ~* resetchannels -@all +@read +@write +@transaction -@dangerous -function -move -copy \
    -swapdb +eval +evalsha +script|load +script|exists +ping +echo +quit +client|id +client|getname +client|setname \
    +acl|whoami +info +keys +select|11 +select|12 +select|13";

fn url(ground: &Ground, database: u8) -> String {
    let own = ground.redis_url(database);
    own.replacen(&format!(":{CACHE_PASSWORD}@"), "tenant:tenant-Password-0@", 1)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_tenant_of_a_shared_redis_has_all_that_harbor_needs() {
    let ground = Ground::new().await;
    let administrator = redis::Client::open(ground.redis_url(0).split('?').next().unwrap_or_default()).expect("a URL");
    let mut administrator = administrator.get_multiplexed_async_connection().await.expect("a connection");
    let mut command = redis::cmd("ACL");
    command.arg("SETUSER").arg("tenant").arg(RULES.split_whitespace().collect::<Vec<_>>());
    command.query_async::<()>(&mut administrator).await.expect("a user");
    let queue = ground.directory.read("jobservice.yml").replace(&ground.redis_url(2), &url(&ground, 13));
    ground.directory.write("jobservice.yml", &queue);
    let urls = [("_REDIS_URL_CORE", url(&ground, 11)), ("_REDIS_URL_REG", url(&ground, 12))];
    let harbor = Harbor::start_on(ground, |environment| environment.extend(urls)).await;
    harbor.is("healthy", None).await;

    let image = Image::new(&harbor.ground.directory, 1, 10_000);
    image.push(&harbor, &format!("admin:{PASSWORD}"), "library/hello:1").expect("a push");
    let manual = json!({"schedule": {"type": "Manual"}});
    let (status, headers, _) = harbor.api().raw(Method::POST, "/api/v2.0/system/gc/schedule", Some(&manual)).await;
    assert_eq!(status, StatusCode::CREATED);
    let id = headers["location"].to_str().ok().and_then(|place| place.rsplit('/').next()?.parse().ok()).expect("an id");
    assert_eq!(harbor.ended("gc", id).await, "Success");
    let queue = "/api/v2.0/jobservice/queues/all";
    assert_eq!(harbor.api().does(Method::PUT, queue, json!({"action": "pause"})).await, StatusCode::OK);
    // Nothing was left where others can read it.
    redis::cmd("SELECT").arg(0).query_async::<()>(&mut administrator).await.expect("a database");
    assert_eq!(redis::cmd("DBSIZE").query_async::<u64>(&mut administrator).await.expect("a number"), 0);
}
