//! Pods as members of a pool: which of them, and which of their ports.

use std::collections::BTreeMap;

use kube::KubeSchema;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::pool::default_weight;

/// The pods that a selector matches as members.
#[derive(KubeSchema, Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct PodMembers {
    /// A name of its own among the pool's `pods`, which its members are told by: a-z, 0-9 and -, at most 40
    /// characters.
    #[schemars(length(min = 1, max = 40), regex(pattern = "^[a-z0-9]([-a-z0-9]*[a-z0-9])?$"))]
    pub name: String,

    /// The labels that pods of the same namespace must have.
    pub selector: PodSelector,

    /// The pods' port: its number, 1 to 65535, or the name of a container's port, which may have another
    /// number in each pod.
    pub port: PodPort,

    /// The share of traffic of each pod against the other members, 0 to 256. Default: 100.
    #[serde(default = "default_weight")]
    #[schemars(range(min = 0, max = 256))]
    pub weight: i32,

    /// Whether its pods get traffic only while no other member is up. Default: `false`.
    #[serde(default)]
    pub backup: bool,
}

/// The labels that a pod must have: all that is said must hold, and something must be said.
#[derive(KubeSchema, Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = (
    "(has(self.matchLabels) && size(self.matchLabels) > 0) || (has(self.matchExpressions) && size(self.matchExpressions) > 0)",
    "a selector of pods needs at least one entry in matchLabels or matchExpressions: an empty one would take every pod of the namespace"
))]
pub struct PodSelector {
    /// Labels with their values, at most 16. Default: none.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(extend("maxProperties" = 16, "additionalProperties" = label_value()))]
    #[x_kube(validation = (
        "self.all(k, k.matches('^([a-z0-9]([-a-z0-9.]*[a-z0-9])?/)?[A-Za-z0-9]([-A-Za-z0-9_.]*[A-Za-z0-9])?$'))",
        "the keys of matchLabels must be names of labels, such as app or app.kubernetes.io/name"
    ))]
    pub match_labels: BTreeMap<String, String>,

    /// Requirements of labels, at most 16. Default: none.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 16))]
    pub match_expressions: Vec<LabelRequirement>,
}

/// The schema of a label's value.
fn label_value() -> serde_json::Value {
    serde_json::json!({ "type": "string", "maxLength": 63, "pattern": "^([A-Za-z0-9]([-A-Za-z0-9_.]*[A-Za-z0-9])?)?$" })
}

/// What one label must be like.
#[derive(KubeSchema, Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = (
    "(self.operator in ['In', 'NotIn']) == (has(self.values) && size(self.values) > 0)",
    "a requirement with the operator In or NotIn needs values; one with Exists or DoesNotExist has none"
))]
pub struct LabelRequirement {
    /// The name of the label, such as `app` or `app.kubernetes.io/name`.
    #[schemars(
        length(min = 1, max = 317),
        regex(pattern = "^([a-z0-9]([-a-z0-9.]*[a-z0-9])?/)?[A-Za-z0-9]([-A-Za-z0-9_.]*[A-Za-z0-9])?$")
    )]
    pub key: String,

    /// `In` or `NotIn` (its value is, or isn't, one of `values`; without the label it isn't), `Exists` or
    /// `DoesNotExist`.
    pub operator: LabelOperator,

    /// For `In` and `NotIn`: the values, at most 16. Default: none.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(
        length(max = 16),
        inner(length(max = 63), regex(pattern = "^([A-Za-z0-9]([-A-Za-z0-9_.]*[A-Za-z0-9])?)?$"))
    )]
    pub values: Vec<String>,
}

/// How a label is looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum LabelOperator {
    /// Its value is one of some.
    In,
    /// Its value is none of some, or it is not there.
    NotIn,
    /// It is there.
    Exists,
    /// It is not there.
    DoesNotExist,
}

/// A port of a pod, by number or by name.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum PodPort {
    /// The number.
    Number(i32),
    /// As in `spec.containers[].ports[].name` of the pod.
    Name(String),
}

impl JsonSchema for PodPort {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "PodPort".into()
    }

    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({
            "x-kubernetes-int-or-string": true,
            "minimum": 1,
            "maximum": 65535,
            "minLength": 1,
            "maxLength": 15,
            "pattern": "^[a-z0-9]([-a-z0-9]*[a-z0-9])?$",
        })
    }
}
