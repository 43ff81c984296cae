//! `HarborRobot`: an account of a machine in a registry, as the user writes it and reads of it.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};
use kube::{CustomResource, KubeSchema};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::DriftPolicy;

/// An account of a machine in a registry, and the Secret that images are pulled with.
#[derive(CustomResource, KubeSchema, Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[kube(
    group = "fairway.dev",
    version = "v1alpha1",
    kind = "HarborRobot",
    plural = "harborrobots",
    shortname = "hbr",
    category = "fairway",
    namespaced,
    status = "HarborRobotStatus",
    derive = "PartialEq",
    doc = "An account of a machine in a registry, and the Secret that images are pulled with.",
    printcolumn(name = "Ready", type_ = "string", json_path = ".status.conditions[?(@.type==\"Ready\")].status"),
    printcolumn(name = "Harbor", type_ = "string", json_path = ".spec.harborName"),
    printcolumn(name = "Robot", type_ = "string", json_path = ".status.robotName"),
    printcolumn(name = "Secret", type_ = "string", json_path = ".status.secretName"),
    printcolumn(name = "Expires", type_ = "string", json_path = ".status.expiresAt"),
    printcolumn(name = "Reason", type_ = "string", json_path = ".status.conditions[?(@.type==\"Ready\")].reason"),
    printcolumn(name = "Age", type_ = "date", json_path = ".metadata.creationTimestamp"),
    validation = (
        "has(self.spec.robotName) || self.metadata.name.matches('^[a-z0-9]+([._-][a-z0-9]+)*$')",
        "Harbor takes no robot of this name: choose one of a-z and 0-9 with single '.', '_' or '-' between them, or give spec.robotName"
    ),
    validation = (
        "size(self.metadata.name) <= 200 || (has(self.spec.pullSecret) && has(self.spec.pullSecret.name))",
        "metadata.name may have 200 characters, or give spec.pullSecret.name: the Secret is named after it"
    )
)]
#[serde(rename_all = "camelCase")]
#[x_kube(
    validation = (
        "self.level != 'Project' || (size(self.permissions) == 1 && has(self.permissions[0].project) && self.permissions[0].project != '*')",
        "a robot of level Project needs exactly one permission, with the name of its project; choose level System for several projects or the system"
    ),
    validation = (
        "self.level == oldSelf.level && (self.level != 'Project' || self.permissions[0].project == oldSelf.permissions[0].project)",
        "level, and the project of a robot of level Project, can't be changed in Harbor: make another HarborRobot"
    ),
    validation = (
        "has(self.robotName) == has(oldSelf.robotName)",
        "robotName can't be given or taken away later: Harbor does not rename robots; make another HarborRobot"
    ),
    validation = (
        "(has(self.pullSecret) && has(self.pullSecret.name) ? self.pullSecret.name : '') == (has(oldSelf.pullSecret) && has(oldSelf.pullSecret.name) ? oldSelf.pullSecret.name : '')",
        "pullSecret.name can't be changed: the old Secret would stay with a secret that counts; make another HarborRobot"
    ),
    validation = (
        "!has(self.duration) || !has(self.rotation) || self.rotation.after < self.duration",
        "rotation.after must be less than duration: else the robot expires before its secret is made anew"
    )
)]
pub struct HarborRobotSpec {
    /// The `Harbor` of the same namespace that the robot is of. It stays.
    #[schemars(length(min = 1, max = 63))]
    #[x_kube(validation = ("self == oldSelf", "harborName can't be changed: make another HarborRobot"))]
    pub harbor_name: String,

    /// The robot's name in Harbor without its prefix: a-z and 0-9 with single `.`, `_` or `-` between them. It stays.
    /// Default: the resource's own name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 200), regex(pattern = "^[a-z0-9]+([._-][a-z0-9]+)*$"))]
    #[x_kube(validation = ("self == oldSelf", "robotName can't be changed: Harbor does not rename robots; make another HarborRobot"))]
    pub robot_name: Option<String>,

    /// `Project`: the robot belongs to one project, is let into it alone, and goes with it. `System`: it may be let into
    /// several or all projects, and look after the registry itself. It stays. Default: `Project`.
    #[serde(default)]
    pub level: RobotLevel,

    /// What it may do, and where, at most 50.
    #[schemars(length(min = 1, max = 50))]
    pub permissions: Vec<RobotPermission>,

    /// What it is for. Default: none.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    #[schemars(length(max = 500))]
    pub description: String,

    /// For how many days it can log in after its secret was made, each time that one is. Default: for ever.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 36_500))]
    pub duration: Option<i32>,

    /// When its secret is made anew by itself. Default: never.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rotation: Option<RobotRotation>,

    /// With `true` it can't log in. Default: `false`.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub disabled: bool,

    /// The Secret of type `kubernetes.io/dockerconfigjson` that pods name in `imagePullSecrets`. It is in the robot's own
    /// namespace, and goes with the robot. Default: `<name>-pull`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pull_secret: Option<RobotPullSecret>,

    /// What becomes of a difference that somebody made by hand in Harbor: it is told either way; `Mend` puts it right,
    /// `Report` leaves it until the spec is changed. Default: `Mend`.
    #[serde(default)]
    pub drift: DriftPolicy,
}

/// Where a robot lives.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum RobotLevel {
    /// In one project.
    #[default]
    Project,
    /// Above them all.
    System,
}

/// What a robot may do in one place.
#[derive(KubeSchema, Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct RobotPermission {
    /// The name of a project in Harbor, or `*` for all. Default: none, for the registry itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 255))]
    #[x_kube(validation = (
        "self == '*' || self.matches('^[a-z0-9]+([._-][a-z0-9]+)*$')",
        "project must be the name of a project in Harbor, or * for all"
    ))]
    pub project: Option<String>,

    /// What it may do there, at most 60.
    #[schemars(length(min = 1, max = 60))]
    pub access: Vec<RobotAccess>,
}

/// What a robot may do with a kind of thing.
#[derive(KubeSchema, Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct RobotAccess {
    /// As Harbor calls it, such as `repository`, `artifact`, `tag` or `scan`.
    #[schemars(length(min = 1, max = 63), regex(pattern = "^[a-z][-a-z]*$"))]
    pub resource: String,

    /// As Harbor calls them, such as `pull`, `push`, `list`, `read`, `create` or `delete`, at most 16.
    #[schemars(length(min = 1, max = 16), inner(length(min = 1, max = 63), regex(pattern = "^[a-z][-a-z]*$")), extend("x-kubernetes-list-type" = "set"))]
    pub actions: Vec<String>,
}

/// When a robot's secret is made anew.
#[derive(KubeSchema, Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct RobotRotation {
    /// So many days after it was made.
    #[schemars(range(min = 1, max = 3650))]
    pub after: i32,
}

/// The Secret that images are pulled with.
#[derive(KubeSchema, Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct RobotPullSecret {
    /// Its name, which stays. Default: `<name>-pull`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 253), regex(pattern = "^[a-z0-9]([-a-z0-9.]*[a-z0-9])?$"))]
    pub name: Option<String>,
}

/// What Fairway has seen of a robot.
#[derive(KubeSchema, Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct HarborRobotStatus {
    /// The generation of the spec that was last worked through without an error.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,

    /// `Accepted`: Harbor takes what the spec says, and its name is free. `ResolvedRefs`: the Harbor is there and ready, and
    /// the projects are in it. `Synced`: the robot is as the spec says. `Ready`: images can be pulled with its Secret, as far
    /// as its permissions go. `Reconciled`: the last turn ended without an error.
    #[serde(default)]
    #[x_kube(merge_strategy = ListMerge::Map(vec!["type".into()]))]
    pub conditions: Vec<Condition>,

    /// The generation of the spec that was last seen in Harbor whole: what differs later was changed by hand.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub synced_generation: Option<i64>,

    /// The robot's number in Harbor.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub robot_id: Option<i64>,

    /// The robot's full name, which it logs in with, such as `robot$team+ci`.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub robot_name: String,

    /// The Secret with its credentials.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub secret_name: String,

    /// When its secret was made.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rotated_at: Option<Time>,

    /// When its secret is made anew; none without rotation.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next_rotation_at: Option<Time>,

    /// When it can log in no more; none for never.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires_at: Option<Time>,

    /// The fields of the spec that Harbor differs from (`secret` for its secret); empty when it is as the spec says.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 16))]
    pub drift: Vec<String>,
}
