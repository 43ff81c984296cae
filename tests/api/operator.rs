//! What the operator makes of a load balancer on a real API server, with no more rights than its role
//! gives it. There are no nodes: nothing becomes ready.

use std::{future::Future, time::Duration};

use fairway::{
    agent::protocol::Configuration,
    api::{LoadBalancer, LoadBalancerSpec},
    authority::AuthorityKeeper,
    loadbalancer::{LoadBalancers, plan::objects, world::Installation},
    reconcile::{Engine, Scope, Settings},
    telemetry::{Exposition, Metrics, Readiness},
};
use k8s_openapi::{
    api::{
        apps::v1::Deployment,
        core::v1::{Namespace, Secret, Service},
        events::v1::Event,
    },
    apimachinery::pkg::util::intstr::IntOrString,
};
use kube::{
    Api, Client,
    api::{DeleteParams, DynamicObject, ListParams, Patch, PatchParams, PostParams},
    core::{ApiResource, NamespaceResourceScope},
};
use serde::de::DeserializeOwned;
use serde_json::json;
use tokio::{sync::oneshot, task::JoinHandle, time};

use crate::server::{namespace, operator_client};

const OPERATOR_NAMESPACE: &str = "fairway-system";

/// An operator that looks after one namespace, until it is dropped or stopped.
pub(crate) struct Operator {
    exposition: Exposition,
    stop: oneshot::Sender<()>,
    task: JoinHandle<()>,
}

impl Operator {
    pub(crate) async fn start(namespace: &str) -> Self {
        let client = operator_client().await;
        let exposition = Exposition::default();
        let metrics = Metrics::register(&exposition);
        let (authority, keeper) = AuthorityKeeper::open(client.clone(), OPERATOR_NAMESPACE).await.unwrap();
        let scope = Scope::parse(namespace);
        let installation = Installation {
            fairway_image: "quay.io/fairway/fairway:0.1.0".to_owned(),
            haproxy_image: "quay.io/fairway/haproxy:2.6.12".to_owned(),
            namespace: OPERATOR_NAMESPACE.to_owned(),
        };
        let (family, triggers) = LoadBalancers::new(client.clone(), &scope, authority, installation, &metrics);
        let engine = Engine::new(family, client, Settings::new(scope, "test"), metrics, Readiness::default());
        let (stop, stopped) = oneshot::channel();
        let task = tokio::spawn(async move {
            tokio::select! {
                () = engine.run(triggers, async { let _ = stopped.await; }) => {}
                () = keeper.run() => {}
            }
        });
        Self { exposition, stop, task }
    }

    /// Has the load balancer `shop` looked at three more times, for notes that change nothing.
    pub(crate) async fn take_three_turns(&self, client: &Client, namespace: &str) {
        let resources: Api<LoadBalancer> = Api::namespaced(client.clone(), namespace);
        let (_, turns) = self.counts();
        for more in 1..=3 {
            let note = json!({ "metadata": { "annotations": { "example.com/note": format!("{turns}-{more}") } } });
            resources.patch("shop", &PatchParams::default(), &Patch::Merge(&note)).await.unwrap();
            eventually("one more turn", async || (self.counts().1 >= turns + more).then_some(())).await;
        }
    }

    pub(crate) async fn stop(self) {
        let _ = self.stop.send(());
        self.task.await.unwrap();
    }

    /// How many requests were sent that write, and how many turns ended well.
    pub(crate) fn counts(&self) -> (u64, u64) {
        let text = self.exposition.text().unwrap();
        let sum = |prefix: &str| {
            let values =
                text.lines().filter(|line| line.starts_with(prefix)).filter_map(|line| line.rsplit(' ').next());
            values.filter_map(|value| value.parse::<u64>().ok()).sum()
        };
        (sum("fairway_api_writes_total{"), sum("fairway_turns_total{family=\"loadbalancer\",result=\"Succeeded\"}"))
    }
}

pub(crate) fn spec() -> LoadBalancerSpec {
    serde_json::from_value(json!({
        "listeners": [{ "name": "web", "protocol": "HTTP", "port": 80, "pool": "app" }],
        "pools": [{ "name": "app", "members": [{ "address": "192.0.2.10", "port": 8080 }] }],
        // As users write it, and not as the API server keeps it.
        "resources": { "requests": { "cpu": "0.1", "memory": "64Mi" }, "limits": { "cpu": "1000m", "memory": "256Mi" } },
    }))
    .unwrap()
}

pub(crate) async fn create(client: &Client, namespace: &str, spec: LoadBalancerSpec) -> LoadBalancer {
    let api: Api<LoadBalancer> = Api::namespaced(client.clone(), namespace);
    api.create(&PostParams::default(), &LoadBalancer::new("shop", spec)).await.unwrap()
}

/// The configuration that a load balancer's pods boot from.
pub(crate) async fn configuration(client: &Client, namespace: &str, name: &str) -> Option<Configuration> {
    let secret = get::<Secret>(client, namespace, &format!("{name}-lb-configuration")).await?;
    objects::read_configuration(&secret.data?)
}

/// Asks again and again until the answer is there.
pub(crate) async fn eventually<T, F: Future<Output = Option<T>>>(what: &str, ask: impl Fn() -> F) -> T {
    let asking = async {
        loop {
            if let Some(answer) = ask().await {
                return answer;
            }
            time::sleep(Duration::from_millis(50)).await;
        }
    };
    time::timeout(Duration::from_secs(30), asking).await.unwrap_or_else(|_| panic!("waited in vain for {what}"))
}

pub(crate) async fn get<K>(client: &Client, namespace: &str, name: &str) -> Option<K>
where
    K: kube::Resource<DynamicType = (), Scope = NamespaceResourceScope> + Clone + DeserializeOwned + std::fmt::Debug,
{
    Api::<K>::namespaced(client.clone(), namespace).get_opt(name).await.unwrap()
}

/// Waits for a verdict on the load balancer `shop`; its message.
pub(crate) async fn condition(client: &Client, namespace: &str, kind: &str, verdict: &str) -> String {
    eventually(&format!("{kind} {verdict}"), async || {
        let status = get::<LoadBalancer>(client, namespace, "shop").await?.status?;
        let found = status.conditions.into_iter().find(|condition| condition.type_ == kind)?;
        (format!("{}/{}", found.status, found.reason) == verdict).then_some(found.message)
    })
    .await
}

#[tokio::test]
async fn everything_is_made_once_and_then_nothing_is_sent() {
    let (client, namespace) = namespace().await;
    let operator = Operator::start(&namespace).await;
    let resource = create(&client, &namespace, spec()).await;
    let deployment: Deployment = eventually("the Deployment", async || get(&client, &namespace, "shop-lb").await).await;
    let owner = &deployment.metadata.owner_references.as_ref().unwrap()[0];
    assert_eq!(Some(&owner.uid), resource.metadata.uid.as_ref());
    let identity: Secret = get(&client, &namespace, "shop-lb-identity").await.expect("the agents' certificate");
    assert!(identity.data.unwrap().contains_key("tls.key"));
    condition(&client, &namespace, "Accepted", "True/Accepted").await;
    condition(&client, &namespace, "Reconciled", "True/Reconciled").await;
    let status = get::<LoadBalancer>(&client, &namespace, "shop").await.unwrap().status.unwrap();
    assert_eq!(status.observed_generation, Some(1));
    assert!(!status.addresses.is_empty(), "the Service's address");

    // Settled: turns go on, writes don't.
    let (before, _) = operator.counts();
    operator.take_three_turns(&client, &namespace).await;
    assert_eq!(operator.counts().0, before, "a turn in which nothing differs sends nothing");
    operator.stop().await;

    // A new operator finds everything as it should be.
    let operator = Operator::start(&namespace).await;
    operator.take_three_turns(&client, &namespace).await;
    let (writes, _) = operator.counts();
    let text = operator.exposition.text().unwrap();
    assert!(writes <= 1, "a new operator sent {writes} writes for what was there already: {text}");
    operator.stop().await;
}

#[tokio::test]
async fn what_is_changed_by_hand_is_put_right() {
    let (client, namespace) = namespace().await;
    let operator = Operator::start(&namespace).await;
    create(&client, &namespace, spec()).await;
    eventually("the Deployment", async || get::<Deployment>(&client, &namespace, "shop-lb").await).await;
    let services: Api<Service> = Api::namespaced(client.clone(), &namespace);
    let edit = json!({ "spec": { "ports": [{ "name": "web", "port": 80, "targetPort": 1 }] } });
    services.patch("shop-lb", &PatchParams::default(), &Patch::Strategic(&edit)).await.unwrap();
    eventually("the port to be right again", async || {
        let ports = get::<Service>(&client, &namespace, "shop-lb").await?.spec?.ports?;
        (ports[0].target_port == Some(IntOrString::Int(80))).then_some(())
    })
    .await;
    let deployments: Api<Deployment> = Api::namespaced(client.clone(), &namespace);
    let uid = get::<Deployment>(&client, &namespace, "shop-lb").await.unwrap().metadata.uid;
    deployments.delete("shop-lb", &DeleteParams::background()).await.unwrap();
    eventually("another Deployment", async || {
        let deployment = get::<Deployment>(&client, &namespace, "shop-lb").await?;
        (deployment.metadata.uid != uid).then_some(())
    })
    .await;
    operator.stop().await;
}

#[tokio::test]
async fn what_is_not_wanted_any_more_goes() {
    let (client, namespace) = namespace().await;
    let operator = Operator::start(&namespace).await;
    create(&client, &namespace, spec()).await;
    eventually("the Service", async || get::<Service>(&client, &namespace, "shop-lb").await).await;
    let api: Api<LoadBalancer> = Api::namespaced(client.clone(), &namespace);
    let change = json!({ "spec": { "exposure": { "type": "HostNetwork" } } });
    api.patch("shop", &PatchParams::default(), &Patch::Merge(&change)).await.unwrap();
    eventually("the Service to go", async || {
        get::<Service>(&client, &namespace, "shop-lb").await.is_none().then_some(())
    })
    .await;
    assert!(get::<Secret>(&client, &namespace, "shop-lb-configuration").await.is_some());
    assert!(get::<Secret>(&client, &namespace, "shop-lb-identity").await.is_some());
    operator.stop().await;
}

#[tokio::test]
async fn a_missing_secret_is_told_and_its_coming_is_seen() {
    let (client, namespace) = namespace().await;
    let operator = Operator::start(&namespace).await;
    let mut spec = spec();
    spec.listeners[0].protocol = fairway::api::Protocol::Https;
    spec.listeners[0].certificates = vec![fairway::api::CertificateReference { secret_name: "shop-tls".to_owned() }];
    create(&client, &namespace, spec).await;
    let message = condition(&client, &namespace, "ResolvedRefs", "False/SecretNotFound").await;
    assert!(message.contains("there is no Secret \"shop-tls\" of type kubernetes.io/tls"), "{message}");
    let event = eventually("the event", async || {
        let events = Api::<Event>::namespaced(client.clone(), &namespace).list(&ListParams::default()).await.unwrap();
        events.items.into_iter().find(|event| event.reason.as_deref() == Some("SecretNotFound"))
    })
    .await;
    assert_eq!(event.type_.as_deref(), Some("Warning"));

    let made = rcgen::generate_simple_self_signed(vec!["shop.example".to_owned()]).unwrap();
    let secret = json!({
        "apiVersion": "v1", "kind": "Secret", "metadata": { "name": "shop-tls" }, "type": "kubernetes.io/tls",
        "stringData": { "tls.crt": made.cert.pem(), "tls.key": made.signing_key.serialize_pem() },
    });
    let secrets: Api<DynamicObject> =
        Api::namespaced_with(client.clone(), &namespace, &ApiResource::erase::<Secret>(&()));
    secrets.patch("shop-tls", &PatchParams::apply("test"), &Patch::Apply(&secret)).await.unwrap();
    condition(&client, &namespace, "ResolvedRefs", "True/ResolvedRefs").await;
    eventually("the certificate in the configuration", async || {
        let data = get::<Secret>(&client, &namespace, "shop-lb-configuration").await?.data?;
        data.contains_key("certificate-shop-tls.pem").then_some(())
    })
    .await;
    operator.stop().await;
}

#[tokio::test]
async fn a_foreign_object_of_the_same_name_is_left_alone() {
    let (client, namespace) = namespace().await;
    let service: Service = serde_json::from_value(json!({
        "metadata": { "name": "shop-lb" }, "spec": { "ports": [{ "port": 1234 }] },
    }))
    .unwrap();
    Api::namespaced(client.clone(), &namespace).create(&PostParams::default(), &service).await.unwrap();
    let operator = Operator::start(&namespace).await;
    create(&client, &namespace, spec()).await;
    let message = condition(&client, &namespace, "Reconciled", "False/NameTaken").await;
    assert!(message.contains("Service shop-lb"), "{message}");
    let ports = get::<Service>(&client, &namespace, "shop-lb").await.unwrap().spec.unwrap().ports.unwrap();
    assert_eq!(ports[0].port, 1234);
    operator.stop().await;
}

#[tokio::test]
async fn a_namespace_that_is_being_deleted_is_waited_for_in_silence() {
    let (client, namespace) = namespace().await;
    let operator = Operator::start(&namespace).await;
    create(&client, &namespace, spec()).await;
    condition(&client, &namespace, "Reconciled", "True/Reconciled").await;
    // Nobody empties it here: it stays as it is when its deletion has begun.
    Api::<Namespace>::all(client.clone()).delete(&namespace, &DeleteParams::default()).await.unwrap();
    Api::<Service>::namespaced(client.clone(), &namespace).delete("shop-lb", &DeleteParams::default()).await.unwrap();
    let message = condition(&client, &namespace, "Reconciled", "False/NamespaceTerminating").await;
    assert!(message.contains("is being terminated"), "{message}");
    let text = operator.exposition.text().unwrap();
    assert!(text.contains("result=\"Waited\""), "{text}");
    assert!(!text.contains("result=\"Forbidden\"") && !text.contains("result=\"NamespaceTerminating\""), "{text}");
    let events = Api::<Event>::namespaced(client.clone(), &namespace).list(&ListParams::default()).await.unwrap();
    let told: Vec<_> = events.iter().filter_map(|event| event.reason.as_deref()).collect();
    assert!(!told.contains(&"Forbidden") && !told.contains(&"NamespaceTerminating"), "{told:?}");
    operator.stop().await;
}
