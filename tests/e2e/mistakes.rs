//! What users do wrong: conditions and events tell them, what worked serves on, nobody else notices, and as
//! soon as it is mended it is taken. Touches a sandbox.

use fairway::api::LoadBalancerClass;
use k8s_openapi::api::core::v1::{Secret, Service};
use kube::{
    Api,
    api::{DeleteParams, Patch, PatchParams},
};
use serde_json::{Value, json};

use crate::{
    application::Application,
    balancer::{Balancer, listener, service_pool, small},
    certificates::{self, Authority},
    sandbox,
    traffic::{Connections, Speech, Traffic, reachable, sample},
    wait::{LIVE, POD},
};

fn spec(listeners: &[Value], pools: &[Value]) -> Value {
    json!({ "replicas": 1, "resources": small(), "listeners": listeners, "pools": pools })
}

fn tls() -> Value {
    let mut tls = listener("tls", "HTTPS", 443, "app");
    tls["certificates"] = json!([{ "secretName": "shop" }]);
    tls
}

#[test]
fn certificates_that_cannot_be_used_are_told_of_and_the_last_good_one_serves_on() {
    sandbox::restricted("bad-certificates", async |sandbox| {
        Application::start(sandbox, "app", 1).await;
        let authority = Authority::new();
        let (good, other) = (authority.issue("shop.example.com"), authority.issue("shop.example.com"));
        let web = listener("web", "HTTP", 80, "app");
        let pools = [service_pool("app", "app")];

        // A certificate that was never there keeps neither the load balancer nor its other listener from serving.
        let balancer = Balancer::named(sandbox, "web");
        balancer.write(&spec(&[web.clone(), tls()], &pools)).await;
        let message = balancer.tells("ResolvedRefs", "False", "SecretNotFound").await;
        assert!(message.contains("\"shop\""), "{message}");
        balancer.event("SecretNotFound").await;
        balancer.pool("app", 1, 1, POD).await;
        let plain = balancer.service(80, Speech::Http).await;
        let first = Traffic::start([("HTTP", plain, Connections::Closed)]).await;

        // It is taken as soon as it is there.
        certificates::keep(sandbox, "shop", &good.pem, &good.key).await;
        balancer.programmed(LIVE).await;
        let speech = Speech::Https("shop.example.com".to_owned(), authority.trusted());
        let targets = balancer.targets(443, &speech).await;
        let encrypted =
            Traffic::start(targets.iter().map(|target| ("HTTPS", target.clone(), Connections::Closed))).await;

        encrypted.flows().await;
        for (what, certificate, key) in [
            ("malformed", "not a certificate", good.key.as_str()),
            ("mismatched", other.pem.as_str(), good.key.as_str()),
        ] {
            certificates::keep(sandbox, "shop", certificate, key).await;
            let message = balancer.tells("ResolvedRefs", "False", "InvalidCertificate").await;
            assert!(message.contains("\"shop\"") && !message.contains("PRIVATE"), "{what}: {message}");
            balancer.event("InvalidCertificate").await;
            certificates::keep(sandbox, "shop", &good.pem, &good.key).await;
            balancer.programmed(LIVE).await;
        }
        sandbox.delete::<Secret>("shop").await;
        balancer.tells("ResolvedRefs", "False", "SecretNotFound").await;
        let tally = sample(&targets[0], 10).await;
        assert_eq!(tally.certificates.keys().collect::<Vec<_>>(), [&good.fingerprint], "{tally}");

        certificates::keep(sandbox, "shop", &other.pem, &other.key).await;
        balancer.programmed(LIVE).await;
        encrypted.stop_unharmed("HTTPS while its certificate was broken").await;
        first.stop_unharmed("HTTP while a certificate was broken").await;
        for target in &targets {
            let tally = sample(target, 10).await;
            assert_eq!(tally.certificates.keys().collect::<Vec<_>>(), [&other.fingerprint], "{tally}");
        }
    });
}

#[test]
fn a_service_and_a_class_that_are_missing_are_told_of_and_what_served_serves_on() {
    sandbox::restricted("missing", async |sandbox| {
        let app = Application::start(sandbox, "app", 2).await;
        let web = [listener("web", "HTTP", 80, "app")];
        let good = spec(&web, &[service_pool("app", "app")]);
        let balancer = Balancer::named(sandbox, "web");
        balancer.write(&good).await;
        balancer.pool("app", 2, 2, POD).await;
        let neighbour = Balancer::named(sandbox, "neighbour");
        neighbour.write(&good).await;
        neighbour.pool("app", 2, 2, POD).await;
        for target in neighbour.targets(80, &Speech::Http).await {
            // Kubernetes brings its Service to the nodes in its own time.
            reachable(&target).await;
        }
        let before = balancer.identities().await;
        let service = balancer.service(80, Speech::Http).await;
        let traffic = Traffic::start([("HTTP", service, Connections::Closed)]).await;

        // A Service that never was: another pool serves on.
        let mut missing = spec(&web, &[service_pool("app", "app"), service_pool("other", "nowhere")]);
        balancer.write(&missing).await;
        let message = balancer.tells("ResolvedRefs", "False", "ServiceNotFound").await;
        assert!(message.contains("nowhere"), "{message}");
        balancer.event("ServiceNotFound").await;

        // A class that is not there yet.
        missing = good.clone();
        let class = format!("{}-class", sandbox.namespace);
        missing["className"] = json!(class);
        balancer.write(&missing).await;
        balancer.tells("ResolvedRefs", "False", "ClassNotFound").await;
        balancer.event("ClassNotFound").await;
        let classes: Api<LoadBalancerClass> = Api::all(sandbox.cluster.client.clone());
        let object = json!({
            "apiVersion": "fairway.dev/v1alpha1",
            "kind": "LoadBalancerClass",
            "metadata": { "name": class },
            "spec": { "replicas": 3 },
        });
        classes.patch(&class, &PatchParams::apply("fairway-e2e"), &Patch::Apply(&object)).await.unwrap();
        balancer.tells("ResolvedRefs", "True", "ResolvedRefs").await;
        classes.delete(&class, &DeleteParams::default()).await.unwrap();
        balancer.tells("ResolvedRefs", "False", "ClassNotFound").await;

        // A Service that is deleted: its members stay until it is back.
        balancer.write(&good).await;
        balancer.tells("ResolvedRefs", "True", "ResolvedRefs").await;
        sandbox.delete::<Service>("app").await;
        let message = balancer.tells("ResolvedRefs", "False", "ServiceNotFound").await;
        assert!(message.contains("stay"), "{message}");
        for target in neighbour.targets(80, &Speech::Http).await {
            let tally = sample(&target, 20).await;
            assert!(tally.failures.is_empty(), "a deleted Service took its members away: {tally}");
        }
        app.offer().await;
        balancer.pool("app", 2, 2, LIVE).await;
        traffic.stop_unharmed("a Service and a class missing").await;
        assert_eq!(balancer.identities().await, before, "pods were replaced or restarted");
    });
}

#[test]
fn a_broken_load_balancer_stops_no_other_one() {
    sandbox::restricted("neighbours", async |sandbox| {
        Application::start(sandbox, "app", 1).await;
        let broken = Balancer::named(sandbox, "broken");
        broken.write(&spec(&[tls()], &[service_pool("app", "nowhere")])).await;
        broken.tells("ResolvedRefs", "False", "SecretNotFound").await;
        let hopeless = Balancer::named(sandbox, "hopeless");
        let mut image = spec(&[listener("web", "HTTP", 80, "app")], &[service_pool("app", "app")]);
        image["image"] = json!("quay.io/fairway/there-is-no-such-image:0");
        hopeless.write(&image).await;
        let well = Balancer::named(sandbox, "well");
        well.write(&spec(&[listener("web", "HTTP", 80, "app")], &[service_pool("app", "app")])).await;
        well.pool("app", 1, 1, POD).await;
        let tally = sample(&well.service(80, Speech::Http).await, 20).await;
        assert!(tally.failures.is_empty(), "{tally}");
        let message = hopeless.tells("Ready", "False", "NoReplicaServes").await;
        assert!(message.contains("ImagePull") || message.contains("ErrImage"), "{message}");
    });
}
