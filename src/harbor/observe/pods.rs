//! Why pods of registries do not run: the little of each pod that a condition tells.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    sync::{Arc, Mutex},
};

use k8s_openapi::api::core::v1::{ContainerStatus, Pod, PodCondition, PodSpec};
use kube::ResourceExt;

use super::cluster::lock;
use crate::{
    harbor::names::{COMPONENT_LABEL, Component, HARBOR_LABEL, SECURE_PORT},
    reconcile::{Changed, Key},
};

/// Characters of what a program said last.
const SAID: usize = 300;
const COMPONENTS: [Component; 10] = [
    Component::Database,
    Component::Cache,
    Component::Migrate,
    Component::Core,
    Component::JobService,
    Component::Registry,
    Component::Portal,
    Component::Trivy,
    Component::Exporter,
    Component::Front,
];

/// What is known of a pod.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Known {
    harbor: String,
    component: Option<Component>,
    /// Empty when it runs.
    why: String,
    /// Whether it listens with TLS; none when it is not ready.
    listening: Option<bool>,
    /// Whether it is to go, so that another one tells more.
    goes: bool,
}

/// Pods by registry.
#[derive(Default)]
pub(super) struct Pods(Arc<Mutex<ByRegistry>>);

/// Pods by their names, by registry.
type ByRegistry = HashMap<Key, BTreeMap<String, Arc<Known>>>;

impl Pods {
    /// Takes in what changes, and says which registry it is for.
    pub(super) fn follow(&self) -> impl Fn(Changed<Known>) -> Vec<Key> + Send + 'static {
        let pods = Arc::clone(&self.0);
        move |Changed { key, before, now }| {
            let mut pods = lock(&pods);
            let of = |known: &Known| Key::new(key.namespace(), &known.harbor);
            if let Some(before) = &before
                && let Some(known) = pods.get_mut(&of(before))
            {
                known.remove(key.name());
                if known.is_empty() {
                    pods.remove(&of(before));
                }
            }
            if let Some(now) = &now {
                pods.entry(of(now)).or_default().insert(key.name().to_owned(), Arc::clone(now));
            }
            now.or(before).map(|known| of(&known)).into_iter().collect()
        }
    }

    /// Which components of a registry have a ready pod that listens without TLS, or with it.
    pub(super) fn listening(&self, key: &Key) -> BTreeSet<(Component, bool)> {
        let pods = lock(&self.0);
        let known = pods.get(key).into_iter().flat_map(BTreeMap::values);
        known.filter_map(|known| Some((known.component?, known.listening?))).collect()
    }

    /// Why pods of a registry do not run.
    pub(super) fn of(&self, key: &Key) -> BTreeMap<Component, String> {
        let pods = lock(&self.0);
        let mut known: Vec<_> = pods.get(key).into_iter().flat_map(BTreeMap::values).collect();
        known.sort_by_key(|known| !known.goes);
        known
            .into_iter()
            .filter(|known| !known.why.is_empty())
            .filter_map(|known| Some((known.component?, known.why.clone())))
            .collect()
    }
}

/// What to remember of a pod.
#[allow(clippy::needless_pass_by_value, reason = "a watch hands over what it has read")]
pub(super) fn known(pod: Pod) -> Known {
    let label = |name: &str| pod.labels().get(name).cloned().unwrap_or_default();
    let component = label(COMPONENT_LABEL);
    let leaving = pod.metadata.deletion_timestamp.is_some();
    Known {
        harbor: label(HARBOR_LABEL),
        component: COMPONENTS.into_iter().find(|known| known.word() == component),
        why: if leaving { left_behind(&pod) } else { why(&pod) },
        listening: (!leaving && ready(&pod)).then(|| pod.spec.as_ref().is_some_and(encrypts)),
        goes: leaving,
    }
}

fn ready(pod: &Pod) -> bool {
    let mut conditions = pod.status.iter().flat_map(|status| status.conditions.iter().flatten());
    conditions.any(|condition| condition.type_ == "Ready" && condition.status == "True")
}

/// Whether a container has a port of the name that is given to those with TLS.
pub(in crate::harbor) fn encrypts(pod: &PodSpec) -> bool {
    let mut ports = pod.containers.iter().flat_map(|container| container.ports.iter().flatten());
    ports.any(|port| port.name.as_deref() == Some(SECURE_PORT))
}

/// What became of a pod that was sent away from its node and does not go: nobody there hears of it.
fn left_behind(pod: &Pod) -> String {
    let conditions = pod.status.iter().flat_map(|status| &status.conditions).flatten();
    let sent = conditions.into_iter().any(|condition| {
        condition.type_ == "DisruptionTarget" && condition.reason.as_deref() == Some("DeletionByTaintManager")
    });
    if !sent {
        return String::new();
    }
    format!(
        "pod {} was on node {}, which is lost; a volume that is bound to that node comes back with it alone",
        pod.name_any(),
        node(pod)
    )
}

fn node(pod: &Pod) -> &str {
    pod.spec.as_ref().and_then(|spec| spec.node_name.as_deref()).unwrap_or_default()
}

/// Whether Kubernetes took a pod for not ready that its node last said is: the node is not heard of.
fn unheard(pod: &Pod) -> bool {
    let Some(status) = &pod.status else { return false };
    let unready = |condition: &PodCondition| condition.type_ == "Ready" && condition.status == "False";
    let mut containers = status.container_statuses.iter().flatten();
    status.conditions.iter().flatten().any(unready)
        && status.container_statuses.as_ref().is_some_and(|all| !all.is_empty())
        && containers.all(|container| container.ready)
}

/// Why a pod does not run, in Kubernetes' words and those of its program.
fn why(pod: &Pod) -> String {
    let Some(status) = &pod.status else { return String::new() };
    let name = pod.name_any();
    let unscheduled = status
        .conditions
        .iter()
        .flatten()
        .find(|condition| condition.type_ == "PodScheduled" && condition.status == "False");
    if let Some(condition) = unscheduled {
        return format!("pod {name} finds no node: {}", condition.message.clone().unwrap_or_default());
    }
    if unheard(pod) {
        return format!("pod {name} is on node {}, which is not heard of", node(pod));
    }
    let mut containers =
        status.init_container_statuses.iter().flatten().chain(status.container_statuses.iter().flatten());
    containers.find_map(said).map_or_else(String::new, |(container, said)| format!("pod {name}, {container}: {said}"))
}

fn said(container: &ContainerStatus) -> Option<(&str, String)> {
    let ended = |state: &k8s_openapi::api::core::v1::ContainerStateTerminated| {
        let last = state.message.as_deref().unwrap_or_default().trim();
        // A program in Go that gives up says why, and then for long where: so the registry of a storage that it can't open.
        let last =
            last.rfind("panic: ").map_or(last, |at| last[at..].split("\n\ngoroutine ").next().unwrap_or_default());
        // The last line says why; those before it what led there.
        let tail: String = last.chars().rev().take(SAID).collect::<Vec<_>>().into_iter().rev().collect();
        let words = if tail.is_empty() { state.reason.clone().unwrap_or_default() } else { tail };
        format!("ended with {}: {words}", state.exit_code)
    };
    let state = container.state.as_ref()?;
    let last = container.last_state.as_ref().and_then(|state| state.terminated.as_ref());
    if let Some(terminated) = state.terminated.as_ref().filter(|terminated| terminated.exit_code != 0) {
        return Some((&container.name, ended(terminated)));
    }
    let waiting = state.waiting.as_ref()?;
    let reason = waiting.reason.clone().unwrap_or_default();
    if ["", "ContainerCreating", "PodInitializing"].contains(&reason.as_str()) {
        return None;
    }
    if let Some(last) = last {
        return Some((&container.name, ended(last)));
    }
    Some((&container.name, format!("{reason}: {}", waiting.message.clone().unwrap_or_default())))
}

#[cfg(test)]
mod tests {
    use rstest::rstest;
    use serde_json::{Value, json};

    use super::*;

    #[rstest]
    #[case::runs(json!({"containerStatuses": [{"state": {"running": {}}}]}), "")]
    #[case::comes(json!({"containerStatuses": [{"state": {"waiting": {"reason": "ContainerCreating"}}}]}), "")]
    #[case::no_image(
        json!({"containerStatuses": [{"state": {"waiting": {"reason": "ImagePullBackOff", "message": "not found"}}}]}),
        "pod a, core: ImagePullBackOff: not found"
    )]
    #[case::ends_again_and_again(
        json!({"containerStatuses": [{
            "state": {"waiting": {"reason": "CrashLoopBackOff", "message": "back-off"}},
            "lastState": {"terminated": {"exitCode": 1, "message": "password authentication failed\n"}},
        }]}),
        "pod a, core: ended with 1: password authentication failed"
    )]
    #[case::gives_up(
        json!({"containerStatuses": [{"state": {"terminated": {
            "exitCode": 2,
            "message": "panic: swift authentication failed: Authorization Failed\n\ngoroutine 1 [running]:\nmain.main()\n\t/go/main.go:23 +0x1a\n",
        }}}]}),
        "pod a, core: ended with 2: panic: swift authentication failed: Authorization Failed"
    )]
    #[case::lost_node(
        json!({
            "conditions": [{"type": "Ready", "status": "False"}],
            "containerStatuses": [{"ready": true, "state": {"running": {}}}],
        }),
        "pod a is on node node-2, which is not heard of"
    )]
    #[case::no_node(
        json!({"conditions": [{"type": "PodScheduled", "status": "False", "message": "0/2 nodes are available"}]}),
        "pod a finds no node: 0/2 nodes are available"
    )]
    fn it_is_told_why_a_pod_does_not_run(#[case] mut status: Value, #[case] expected: &str) {
        for container in status["containerStatuses"].as_array_mut().into_iter().flatten() {
            for (key, value) in [("name", "core"), ("image", "core"), ("imageID", "")] {
                container[key] = json!(value);
            }
            container["ready"] = json!(container["ready"] == true);
            container["restartCount"] = json!(0);
        }
        let pod = json!({
            "apiVersion": "v1", "kind": "Pod", "status": status, "spec": {"nodeName": "node-2", "containers": []},
            "metadata": {"name": "a", "labels": {HARBOR_LABEL: "main", COMPONENT_LABEL: "core"}},
        });
        let known = known(serde_json::from_value(pod).expect("a pod"));
        assert_eq!((known.why.as_str(), known.component), (expected, Some(Component::Core)));
    }

    #[rstest]
    #[case::sent_away("DeletionByTaintManager", "pod a was on node node-2, which is lost")]
    #[case::drained("EvictionByEvictionAPI", "")]
    fn a_pod_that_stays_on_a_lost_node_is_told(#[case] reason: &str, #[case] expected: &str) {
        let condition = json!({"type": "DisruptionTarget", "status": "True", "reason": reason});
        let pod = json!({
            "apiVersion": "v1", "kind": "Pod", "status": {"conditions": [condition]},
            "spec": {"nodeName": "node-2", "containers": []},
            "metadata": {
                "name": "a", "labels": {HARBOR_LABEL: "main", COMPONENT_LABEL: "database"},
                "deletionTimestamp": "2026-01-01T00:00:00Z",
            },
        });
        let known = known(serde_json::from_value(pod).expect("a pod"));
        assert!(known.why.starts_with(expected) && known.why.is_empty() == expected.is_empty(), "{}", known.why);
    }
}
