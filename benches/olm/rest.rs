//! What the operator takes: time to lead from its log, the size of its image from the nodes, memory from its process.
//! Touches nothing.

use std::{fs, time::Duration};

use jiff::Timestamp;
use k8s_openapi::api::core::v1::Pod;
use kube::{
    Api, ResourceExt,
    api::{ListParams, LogParams},
};
use serde_json::Value;

use crate::{
    cluster::OPERATOR_LABELS,
    operator::Operator,
    processes,
    wait::{self, LIVE},
};

/// What it takes at rest.
pub(crate) struct Rest {
    /// The image's size as the nodes have pulled it, compressed, in bytes.
    pub(crate) image: f64,
    /// Memory held, in kB.
    pub(crate) memory: f64,
    /// Of that, pages of files, in kB.
    pub(crate) file: f64,
}

async fn pod(operator: &Operator<'_>) -> (Api<Pod>, Pod) {
    let api: Api<Pod> = Api::namespaced(operator.cluster.client.clone(), &operator.namespace);
    let found = api.list(&ListParams::default().labels(OPERATOR_LABELS)).await.unwrap();
    (api, found.items.into_iter().next().unwrap())
}

/// How long it took to lead, since it was ready to.
pub(crate) async fn led(operator: &Operator<'_>) -> Duration {
    let (api, pod) = pod(operator).await;
    wait::until("the operator's log to tell that it leads", LIVE, async || {
        let log = api.logs(&pod.name_any(), &LogParams::default()).await.map_err(|error| error.to_string())?;
        let at = |message: &str| {
            let mut lines = log.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
            lines.find(|line| line["message"] == message)?["timestamp"].as_str()?.parse::<Timestamp>().ok()
        };
        let told = at("Waiting to lead.").zip(at("Leading.")).ok_or("it does not")?;
        Ok::<_, String>(Duration::try_from(told.1.duration_since(told.0)).unwrap_or_default())
    })
    .await
}

/// What it takes once nothing changes.
pub(crate) async fn at_rest(operator: &Operator<'_>, image: &str) -> Rest {
    let (_, digest) = image.split_once('@').unwrap();
    let nodes = operator.cluster.nodes().await;
    let images = nodes.iter().flat_map(|node| &node.status).flat_map(|status| &status.images).flatten();
    let named = |names: &Option<Vec<String>>| names.iter().flatten().any(|name| name.ends_with(digest));
    let image =
        images.into_iter().find(|image| named(&image.names)).and_then(|image| image.size_bytes).unwrap_or_default();
    let (_, pod) = pod(operator).await;
    let process = processes::of(&pod, "operator").remove(0);
    let status = fs::read_to_string(format!("/proc/{}/status", process.id)).unwrap();
    let field = |name: &str| -> f64 {
        let line = status.lines().find(|line| line.starts_with(name)).unwrap();
        line.split_ascii_whitespace().nth(1).unwrap().parse().unwrap()
    };
    #[allow(clippy::cast_precision_loss, reason = "megabytes are told")]
    Rest { image: image as f64, memory: field("VmRSS:"), file: field("RssFile:") }
}
