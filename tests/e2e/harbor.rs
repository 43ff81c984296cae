//! Registries on real nodes: one resource each, servers beside them where a test brings its own, and a client in a pod.
//! Every namespace takes only pods of the restricted kind. Touches a sandbox.

mod encrypted;
mod failures;
mod images;
mod outside;
mod servers;
mod shared;
mod upgraded;

use std::time::{Duration, Instant};

use fairway::api::{Harbor, HarborStatus};
use k8s_openapi::api::core::v1::{Pod, Secret};
use serde_json::{Value, json};

use crate::{
    cluster::{Cluster, tell},
    sandbox::Sandbox,
    wait::{self, POD, seen},
};

/// How long a registry may take to be ready: five programs, one after the other, on two small nodes.
pub(crate) const READY: Duration = Duration::from_mins(4);
/// How long pushing or pulling one image may take.
const COPY: Duration = Duration::from_mins(1);
/// How long it may take until something is told that nobody watches, or until it is seen that it is mended: Fairway looks
/// once a minute at least, and a program that has failed is started again after a while.
const TOLD: Duration = Duration::from_secs(150);
/// The client.
const SKOPEO: &str = "quay.io/skopeo/stable:v1.9.3";
/// Where an image is read from: what the nodes' registry has anyway.
const SOURCE: &str = "registry.k8s.io/e2e-test-images/agnhost:2.59";

/// A registry of a sandbox, reached by the name of its front door's Service.
pub(crate) struct Registry<'a> {
    pub(crate) sandbox: &'a Sandbox,
    name: String,
    host: String,
}

impl<'a> Registry<'a> {
    pub(crate) fn named(sandbox: &'a Sandbox, name: &str) -> Self {
        Self::behind(sandbox, name, "front-lb")
    }

    /// Behind the Service of this name.
    fn behind(sandbox: &'a Sandbox, name: &str, front: &str) -> Self {
        let host = format!("{name}-{front}.{}.svc.cluster.local", sandbox.namespace);
        Self { sandbox, name: name.to_owned(), host }
    }

    /// Asks for it as this spec says, and the one URL that it has.
    pub(crate) async fn write(&self, spec: &Value) {
        let mut whole = json!({ "externalURL": format!("http://{}", self.host) });
        for (key, value) in spec.as_object().unwrap() {
            whole[key] = value.clone();
        }
        self.sandbox.apply::<Harbor>(json!({ "metadata": { "name": self.name }, "spec": whole })).await;
    }

    pub(crate) async fn status(&self) -> HarborStatus {
        self.sandbox.api::<Harbor>().get(&self.name).await.unwrap().status.unwrap_or_default()
    }

    pub(crate) async fn ready(&self) -> HarborStatus {
        let begun = Instant::now();
        let mut waited_for = String::new();
        let status = wait::until(&format!("registry {} to be ready", self.name), READY, async || {
            let found = self.sandbox.api::<Harbor>().get(&self.name).await.map_err(|error| error.to_string())?;
            let status = found.status.unwrap_or_default();
            if status.waiting_for != waited_for {
                waited_for.clone_from(&status.waiting_for);
                tell(&format!("{:5.1} s  {}: {waited_for}", begun.elapsed().as_secs_f64(), self.name));
            }
            let ready = status.conditions.iter().find(|condition| condition.type_ == "Ready");
            let ready = ready
                .is_some_and(|ready| ready.status == "True" && ready.observed_generation == found.metadata.generation);
            seen(ready, || format!("{:?}", status.conditions))?;
            Ok::<_, String>(status)
        })
        .await;
        tell(&format!("{} ready after {:.1} s", self.name, begun.elapsed().as_secs_f64()));
        status
    }

    /// Waits until all pods are as the spec asks for, and clients get in.
    async fn rolled_out(&self) {
        let begun = Instant::now();
        wait::until(&format!("{} to be rolled out", self.name), READY, async || {
            let found = self.sandbox.api::<Harbor>().get(&self.name).await.map_err(|error| error.to_string())?;
            let conditions = found.status.unwrap_or_default().conditions;
            let stands = |kind: &str| {
                let condition = conditions.iter().find(|condition| condition.type_ == kind);
                condition.is_some_and(|condition| {
                    condition.status == "True" && condition.observed_generation == found.metadata.generation
                })
            };
            seen(stands("RolledOut") && stands("Ready"), || format!("{conditions:?}"))
        })
        .await;
        tell(&format!("{} rolled out after {:.1} s", self.name, begun.elapsed().as_secs_f64()));
    }

    /// Waits for `True/Reason` or `False/Reason` of a condition; its message, which has all these words.
    pub(crate) async fn says(&self, kind: &str, verdict: &str, words: &[&str]) -> String {
        let begun = Instant::now();
        let message = wait::until(&format!("{kind} of {} to be {verdict}", self.name), TOLD, async || {
            let found = self.sandbox.api::<Harbor>().get(&self.name).await.map_err(|error| error.to_string())?;
            let conditions = found.status.unwrap_or_default().conditions;
            let condition = conditions.iter().find(|condition| condition.type_ == kind);
            let condition = condition.ok_or_else(|| format!("no {kind}"))?;
            let told = format!("{}/{}", condition.status, condition.reason);
            let all = words.iter().all(|word| condition.message.contains(word));
            seen(told == verdict && all, || format!("{told}: {}", condition.message))?;
            Ok::<_, String>(condition.message.clone())
        })
        .await;
        tell(&format!("{:5.1} s  {kind} {verdict}: {message}", begun.elapsed().as_secs_f64()));
        message
    }

    /// What a key of a Secret holds.
    async fn secret(&self, name: &str, key: &str) -> Vec<u8> {
        self.sandbox.api::<Secret>().get(name).await.unwrap().data.unwrap().remove(key).unwrap().0
    }

    /// A text of the Secret of credentials.
    async fn credential(&self, key: &str) -> String {
        String::from_utf8(self.secret(&format!("{}-credentials", self.name), key).await).unwrap()
    }

    /// The name of an image here, as skopeo writes it.
    fn image(&self, tag: &str) -> String {
        format!("docker://{}/library/agnhost:{tag}", self.host)
    }

    /// Pushes an image; whether it went well, and what was said.
    pub(crate) async fn push(&self, tag: &str) -> (bool, String) {
        self.push_of(SOURCE, tag).await
    }

    /// Pushes what the nodes' registry has by this name.
    async fn push_of(&self, source: &str, tag: &str) -> (bool, String) {
        let source = format!("docker://{}/{source}", Cluster::registry());
        let image = self.image(tag);
        let arguments = ["copy", "--src-tls-verify=false", "--dest-tls-verify=false", &source, &image];
        self.skopeo(&format!("push-{tag}"), &arguments).await
    }

    /// Pulls an image, all of it.
    pub(crate) async fn pull(&self, name: &str, tag: &str) {
        let image = self.image(tag);
        let (pulled, said) = self.skopeo(name, &["copy", "--src-tls-verify=false", &image, "dir:/tmp/image"]).await;
        assert!(pulled, "{said}");
    }

    /// The digest of an image.
    async fn digest(&self, name: &str, tag: &str) -> String {
        let (found, said) = self.skopeo(name, &["inspect", "--tls-verify=false", &self.image(tag)]).await;
        assert!(found, "{said}");
        serde_json::from_str::<Value>(&said).unwrap()["Digest"].as_str().unwrap().to_owned()
    }

    /// Runs skopeo in a pod with the administrator's login; whether it went well, and what it said.
    async fn skopeo(&self, what: &str, arguments: &[&str]) -> (bool, String) {
        let password = self.credential("adminPassword").await;
        let login = json!({ "auths": { &self.host: { "auth": base64(&format!("admin:{password}")) } } });
        self.skopeo_as(&login.to_string(), what, arguments).await
    }

    /// The same with what a login file holds.
    async fn skopeo_as(&self, login: &str, what: &str, arguments: &[&str]) -> (bool, String) {
        let (pod, login_name) = (format!("{}-{what}", self.name), format!("{}-{what}-login", self.name));
        let files = json!({ "auth.json": login });
        self.sandbox.apply::<Secret>(json!({ "metadata": { "name": login_name }, "stringData": files })).await;
        let volumes = json!([{ "name": "login", "secret": { "secretName": login_name } }]);
        let mut container = json!({
            "name": "skopeo",
            "image": SKOPEO,
            "args": arguments,
            "env": [{ "name": "REGISTRY_AUTH_FILE", "value": "/login/auth.json" }, { "name": "TMPDIR", "value": "/tmp" }],
            "volumeMounts": [{ "name": "login", "mountPath": "/login" }],
        });
        servers::harden(&mut container);
        let mut spec = servers::pod(10_000, &container, &volumes);
        spec["restartPolicy"] = json!("Never");
        self.sandbox.apply::<Pod>(json!({ "metadata": { "name": pod }, "spec": spec })).await;
        let went_well = wait::until(&format!("pod {pod} to end"), COPY, async || {
            let pod = self.sandbox.api::<Pod>().get(&pod).await.map_err(|error| error.to_string())?;
            let phase = pod.status.and_then(|status| status.phase).unwrap_or_default();
            match phase.as_str() {
                "Succeeded" => Ok(true),
                "Failed" => Ok(false),
                _ => Err(phase),
            }
        })
        .await;
        let said = self.sandbox.kubectl(&["logs", &pod]).await.unwrap();
        (went_well, said)
    }

    /// Deletes it and waits until its pods are gone.
    pub(crate) async fn delete(&self) {
        self.sandbox.delete::<Harbor>(&self.name).await;
        let labels = format!("fairway.dev/harbor={}", self.name);
        wait::until("its pods to go", POD, async || {
            let left = self.sandbox.names::<Pod>(&labels).await;
            seen(left.is_empty(), || format!("{left:?}"))
        })
        .await;
    }

    /// Asks its own database, as its role there.
    async fn sql(&self, command: &str) -> String {
        let pod = format!("{}-database-0", self.name);
        let psql =
            ["exec", &pod, "--", "psql", "--tuples-only", "--no-align", "--username=harbor", "--dbname=registry"];
        self.sandbox.kubectl(&[&psql[..], &["--command", command]].concat()).await.unwrap().trim().to_owned()
    }
}

fn base64(text: &str) -> String {
    use base64::Engine as _;
    base64::engine::general_purpose::STANDARD.encode(text)
}

/// A registry as small as it can be told to be, so that several fit on the test cluster.
pub(crate) fn small() -> Value {
    let tiny = json!({ "requests": { "cpu": "10m", "memory": "32Mi" }, "limits": { "cpu": "1", "memory": "256Mi" } });
    json!({
        "components": {
            "core": { "resources": tiny },
            "jobservice": { "resources": tiny },
            "registry": { "resources": tiny, "controllerResources": tiny },
        },
        "storage": { "filesystem": { "volume": { "size": "1Gi" } } },
    })
}
