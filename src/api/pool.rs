//! Pools: groups of servers that listeners pass traffic to.

use kube::KubeSchema;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// A group of servers.
#[derive(KubeSchema, Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Pool {
    /// The pool's name: a-z, 0-9 and -, at most 40 characters.
    #[schemars(length(min = 1, max = 40), regex(pattern = "^[a-z0-9]([-a-z0-9]*[a-z0-9])?$"))]
    pub name: String,

    /// How a member is chosen: `RoundRobin`, `LeastConnections`, or `Source` (the same client address
    /// goes to the same member while it is up). Default: `RoundRobin`.
    #[serde(default)]
    pub algorithm: Algorithm,

    /// How it is found out whether a member is well. Default: nothing is checked, and every member gets
    /// traffic.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub monitor: Option<Monitor>,

    /// Members by address, at most 256. Default: none.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 256))]
    #[x_kube(merge_strategy = ListMerge::Map(vec!["address".into(), "port".into()]))]
    pub members: Vec<Member>,

    /// Services whose ready endpoints are members, followed as they come and go, at most 8. Default:
    /// none.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 8))]
    #[x_kube(merge_strategy = ListMerge::Map(vec!["name".into()]))]
    pub services: Vec<ServiceMembers>,

    /// How long a member is waited for. Defaults: see the fields.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub timeouts: Option<PoolTimeouts>,
}

/// How a member is chosen.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum Algorithm {
    /// One after the other, by weight.
    #[default]
    RoundRobin,
    /// The one with the fewest connections, by weight.
    LeastConnections,
    /// By a hash of the client's address.
    Source,
}

/// A server by its address.
#[derive(KubeSchema, Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Member {
    /// The IPv4 or IPv6 address; host names are not looked up.
    #[schemars(length(min = 2, max = 45))]
    #[x_kube(validation = (
        "isIP(self)",
        "address must be an IPv4 or IPv6 address, such as 192.0.2.10; host names are not looked up"
    ))]
    pub address: String,

    /// The port, 1 to 65535.
    #[schemars(range(min = 1, max = 65535))]
    pub port: i32,

    /// The share of traffic against the other members, 0 to 256; 0 gives it nothing new. Default: 100.
    #[serde(default = "default_weight")]
    #[schemars(range(min = 0, max = 256))]
    pub weight: i32,
}

/// The endpoints of a Service as members.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ServiceMembers {
    /// The name of a Service in the same namespace.
    #[schemars(length(min = 1, max = 63), regex(pattern = "^[a-z]([-a-z0-9]*[a-z0-9])?$"))]
    pub name: String,

    /// The Service's port, by number or by name. Default: its only port.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub port: Option<ServicePort>,

    /// The share of traffic of each endpoint against the other members, 0 to 256. Default: 100.
    #[serde(default = "default_weight")]
    #[schemars(range(min = 0, max = 256))]
    pub weight: i32,
}

/// A port of a Service, by number or by name.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum ServicePort {
    /// As in the Service's `spec.ports[].port`.
    Number(i32),
    /// As in the Service's `spec.ports[].name`.
    Name(String),
}

impl JsonSchema for ServicePort {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "ServicePort".into()
    }

    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({ "x-kubernetes-int-or-string": true })
    }
}

/// How it is found out whether a member is well.
#[derive(KubeSchema, Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[x_kube(
    validation = (
        "self.timeoutSeconds <= self.intervalSeconds",
        "timeoutSeconds must not be longer than intervalSeconds: a check has to end before the next one starts"
    ),
    validation = (
        "self.type == 'HTTP' || (!has(self.path) && !has(self.host) && !has(self.expectedStatus))",
        "path, host and expectedStatus are for monitors of type HTTP only"
    )
)]
pub struct Monitor {
    /// `HTTP` (a GET is answered with an expected status) or `TCP` (a connection is accepted).
    #[serde(rename = "type")]
    pub kind: MonitorKind,

    /// Seconds between two checks of one member, 1 to 3600. Default: 5.
    #[serde(default = "default_interval")]
    #[schemars(range(min = 1, max = 3600))]
    pub interval_seconds: i32,

    /// Seconds that a check may take, 1 to 3600. Default: 3.
    #[serde(default = "default_timeout")]
    #[schemars(range(min = 1, max = 3600))]
    pub timeout_seconds: i32,

    /// How many checks in a row must succeed before a member gets traffic again, 1 to 10. Default: 2.
    #[serde(default = "default_rises")]
    #[schemars(range(min = 1, max = 10))]
    pub rises: i32,

    /// How many checks in a row must fail before a member gets no more traffic, 1 to 10. Default: 3.
    #[serde(default = "default_falls")]
    #[schemars(range(min = 1, max = 10))]
    pub falls: i32,

    /// For `HTTP`: the path and query that are asked for. Default: `/`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 1024), regex(pattern = "^/[!-~]*$"))]
    pub path: Option<String>,

    /// For `HTTP`: the Host header that is sent, with HTTP/1.1. Default: none, with HTTP/1.0.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 253), regex(pattern = "^[A-Za-z0-9]([-A-Za-z0-9.:]*[A-Za-z0-9])?$"))]
    pub host: Option<String>,

    /// For `HTTP`: the status codes that count as well, such as `200`, `200,204` or `200-399`. Default:
    /// `200-399`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(
        length(min = 3, max = 100),
        regex(pattern = "^[1-5][0-9]{2}(-[1-5][0-9]{2})?(,[1-5][0-9]{2}(-[1-5][0-9]{2})?)*$")
    )]
    pub expected_status: Option<String>,
}

/// What a monitor does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "UPPERCASE")]
pub enum MonitorKind {
    /// A GET is answered with an expected status.
    Http,
    /// A connection is accepted.
    Tcp,
}

/// How long a pool waits.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct PoolTimeouts {
    /// Seconds that connecting to a member may take, 1 to 3600. Default: 5.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 3600))]
    pub connect_seconds: Option<i32>,

    /// Seconds of silence after which a member's connection is closed, 1 to 86400. Default: 50.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 86400))]
    pub server_seconds: Option<i32>,
}

fn default_weight() -> i32 {
    100
}

fn default_interval() -> i32 {
    5
}

fn default_timeout() -> i32 {
    3
}

fn default_rises() -> i32 {
    2
}

fn default_falls() -> i32 {
    3
}
