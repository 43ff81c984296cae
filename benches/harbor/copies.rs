//! Pushing and pulling one image, by skopeo in a pod: through the front door as the administrator, who gets a token for
//! each copy, and to the registry's program alone, which asks nobody. Touches a sandbox.

use std::time::Duration;

use base64::{Engine, engine::general_purpose::STANDARD};
use k8s_openapi::api::core::v1::{ConfigMap, Pod, Secret, Service};
use serde_json::{Value, json};

use crate::{
    ready::{NAME, host},
    sandbox::Sandbox,
    support::Times,
    wait::{self, POD, seen},
};

pub(crate) const MEGABYTES: usize = 100;
pub(crate) const LAYERS: usize = 4;
/// As `tests/cluster/lib/harbor.sh` makes them.
const SKOPEO: &str = "quay.io/skopeo/stable:v1.9.3";
const REGISTRY: &str = "docker.io/goharbor/registry-photon:v2.15.2";
const CLIENT: &str = "client";
const ALONE: &str = "alone";

/// An image that can't be compressed, in skopeo's folder format.
const IMAGE: &str = r#"
set -eu
mkdir -p /tmp/image && cd /tmp/image
printf 'Directory Transport Version: 1.1\n' >version
layers= differences=
for layer in $(seq "$1"); do
    head -c "$2" /dev/urandom >raw
    differences="$differences,\"sha256:$(sha256sum raw | cut -d ' ' -f 1)\""
    gzip -1 -n raw
    digest=$(sha256sum raw.gz | cut -d ' ' -f 1)
    layers="$layers,{\"mediaType\":\"application/vnd.oci.image.layer.v1.tar+gzip\",\"digest\":\"sha256:$digest\",\"size\":$(stat -c %s raw.gz)}"
    mv raw.gz "$digest"
done
printf '{"architecture":"amd64","os":"linux","config":{},"rootfs":{"type":"layers","diff_ids":[%s]}}' "${differences#,}" >config
digest=$(sha256sum config | cut -d ' ' -f 1)
printf '{"schemaVersion":2,"mediaType":"application/vnd.oci.image.manifest.v1+json","config":{"mediaType":"application/vnd.oci.image.config.v1+json","digest":"sha256:%s","size":%s},"layers":[%s]}' \
    "$digest" "$(stat -c %s config)" "${layers#,}" >manifest.json
mv config "$digest"
"#;
/// Copies the image and prints how many milliseconds it took. What skopeo remembers of other copies must not help it.
const COPY: &str = r#"
set -eu
rm -rf /tmp/pulled /tmp/.local
begun=$(date +%s%N)
skopeo copy --quiet --preserve-digests --src-tls-verify=false --dest-tls-verify=false "$1" "$2" >&2
echo $((($(date +%s%N) - begun) / 1000000))
rm -rf /tmp/pulled
"#;

#[derive(Default)]
pub(crate) struct Both {
    pub(crate) push: Times,
    pub(crate) pull: Times,
}

#[derive(Default)]
pub(crate) struct Copies {
    pub(crate) ours: Both,
    pub(crate) bare: Both,
}

pub(crate) async fn measured(sandbox: &Sandbox, rounds: usize) -> Copies {
    registry(sandbox).await;
    client(sandbox).await;
    let bytes = (MEGABYTES << 20) / LAYERS;
    run(sandbox, IMAGE, [&LAYERS.to_string(), &bytes.to_string()]).await;
    let (ours, bare) = (host(sandbox), format!("{ALONE}:5000"));
    let mut copies = Copies::default();
    for round in 0..=rounds {
        let mut counted = Copies::default();
        copy(sandbox, &bare, round, &mut counted.bare).await;
        copy(sandbox, &ours, round, &mut counted.ours).await;
        // The first of each finds nothing warm.
        if round > 0 {
            for (times, other) in [(&mut copies.ours, counted.ours), (&mut copies.bare, counted.bare)] {
                times.push.extend(other.push);
                times.pull.extend(other.pull);
            }
        }
    }
    copies
}

/// A repository that is new has none of the layers.
async fn copy(sandbox: &Sandbox, host: &str, round: usize, times: &mut Both) {
    let image = format!("docker://{host}/library/bench-{round}:1");
    times.push.add(timed(sandbox, "dir:/tmp/image", &image).await);
    times.pull.add(timed(sandbox, &image, "dir:/tmp/pulled").await);
}

async fn timed(sandbox: &Sandbox, from: &str, to: &str) -> Duration {
    Duration::from_millis(run(sandbox, COPY, [from, to]).await.trim().parse().unwrap())
}

async fn run(sandbox: &Sandbox, script: &str, arguments: [&str; 2]) -> String {
    let [one, other] = arguments;
    sandbox.kubectl(&["exec", CLIENT, "--", "sh", "-c", script, "sh", one, other]).await.unwrap()
}

async fn client(sandbox: &Sandbox) {
    let found = sandbox.api::<Secret>().get(&format!("{NAME}-credentials")).await.unwrap();
    let password = String::from_utf8(found.data.unwrap()["adminPassword"].0.clone()).unwrap();
    let login = json!({ "auths": { host(sandbox): { "auth": STANDARD.encode(format!("admin:{password}")) } } });
    let files = json!({ "auth.json": login.to_string() });
    sandbox.apply::<Secret>(json!({ "metadata": { "name": "login" }, "stringData": files })).await;
    let container = json!({
        "name": CLIENT,
        "image": SKOPEO,
        "command": ["sleep", "infinity"],
        "env": [{ "name": "REGISTRY_AUTH_FILE", "value": "/login/auth.json" }],
        "volumeMounts": [{ "name": "login", "mountPath": "/login" }, { "name": "tmp", "mountPath": "/tmp" }],
    });
    let volumes = json!([{ "name": "login", "secret": { "secretName": "login" } }, { "name": "tmp", "emptyDir": {} }]);
    pod(sandbox, CLIENT, container, volumes).await;
}

/// The program of a registry's images, with what Fairway lets it use.
async fn registry(sandbox: &Sandbox) {
    let configuration = json!({
        "version": "0.1",
        "log": { "level": "error" },
        "storage": { "filesystem": { "rootdirectory": "/storage" } },
        "http": { "addr": ":5000" },
    });
    let files = json!({ "config.yml": configuration.to_string() });
    sandbox.apply::<ConfigMap>(json!({ "metadata": { "name": ALONE }, "data": files })).await;
    let spec = json!({ "selector": { "app": ALONE }, "ports": [{ "port": 5000 }] });
    sandbox.apply::<Service>(json!({ "metadata": { "name": ALONE }, "spec": spec })).await;
    let container = json!({
        "name": "registry",
        "image": REGISTRY,
        "command": ["/usr/bin/registry_DO_NOT_USE_GC", "serve", "/etc/registry/config.yml"],
        "resources": { "requests": { "cpu": "100m", "memory": "128Mi" }, "limits": { "cpu": "1", "memory": "512Mi" } },
        "readinessProbe": { "httpGet": { "path": "/", "port": 5000 }, "periodSeconds": 1 },
        "volumeMounts": [{ "name": "configuration", "mountPath": "/etc/registry" }, { "name": "storage", "mountPath": "/storage" }],
    });
    let volumes = json!([
        { "name": "configuration", "configMap": { "name": ALONE } },
        { "name": "storage", "emptyDir": {} },
    ]);
    pod(sandbox, ALONE, container, volumes).await;
}

async fn pod(sandbox: &Sandbox, name: &str, mut container: Value, volumes: Value) {
    container["securityContext"] = json!({ "allowPrivilegeEscalation": false, "capabilities": { "drop": ["ALL"] } });
    let security = json!({
        "runAsNonRoot": true, "runAsUser": 10000, "fsGroup": 10000, "seccompProfile": { "type": "RuntimeDefault" },
    });
    let spec = json!({
        "automountServiceAccountToken": false,
        "terminationGracePeriodSeconds": 1,
        "securityContext": security,
        "containers": [container],
        "volumes": volumes,
    });
    sandbox.apply::<Pod>(json!({ "metadata": { "name": name, "labels": { "app": name } }, "spec": spec })).await;
    wait::until(&format!("pod {name} to be ready"), POD, async || {
        let pod = sandbox.api::<Pod>().get(name).await.map_err(|error| error.to_string())?;
        let conditions = pod.status.iter().flat_map(|status| status.conditions.iter().flatten());
        let ready =
            conditions.filter(|condition| condition.type_ == "Ready").any(|condition| condition.status == "True");
        seen(ready, || "it is not".to_owned())
    })
    .await;
}
