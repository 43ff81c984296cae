//! When pods are replaced and when not: for another image and other resources one after the other and
//! without a failed request, for another operator never. Touches a sandbox and the operator.

use std::{collections::BTreeSet, time::Duration};

use k8s_openapi::api::apps::v1::Deployment;
use kube::{
    Api,
    api::{Patch, PatchParams},
};
use serde_json::{Value, json};

use crate::{
    application::Application,
    balancer::{Balancer, listener, service_pool, small},
    cluster::{Cluster, OPERATOR, SYSTEM, tell},
    sandbox,
    traffic::{Connections, Speech, Target, Traffic},
    wait::{self, LIVE, POD, seen},
};

/// How long two pods may take to be replaced one after the other, with the time that old connections have.
const ROLLOUT: Duration = Duration::from_mins(1);

fn spec() -> Value {
    json!({
        "resources": small(),
        "listeners": [listener("web", "HTTP", 80, "app")],
        "pools": [service_pool("app", "app")],
    })
}

fn uids(identities: &BTreeSet<(String, i32)>) -> BTreeSet<&String> {
    identities.iter().map(|(uid, _)| uid).collect()
}

#[test]
fn pods_are_replaced_for_resources_and_image_without_a_failed_request() {
    sandbox::restricted("replaced", async |sandbox| {
        Application::start(sandbox, "app", 2).await;
        let balancer = Balancer::start(sandbox, "web", &spec()).await;
        balancer.pool("app", 2, 2, LIVE).await;
        let service = balancer.service(80, Speech::Http).await;
        let ways = [Connections::Closed, Connections::Kept, Connections::Idle];
        let traffic = Traffic::start(ways.map(|way| ("HTTP", service.clone(), way))).await;

        let mut changed = spec();
        changed["resources"]["limits"]["memory"] = json!("160Mi");
        let mut image = changed.clone();
        image["image"] = json!(other_image(&balancer, sandbox).await);
        for (what, spec) in [("resources", changed), ("image", image)] {
            let before = balancer.identities().await;
            balancer.write(&spec).await;
            wait::until(&format!("every pod to be replaced for other {what}"), ROLLOUT, async || {
                let now = balancer.identities().await;
                let new = now.len() == 2 && uids(&now).is_disjoint(&uids(&before));
                seen(new && balancer.pods().await.len() == 2, || format!("{now:?}, before {before:?}"))
            })
            .await;
            balancer.programmed(POD).await;
        }
        traffic.stop_unharmed("every pod replaced twice").await;
    });
}

/// Another name of the image that the pods run.
async fn other_image(balancer: &Balancer<'_>, sandbox: &sandbox::Sandbox) -> String {
    let name = format!("{}-lb", balancer.name);
    let deployment = sandbox.api::<Deployment>().get(&name).await.unwrap();
    let spec = deployment.spec.unwrap().template.spec.unwrap();
    let image = spec.containers.iter().find(|container| container.name == "haproxy").unwrap().image.clone().unwrap();
    another_name(&image)
}

/// The tag of an image that is named by its digest; and the other way around.
fn another_name(image: &str) -> String {
    let pushed = crate::cluster::pushed();
    let tagged = pushed.iter().find(|(_, exact)| *exact == image).map(|(tagged, _)| tagged.clone());
    tagged.or_else(|| pushed.get(image).cloned()).unwrap_or_else(|| format!("docker.io/../{image}"))
}

#[test]
fn another_operator_changes_no_pod() {
    sandbox::alone("upgraded", async |sandbox| {
        Application::start(sandbox, "app", 1).await;
        let balancer = Balancer::start(sandbox, "web", &spec()).await;
        balancer.pool("app", 1, 1, LIVE).await;
        let before = balancer.identities().await;
        let target: Target = balancer.service(80, Speech::Http).await;
        let traffic = Traffic::start([("HTTP", target, Connections::Closed)]).await;

        Cluster::disturb();
        let deployments: Api<Deployment> = Api::namespaced(sandbox.cluster.client.clone(), SYSTEM);
        let operator = deployments.get(OPERATOR).await.unwrap();
        let container = operator.spec.unwrap().template.spec.unwrap().containers.remove(0);
        let image = container.env.unwrap().into_iter().find(|entry| entry.name == "RELATED_IMAGE_FAIRWAY").unwrap();
        let image = another_name(&image.value.unwrap());
        let change = json!({ "spec": { "template": { "spec": { "containers": [{
            "name": "operator",
            "env": [{ "name": "RELATED_IMAGE_FAIRWAY", "value": image }],
        }] } } } });
        deployments.patch(OPERATOR, &PatchParams::default(), &Patch::Strategic(&change)).await.unwrap();
        sandbox.cluster.operator_runs().await;
        tell(&format!("the operator runs with {image} for new agents"));

        // A change that only the new operator can have made, and what a change of pods would have been.
        let mut changed = spec();
        changed["listeners"][0]["timeouts"] = json!({ "clientSeconds": 40 });
        balancer.write(&changed).await;
        balancer.programmed(POD).await;
        assert_eq!(balancer.identities().await, before, "pods were replaced or restarted");
        traffic.stop_unharmed("the operator replaced").await;
    });
}
