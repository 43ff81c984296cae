//! What holds for this load balancer: its own word, else its class's, else the default. Pure.

use std::collections::BTreeMap;

use serde::Serialize;
use sha2::{Digest, Sha256};

use crate::{
    api::{Amounts, Exposure, LoadBalancerClassSpec, LoadBalancerSpec, Resources},
    loadbalancer::world::{Installation, Pins},
};

/// How the pod template is made. To be raised whenever the template is made differently from the same
/// inputs; the older ways stay until no pod can be left that was made by them.
pub const LAYOUT: u32 = 1;

/// What holds.
#[derive(Clone, Debug, PartialEq)]
pub struct Settings {
    /// How many pods.
    pub replicas: i32,
    /// Processor and memory of each.
    pub resources: Resources,
    /// An image that somebody asked for; none where the one of the release will do.
    pub image: Option<String>,
    /// How clients reach the pods.
    pub exposure: Exposure,
    /// The nodes that pods may run on.
    pub node_selector: BTreeMap<String, String>,
}

/// The part of the settings that pods are made from: a change replaces them.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Inputs<'a> {
    resources: &'a Resources,
    image: &'a Option<String>,
    exposure: crate::api::ExposureKind,
    node_selector: &'a BTreeMap<String, String>,
}

impl Settings {
    /// Merges what the load balancer and its class say.
    #[must_use]
    pub fn merge(spec: &LoadBalancerSpec, class: Option<&LoadBalancerClassSpec>) -> Self {
        let class = class.cloned().unwrap_or_default();
        Self {
            replicas: spec.replicas.or(class.replicas).unwrap_or(2),
            resources: spec.resources.clone().or(class.resources).unwrap_or_else(default_resources),
            image: spec.image.clone().or(class.image),
            exposure: spec.exposure.clone().or(class.exposure).unwrap_or_default(),
            node_selector: class.node_selector,
        }
    }

    /// What the pod template is made from: what it was made from before while nobody asks for anything
    /// else, so that a new operator replaces no pod; else what this operator has.
    #[must_use]
    pub fn pins(&self, before: Option<&Pins>, installation: &Installation) -> Pins {
        let inputs = self.inputs();
        if let Some(before) = before.filter(|before| before.inputs == inputs && before.layout <= LAYOUT) {
            return before.clone();
        }
        Pins {
            inputs,
            layout: LAYOUT,
            fairway_image: installation.fairway_image.clone(),
            haproxy_image: self.image.clone().unwrap_or_else(|| installation.haproxy_image.clone()),
        }
    }

    fn inputs(&self) -> String {
        let inputs = Inputs {
            resources: &self.resources,
            image: &self.image,
            exposure: self.exposure.kind,
            node_selector: &self.node_selector,
        };
        let text = serde_json::to_vec(&inputs).unwrap_or_default();
        format!("{:x}", Sha256::digest(text))[..16].to_owned()
    }
}

fn default_resources() -> Resources {
    let amounts = |cpu: &str, memory: &str| Amounts { cpu: Some(cpu.to_owned()), memory: Some(memory.to_owned()) };
    Resources { requests: Some(amounts("100m", "64Mi")), limits: Some(amounts("1", "256Mi")) }
}
