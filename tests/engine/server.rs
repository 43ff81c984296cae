//! The API server in memory itself, where what it does is easily got wrong.

use futures::StreamExt;
use k8s_openapi::api::core::v1::{ConfigMap, Pod};
use kube::{
    Api, Client,
    api::{DeleteParams, ListParams, Patch, PatchParams, PostParams, Preconditions, WatchEvent, WatchParams},
};
use serde_json::{Value, json};

use crate::api_server::ApiServer;

fn client() -> Client {
    ApiServer::new().client()
}

async fn apply(pods: &Api<Pod>, manager: &str, force: bool, spec: Value) -> kube::Result<Pod> {
    let pod = json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "p"}, "spec": spec});
    let parameters = PatchParams { force, ..PatchParams::apply(manager) };
    pods.patch("p", &parameters, &Patch::Apply(pod)).await
}

fn code(error: kube::Result<impl std::fmt::Debug>) -> u16 {
    match error.expect_err("a refusal") {
        kube::Error::Api(status) => status.code,
        other => panic!("{other}"),
    }
}

#[tokio::test]
async fn appliers_share_lists_by_key_and_lose_what_they_no_longer_apply() {
    let pods: Api<Pod> = Api::namespaced(client(), "n");
    apply(&pods, "one", false, json!({"containers": [{"name": "a", "image": "a:1", "args": ["x"]}, {"name": "b"}]}))
        .await
        .expect("one");
    apply(&pods, "two", false, json!({"containers": [{"name": "side", "image": "s:1"}]})).await.expect("two");
    let pod =
        apply(&pods, "one", false, json!({"containers": [{"name": "a", "image": "a:2"}]})).await.expect("one again");
    let containers = serde_json::to_value(pod.spec.expect("a spec").containers).expect("json");
    assert_eq!(containers, json!([{"name": "a", "image": "a:2"}, {"name": "side", "image": "s:1"}]));
}

#[tokio::test]
async fn an_apply_over_another_value_conflicts_unless_it_is_forced() {
    let pods: Api<Pod> = Api::namespaced(client(), "n");
    let image = |image: &str| json!({"containers": [{"name": "a", "image": image}]});
    apply(&pods, "one", false, image("a:1")).await.expect("one");
    assert_eq!(code(apply(&pods, "two", false, image("a:2")).await), 409);
    apply(&pods, "two", false, image("a:1")).await.expect("the same value is shared");
    apply(&pods, "two", true, image("a:2")).await.expect("forced");
    // The first owns it no longer, so that what it no longer applies stays.
    let pod = apply(&pods, "one", false, json!({"containers": [{"name": "a"}]})).await.expect("one again");
    assert_eq!(pod.spec.expect("a spec").containers[0].image.as_deref(), Some("a:2"));
}

#[tokio::test]
async fn a_write_that_changes_nothing_has_no_version() {
    let pods: Api<Pod> = Api::namespaced(client(), "n");
    let spec = json!({"containers": [{"name": "a"}]});
    let first = apply(&pods, "one", false, spec.clone()).await.expect("one");
    let second = apply(&pods, "one", false, spec).await.expect("one again");
    assert_eq!(first, second);
    assert_eq!(first.metadata.generation, Some(1));
}

#[tokio::test]
async fn spec_and_status_are_written_apart() {
    let pods: Api<Pod> = Api::namespaced(client(), "n");
    apply(&pods, "one", false, json!({"nodeName": "x"})).await.expect("one");
    let both = Patch::Merge(json!({"spec": {"nodeName": "y"}, "status": {"phase": "Running"}}));
    let pod = pods.patch_status("p", &PatchParams::default(), &both).await.expect("a status");
    assert_eq!(pod.metadata.generation, Some(1));
    assert_eq!(
        (pod.spec.expect("a spec").node_name.as_deref(), pod.status.expect("a status").phase.as_deref()),
        (Some("x"), Some("Running"))
    );
    let pod = pods
        .patch("p", &PatchParams::default(), &Patch::Merge(json!({"spec": {"nodeName": "y"}, "status": null})))
        .await
        .expect("a spec");
    assert_eq!(pod.metadata.generation, Some(2));
    assert_eq!(
        (pod.spec.expect("a spec").node_name.as_deref(), pod.status.expect("a status").phase.as_deref()),
        (Some("y"), Some("Running"))
    );
}

#[tokio::test]
async fn versions_and_preconditions_are_kept() {
    let configs: Api<ConfigMap> = Api::namespaced(client(), "n");
    let config: ConfigMap =
        serde_json::from_value(json!({"metadata": {"name": "c"}, "data": {"a": "1"}})).expect("a config");
    let first = configs.create(&PostParams::default(), &config).await.expect("creation");
    assert_eq!(code(configs.create(&PostParams::default(), &config).await), 409);
    let mut next = first.clone();
    next.data = None;
    configs.replace("c", &PostParams::default(), &next).await.expect("an update");
    assert_eq!(code(configs.replace("c", &PostParams::default(), &first).await), 409);
    let wrong = Preconditions { uid: Some("other".to_owned()), resource_version: None };
    assert_eq!(code(configs.delete("c", &DeleteParams::default().preconditions(wrong)).await), 409);
    assert_eq!(code(configs.delete("d", &DeleteParams::default()).await), 404);
}

#[tokio::test]
async fn a_watch_goes_on_from_a_version_through_its_selector() {
    let server = ApiServer::new();
    let configs: Api<ConfigMap> = Api::namespaced(server.client(), "n");
    let list = configs.list(&ListParams::default()).await.expect("a list");
    let version = list.metadata.resource_version.expect("a version");
    let config: ConfigMap = serde_json::from_value(json!({"metadata": {"name": "c"}})).expect("a config");
    configs.create(&PostParams::default(), &config).await.expect("creation");
    for labels in [json!({"a": "b"}), json!({"a": "b", "c": "d"}), json!({"a": null})] {
        let patch = Patch::Merge(json!({"metadata": {"labels": labels}}));
        configs.patch("c", &PatchParams::default(), &patch).await.expect("a patch");
    }
    let watch = configs.watch(&WatchParams::default().labels("a=b").timeout(1), &version).await.expect("a watch");
    let told: Vec<String> = watch.map(|event| format!("{:?}", event.expect("an event"))).take(3).collect().await;
    assert_eq!(told, ["Added event", "Modified event", "Deleted event"]);

    server.forget_history();
    let mut late = configs.watch(&WatchParams::default(), &version).await.expect("a watch").boxed();
    let Some(Ok(WatchEvent::Error(status))) = late.next().await else { panic!("an error") };
    assert_eq!(status.code, 410);
}

#[tokio::test]
async fn lists_come_in_pages_of_one_moment_and_items_do_not_say_what_they_are() {
    let server = ApiServer::new();
    let configs: Api<ConfigMap> = Api::namespaced(server.client(), "n");
    let config = |name: &str| serde_json::from_value(json!({"metadata": {"name": name}})).expect("a config");
    for name in ["a", "b", "c"] {
        configs.create(&PostParams::default(), &config(name)).await.expect("creation");
    }
    let page = ListParams::default().limit(2);
    let first = configs.list(&page).await.expect("a page");
    configs.delete("c", &DeleteParams::default()).await.expect("deletion");
    configs.create(&PostParams::default(), &config("d")).await.expect("creation");
    let token = first.metadata.continue_.clone().expect("more");
    let second = configs.list(&page.clone().continue_token(&token)).await.expect("a page");
    let names: Vec<_> = first.iter().chain(&second).filter_map(|one| one.metadata.name.as_deref()).collect();
    assert_eq!(names, ["a", "b", "c"]);
    assert_eq!((second.metadata.continue_, first.metadata.remaining_item_count), (None, Some(1)));
    assert_eq!(second.metadata.resource_version, first.metadata.resource_version);
    server.forget_history();
    assert_eq!(code(configs.list(&page.clone().continue_token(&token)).await), 410);
    assert_eq!(code(configs.list(&page.continue_token("?")).await), 400);

    let path = http::Request::get("/api/v1/namespaces/n/configmaps").body(vec![]).expect("a request");
    let told: Value = server.client().request(path).await.expect("a list");
    assert_eq!((&told["items"][0]["kind"], &told["items"][0]["apiVersion"]), (&Value::Null, &Value::Null));
}

#[tokio::test]
async fn nothing_is_made_in_a_namespace_that_is_being_deleted() {
    let server = ApiServer::new();
    let pods: Api<Pod> = Api::namespaced(server.client(), "n");
    apply(&pods, "one", false, json!({"nodeName": "x"})).await.expect("one");
    server.terminate("n");
    apply(&pods, "one", false, json!({"nodeName": "y"})).await.expect("a change of what is there");
    pods.delete("p", &DeleteParams::default()).await.expect("deletion");
    let refused = apply(&pods, "one", false, json!({"nodeName": "x"})).await.expect_err("a refusal");
    assert!(fairway::reconcile::namespace_terminates(&refused), "{refused}");
}
