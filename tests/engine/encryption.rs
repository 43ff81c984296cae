//! Certificates for TLS between Harbor's programs, through the years: made, renewed, lost, kept.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex},
    time::Duration,
};

use fairway::{
    authority::{AuthoritySet, Leaf},
    harbor::{Harbors, world::Installation},
    reconcile::{Clock, Engine, Family, Scope, Settings},
    telemetry::{Exposition, Metrics, Readiness},
};
use jiff::{SignedDuration, Timestamp};
use k8s_openapi::api::{
    apps::v1::Deployment,
    core::v1::{ConfigMap, Secret},
};
use kube::{
    Api, Client, ResourceExt,
    api::{DeleteParams, DynamicObject, ListParams},
};
use rstest::rstest;
use serde_json::{Value, json};
use tokio::{sync::Notify, task::JoinHandle};

use crate::{
    api_server::{ApiServer, Fault, Request, What},
    harbor::{controllers, create, keep_credentials, long, of_operator},
    harness::NAMESPACE,
};

const CERTIFICATES: [&str; 4] = ["main-core-tls", "main-jobservice-tls", "main-portal-tls", "main-registry-tls"];

/// A time that goes when it is told to.
#[derive(Clone)]
struct Time(Arc<Mutex<Timestamp>>);

impl Time {
    fn new() -> Self {
        Self(Arc::new(Mutex::new(Timestamp::from_second(1_800_000_000).expect("a time"))))
    }

    fn now(&self) -> Timestamp {
        *self.0.lock().expect("a time")
    }

    fn pass(&self, days: i64) {
        *self.0.lock().expect("a time") += SignedDuration::from_hours(24 * days);
    }

    fn clock(&self) -> Clock {
        let time = self.clone();
        Arc::new(move || time.now())
    }
}

fn start(server: &ApiServer, time: &Time) -> JoinHandle<()> {
    let metrics = Metrics::register(&Exposition::default());
    let installation = Installation { namespace: "fairway-system".to_owned(), ..Installation::default() };
    let client = server.client();
    let (family, triggers) = Harbors::new(client.clone(), &Scope::All, installation, &metrics);
    let settings = Settings { clock: time.clock(), ..Settings::new(Scope::All, "test-0") };
    let engine = Engine::new(family.with_clock(time.clock()), client, settings, metrics, Readiness::default());
    tokio::spawn(engine.run(triggers, std::future::pending()))
}

fn encrypted() -> Value {
    json!({ "externalURL": "http://registry.example.com", "internalTLS": { "enabled": true } })
}

fn secrets(client: &Client) -> Api<Secret> {
    Api::namespaced(client.clone(), NAMESPACE)
}

/// The registry's authority, and what is in each Secret of a certificate, all of which must be good now.
async fn good(client: &Client, time: &Time) -> (AuthoritySet, BTreeMap<String, Vec<u8>>) {
    let data = |secret: Secret| -> BTreeMap<String, Vec<u8>> {
        secret.data.unwrap_or_default().into_iter().map(|(key, value)| (key, value.0)).collect()
    };
    let authority = secrets(client).get("main-authority").await.expect("an authority");
    assert_eq!(authority.metadata.owner_references, None, "it outlives the registry");
    let authority = AuthoritySet::from_data(&data(authority)).expect("an authority");
    let mut certificates = BTreeMap::new();
    for name in CERTIFICATES {
        let secret = secrets(client).get(name).await.expect("a certificate");
        assert_eq!(secret.metadata.owner_references.as_ref().map(Vec::len), Some(1), "{name}");
        let mut data = data(secret);
        let leaf = Leaf::read(&data["tls.crt"], &data["ca.crt"]).expect("a certificate");
        assert_eq!(leaf.needs_renewal(&authority, time.now()), None, "{name}");
        certificates.insert(name.to_owned(), data.remove("tls.crt").expect("a certificate"));
    }
    let trusted: Api<ConfigMap> = Api::namespaced(client.clone(), NAMESPACE);
    let trusted = trusted.get("main-authority").await.expect("authorities").data.expect("data");
    assert_eq!(trusted["ca.crt"], authority.bundle());
    (authority, certificates)
}

/// The hashes that pods are replaced by.
async fn hashes(client: &Client) -> BTreeMap<String, String> {
    let api: Api<Deployment> = Api::namespaced(client.clone(), NAMESPACE);
    let all = api.list(&ListParams::default()).await.expect("a list");
    let hash = |deployment: Deployment| {
        let name = deployment.name_any();
        let template = deployment.spec?.template.metadata?;
        Some((name, template.annotations?.remove("fairway.dev/configuration-hash")?))
    };
    all.into_iter().filter_map(hash).collect()
}

/// Which of them differ.
fn changed(one: &BTreeMap<String, String>, other: &BTreeMap<String, String>) -> Vec<String> {
    other.iter().filter(|(name, hash)| one.get(*name) != Some(hash)).map(|(name, _)| name.clone()).collect()
}

#[tokio::test(start_paused = true)]
async fn certificates_are_made_renewed_and_made_anew_when_they_are_lost() {
    let (server, time) = (ApiServer::new(), Time::new());
    let client = server.client();
    keep_credentials(&client).await;
    let cluster = tokio::spawn(controllers(client.clone()));
    create(&client, encrypted()).await;
    let running = start(&server, &time);
    long().await;
    let (authority, first) = good(&client, &time).await;
    let before = hashes(&client).await;
    assert_eq!(before.len(), 4);

    // At rest nothing is written; the years pass.
    let writes = || server.writes().iter().filter(|request| of_operator(request)).count();
    let rest = writes();
    time.pass(200);
    long().await;
    tokio::time::sleep(Duration::from_mins(2)).await;
    assert_eq!(writes(), rest);

    time.pass(50);
    tokio::time::sleep(Duration::from_mins(3)).await;
    let (same, second) = good(&client, &time).await;
    assert_eq!(same, authority);
    assert!(CERTIFICATES.iter().all(|name| first[*name] != second[*name]), "after two thirds of a year");
    let renewed = hashes(&client).await;
    assert_eq!(changed(&before, &renewed).len(), 4, "programs read certificates when they start");

    secrets(&client).delete("main-portal-tls", &DeleteParams::default()).await.expect("deletion");
    long().await;
    let (same, third) = good(&client, &time).await;
    assert_eq!(same, authority);
    assert_eq!(changed(&renewed, &hashes(&client).await), ["main-portal"]);
    assert_eq!(second["main-core-tls"], third["main-core-tls"]);

    // The next authority: both are trusted, and the first signs on for a day.
    time.pass(250);
    tokio::time::sleep(Duration::from_mins(3)).await;
    let (next, _) = good(&client, &time).await;
    assert!(next.bundle().starts_with(&authority.bundle()) && next != authority);

    secrets(&client).delete("main-authority", &DeleteParams::default()).await.expect("deletion");
    long().await;
    let (another, _) = good(&client, &time).await;
    assert!(!next.bundle().contains(&another.bundle()), "nobody could make the old one again");
    running.abort();
    cluster.abort();
}

#[tokio::test(start_paused = true)]
async fn a_registry_that_is_made_again_has_its_authority_still() {
    let (server, time) = (ApiServer::new(), Time::new());
    let client = server.client();
    keep_credentials(&client).await;
    let cluster = tokio::spawn(controllers(client.clone()));
    create(&client, encrypted()).await;
    let running = start(&server, &time);
    long().await;
    let (authority, _) = good(&client, &time).await;
    let harbors: Api<fairway::api::Harbor> = Api::namespaced(client.clone(), NAMESPACE);
    harbors.delete("main", &DeleteParams::default()).await.expect("deletion");
    long().await;
    let left = secrets(&client).list(&ListParams::default()).await.expect("a list");
    let left: Vec<String> = left.iter().map(ResourceExt::name_any).collect();
    assert_eq!(left, ["main-authority", "main-credentials"], "the rest went with the registry");
    create(&client, encrypted()).await;
    long().await;
    assert_eq!(good(&client, &time).await.0, authority);
    running.abort();
    cluster.abort();
}

/// Of the writes of Secrets with certificates, each is the last of an operator, or goes wrong.
#[rstest]
#[case::killed(None)]
#[case::refused(Some(What::Fail(500)))]
#[case::answer_lost(Some(What::DropReply))]
#[tokio::test(start_paused = true)]
async fn there_is_one_authority_whatever_happens_while_certificates_are_made(#[case] what: Option<What>) {
    for nth in 0..5 {
        let (server, time, crash) = (ApiServer::new(), Time::new(), Arc::new(Notify::new()));
        let client = server.client();
        keep_credentials(&client).await;
        let fault = what.clone().unwrap_or_else(|| What::Crash(Arc::clone(&crash)));
        let on = |request: &Request| request.plural == "secrets" && request.writes() && of_operator(request);
        server.fault(Fault::new(fault).on(on).nth(nth));
        let cluster = tokio::spawn(controllers(client.clone()));
        create(&client, encrypted()).await;
        let mut running = start(&server, &time);
        if what.is_none() {
            crash.notified().await;
            running.abort();
            let _ = running.await;
            running = start(&server, &time);
        }
        long().await;
        let (authority, _) = good(&client, &time).await;
        assert_eq!(authority.bundle().matches("BEGIN CERTIFICATE").count(), 1, "after write {nth}");
        running.abort();
        cluster.abort();
    }
}

#[tokio::test(start_paused = true)]
async fn it_is_turned_on_and_off_while_it_runs() {
    let (server, time) = (ApiServer::new(), Time::new());
    let client = server.client();
    keep_credentials(&client).await;
    let cluster = tokio::spawn(controllers(client.clone()));
    create(&client, json!({ "externalURL": "http://registry.example.com" })).await;
    let running = start(&server, &time);
    long().await;
    let plain = hashes(&client).await;
    create(&client, encrypted()).await;
    long().await;
    let (authority, _) = good(&client, &time).await;
    assert_eq!(changed(&plain, &hashes(&client).await).len(), 4);
    create(&client, json!({ "externalURL": "http://registry.example.com" })).await;
    long().await;
    assert_eq!(hashes(&client).await, plain);
    create(&client, encrypted()).await;
    long().await;
    assert_eq!(good(&client, &time).await.0, authority);
    running.abort();
    cluster.abort();
}

#[tokio::test(start_paused = true)]
async fn a_kind_that_the_cluster_does_not_know_holds_nothing_up() {
    let (server, time) = (ApiServer::new(), Time::new());
    let client = server.client();
    server.fault(Fault::new(What::Fail(404)).on(|request| request.plural == "certificates"));
    keep_credentials(&client).await;
    let cluster = tokio::spawn(controllers(client.clone()));
    let issued = json!({
        "externalURL": "https://registry.example.com",
        "exposure": { "tls": { "certManager": { "issuerName": "letsencrypt" } } },
    });
    create(&client, issued).await;
    let running = start(&server, &time);
    long().await;
    assert_eq!(hashes(&client).await.len(), 4, "the rest is made");
    let harbors: Api<fairway::api::Harbor> = Api::namespaced(client.clone(), NAMESPACE);
    let resolved = async || {
        let conditions = harbors.get("main").await.expect("it").status.expect("a status").conditions;
        conditions.into_iter().find(|condition| condition.type_ == "ResolvedRefs").expect("a verdict").reason
    };
    assert_eq!(resolved().await, "CertManagerNotInstalled");

    server.heal();
    long().await;
    assert_eq!(resolved().await, "CertificateNotReady");
    let kind = Harbors::owns().into_iter().find(|kind| kind.kind == "Certificate").expect("it is owned");
    let certificates: Api<DynamicObject> = Api::namespaced_with(client.clone(), NAMESPACE, &kind);
    let asked = certificates.get("main-front").await.expect("a certificate");
    assert_eq!(asked.data["spec"]["secretName"], "main-front-tls");
    running.abort();
    cluster.abort();
}
