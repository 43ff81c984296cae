//! Scorecard without its program, which can't be had here: the bundle in a `ConfigMap`, a pod for each test with the
//! bundle unpacked in it, and its log as the result, all as `operator-sdk scorecard --pod-security=restricted` makes and
//! reads them (v1.42.3, internal/scorecard). Beyond that, results are counted, and what is left behind is looked for.
//! Touches OLM and a sandbox, and the `ClusterRole` of the tests' account.

use std::{
    path::{Path, PathBuf},
    time::Duration,
};

use fairway::api::{Harbor, HarborClass, LoadBalancer, LoadBalancerClass};
use futures::future::join_all;
use k8s_openapi::{
    ByteString,
    api::{
        core::v1::{ConfigMap, PersistentVolumeClaim, Pod, Secret, Service},
        discovery::v1::EndpointSlice,
    },
};
use kube::{
    Api, ResourceExt,
    api::{DeleteParams, ListParams, LogParams, PostParams},
};
use serde_json::{Value, json};
use tokio::process::Command;

use super::operator::{Catalog, FIRST, Operator};
use crate::{
    cluster::{Cluster, root, tell},
    sandbox::{self, Sandbox},
    wait::{self, POD, seen},
};

/// Who tests.
const ACCOUNT: &str = "fairway-scorecard";
/// What everything carries that a test makes.
const LABEL: &str = "fairway.dev/scorecard";
/// How long a test may take that is not one of ours.
const TEST: Duration = Duration::from_mins(4);
/// Of operator-sdk, where public registries are reached.
const UNTAR: &str = "quay.io/operator-framework/scorecard-untar@sha256:2e728c5e67a7f4dec0df157a322dd5671212e8ae60f69137463bd4fdfbff8747";

/// Runs tests as pods.
struct Runner<'a> {
    sandbox: &'a Sandbox,
    bundle: String,
    untar_image: String,
}

impl<'a> Runner<'a> {
    /// Packs a bundle into a `ConfigMap`, and makes the account with its rights.
    async fn prepare(sandbox: &'a Sandbox, folder: &Path) -> Self {
        let rights = std::fs::read_to_string(root().join("scorecard/rbac.yaml")).unwrap();
        let rights = rights.replace(&format!("namespace: {ACCOUNT}"), &format!("namespace: {}", sandbox.namespace));
        sandbox.cluster.kubectl(&["apply", "--server-side", "--force-conflicts", "-f", "-"], &rights).await.unwrap();

        let mut packed = Command::new("tar");
        packed.args(["-cz", "-C"]).arg(folder).args(["manifests", "metadata", "tests"]);
        let packed = packed.output().await.unwrap();
        assert!(packed.status.success(), "{}: {}", folder.display(), String::from_utf8_lossy(&packed.stderr));
        let bundle = "scorecard-test-bundle".to_owned();
        let map = ConfigMap {
            metadata: serde_json::from_value(json!({ "name": bundle, "labels": { "app": "scorecard-test" } })).unwrap(),
            binary_data: Some([("bundle.tar.gz".to_owned(), ByteString(packed.stdout))].into()),
            ..ConfigMap::default()
        };
        sandbox.api::<ConfigMap>().create(&PostParams::default(), &map).await.unwrap();
        Self { sandbox, bundle, untar_image: untar_image(sandbox).await }
    }

    /// One test, as its config has it.
    fn pod(&self, test: &Value, account: &str) -> Pod {
        let security = json!({
            "runAsNonRoot": true, "allowPrivilegeEscalation": false, "capabilities": { "drop": ["ALL"] },
        });
        let pod = json!({
            "metadata": {
                "generateName": "scorecard-test-",
                "labels": { "app": "scorecard-test", "testrun": self.bundle },
            },
            "spec": {
                "serviceAccountName": account,
                "restartPolicy": "Never",
                "securityContext": { "runAsNonRoot": true, "seccompProfile": { "type": "RuntimeDefault" } },
                "containers": [{
                    "name": "scorecard-test",
                    "image": test["image"],
                    "imagePullPolicy": "IfNotPresent",
                    "command": test["entrypoint"],
                    "securityContext": security,
                    "volumeMounts": [{ "name": "scorecard-untar", "mountPath": "/bundle", "readOnly": true }],
                    "env": [{
                        "name": "SCORECARD_NAMESPACE",
                        "valueFrom": { "fieldRef": { "fieldPath": "metadata.namespace" } },
                    }],
                }],
                "initContainers": [{
                    "name": "scorecard-untar",
                    "image": self.untar_image,
                    "imagePullPolicy": "IfNotPresent",
                    "args": ["tar", "xvzf", "/scorecard/bundle.tar.gz", "-C", "/scorecard-bundle"],
                    "securityContext": security,
                    "volumeMounts": [
                        { "name": "scorecard-bundle", "mountPath": "/scorecard", "readOnly": true },
                        { "name": "scorecard-untar", "mountPath": "/scorecard-bundle" },
                    ],
                }],
                "volumes": [
                    { "name": "scorecard-bundle", "configMap": { "name": self.bundle } },
                    { "name": "scorecard-untar", "emptyDir": {} },
                ],
            },
        });
        serde_json::from_value(pod).unwrap()
    }

    async fn start(&self, test: &Value, account: &str) -> String {
        let made = self.sandbox.api::<Pod>().create(&PostParams::default(), &self.pod(test, account)).await.unwrap();
        made.name_any()
    }

    /// Runs a test; its results, which are all that its log holds.
    async fn run(&self, test: &Value, account: &str) -> Vec<Value> {
        let pods = self.sandbox.api::<Pod>();
        let name = self.start(test, account).await;
        let ours = fairway::scorecard::tests().find(|(name, _)| test["entrypoint"][2] == name.as_str());
        let limit = ours.map_or(TEST, |(_, test)| test.limit);
        wait::until(&format!("{name} to end ({})", test["entrypoint"]), limit, async || {
            let status = pods.get(&name).await.map_err(|error| error.to_string())?.status.unwrap_or_default();
            let containers = status.container_statuses.unwrap_or_default();
            let ended = containers.iter().any(|one| one.state.as_ref().is_some_and(|state| state.terminated.is_some()));
            seen(ended, || format!("{:?}", containers.iter().map(|one| &one.state).collect::<Vec<_>>()))
        })
        .await;
        let container = LogParams { container: Some("scorecard-test".to_owned()), ..LogParams::default() };
        let log = pods.logs(&name, &container).await.unwrap();
        let told: Value = serde_json::from_str(&log).unwrap_or_else(|error| panic!("not only JSON: {error}: {log}"));
        told["results"].as_array().unwrap_or_else(|| panic!("no results: {log}")).clone()
    }

    /// Waits until nothing is there that a test has made.
    async fn nothing_is_left(&self) {
        let list = ListParams::default().labels(LABEL);
        let sandbox = self.sandbox;
        let classes = Api::<LoadBalancerClass>::all(sandbox.cluster.client.clone());
        let registry_classes = Api::<HarborClass>::all(sandbox.cluster.client.clone());
        wait::until("everything that was made to be gone", POD, async || {
            let mut left = sandbox.names::<LoadBalancer>(LABEL).await;
            left.extend(sandbox.names::<Service>(LABEL).await);
            left.extend(sandbox.names::<EndpointSlice>(LABEL).await);
            left.extend(classes.list(&list).await.unwrap().iter().map(ResourceExt::name_any));
            left.extend(registry_classes.list(&list).await.unwrap().iter().map(ResourceExt::name_any));
            // A registry's volumes, and the Secret with its credentials, outlive it unless somebody takes them away.
            left.extend(sandbox.names::<Harbor>("").await);
            left.extend(sandbox.names::<PersistentVolumeClaim>("").await);
            left.extend(sandbox.names::<Secret>("fairway.dev/component=credentials").await);
            seen(left.is_empty(), || format!("{left:?}"))
        })
        .await;
    }
}

/// The test cluster has no public registry; OLM's image there has `tar` in it.
async fn untar_image(sandbox: &Sandbox) -> String {
    if Cluster::existing() {
        return UNTAR.to_owned();
    }
    let image = "jsonpath={.spec.template.spec.containers[0].image}";
    sandbox.cluster.kubectl(&["-n", "olm", "get", "deployment", "olm-operator", "-o", image], "").await.unwrap()
}

/// The stages that can be run here, each with its tests and whether they may run at the same time.
fn stages(folder: &Path) -> Vec<(bool, Vec<Value>)> {
    let text = std::fs::read_to_string(folder.join("tests/scorecard/config.yaml")).unwrap();
    let config: Value = serde_saphyr::from_str(&text).unwrap();
    let stages = config["stages"].as_array().unwrap().iter().map(|stage| {
        let (mut tests, mut left_out) = (stage["tests"].as_array().unwrap().clone(), 0);
        if !Cluster::existing() {
            let all = tests.len();
            tests.retain(|test| !test["image"].as_str().unwrap().contains("/scorecard-test:"));
            left_out = all - tests.len();
        }
        if left_out > 0 {
            tell(&format!(
                "LEFT OUT: {left_out} built-in tests, whose image is not here; tests/olm/validate judges alike"
            ));
        }
        (stage["parallel"] == true, tests)
    });
    stages.collect()
}

/// Runs everything, and fails if one result is missing or not a pass.
async fn all_pass(runner: &Runner<'_>, stages: &[(bool, Vec<Value>)]) {
    for (parallel, tests) in stages {
        let results = if *parallel {
            join_all(tests.iter().map(|test| runner.run(test, ACCOUNT))).await
        } else {
            let mut results = vec![];
            for test in tests {
                results.push(runner.run(test, ACCOUNT).await);
            }
            results
        };
        for (test, results) in tests.iter().zip(results) {
            let [result] = results.as_slice() else { panic!("{test}: not one result but {results:?}") };
            let log = result["log"].as_str().unwrap_or_default();
            tell(&format!("{} {}: {}", result["state"], test["labels"], log.trim_end().replace('\n', "\n        ")));
            assert_eq!(result["state"], "pass", "{test}: {result}");
            if test["entrypoint"][0] == "/fairway" {
                assert_eq!(result["name"], test["labels"]["test"]);
            }
        }
    }
}

#[test]
fn what_the_package_claims_passes_scorecard() {
    sandbox::without_operator("scorecard", async |sandbox| {
        let operator = Operator::prepare(sandbox).await;
        operator.offer(Catalog::First).await;
        operator.watch(&[]).await;
        operator.subscribe("stable-v1", "Automatic").await;
        operator.installed(FIRST).await;
        let folder: PathBuf = root().join("target/bundle");
        let runner = Runner::prepare(sandbox, &folder).await;
        let stages = stages(&folder);
        all_pass(&runner, &stages).await;
        let known = fairway::scorecard::tests().count();
        let ours = stages.iter().flat_map(|(_, tests)| tests).filter(|test| test["entrypoint"][0] == "/fairway");
        let ours: Vec<&Value> = ours.collect();
        assert_eq!(ours.len(), known);
        runner.nothing_is_left().await;

        // Who has no rights learns which are missing, and how to get them.
        let results = runner.run(ours[0], "default").await;
        assert_eq!(results[0]["state"], "error", "{results:?}");
        assert!(results[0]["errors"][0].as_str().unwrap().contains("forbidden"), "{results:?}");
        assert!(results[0]["suggestions"][0].as_str().unwrap().contains("scorecard/rbac.yaml"), "{results:?}");

        killed_half_way(&runner, ours[1]).await;
        for kind in ["clusterrole", "clusterrolebinding"] {
            sandbox.cluster.kubectl(&["delete", kind, ACCOUNT], "").await.unwrap();
        }
        operator.remove(&[]).await;
    });
}

/// A test that scorecard has no time for any more takes away what it has made.
async fn killed_half_way(runner: &Runner<'_>, test: &Value) {
    let name = runner.start(test, ACCOUNT).await;
    let sandbox = runner.sandbox;
    wait::until("a load balancer to be made", POD, async || {
        seen(!sandbox.names::<LoadBalancer>(LABEL).await.is_empty(), || "there is none".to_owned())
    })
    .await;
    sandbox.api::<Pod>().delete(&name, &DeleteParams::default()).await.unwrap();
    runner.nothing_is_left().await;
}
