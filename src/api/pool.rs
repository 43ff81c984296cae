//! Pools: groups of servers that listeners pass traffic to.

use kube::KubeSchema;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Monitor, PodMembers, PoolTls, yes};

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

    /// How clients stay with the member that they had. Default: they don't; `algorithm` chooses for each
    /// connection or request.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub persistence: Option<Persistence>,

    /// TLS towards members. Default: none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tls: Option<PoolTls>,

    /// The version of the PROXY protocol that each connection to a member, and each check, begins with: `V1`
    /// or `V2`. Default: none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub proxy_protocol: Option<ProxyProtocol>,

    /// Seconds in which a member that has come back is given more and more traffic, 1 to 3600. Takes effect
    /// with a monitor. Default: it gets its share at once.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 3600))]
    pub slow_start_seconds: Option<i32>,

    /// Members by address, at most 256. Default: none.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 256))]
    #[x_kube(merge_strategy = ListMerge::Map(vec!["address".into(), "port".into()]))]
    pub members: Vec<Member>,

    /// Services whose endpoints are members, followed as they come and go, at most 8. One that is ending but
    /// still serves gets nothing new, except while its Service has no ready one. Default: none.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 8))]
    #[x_kube(merge_strategy = ListMerge::Map(vec!["name".into()]))]
    pub services: Vec<ServiceMembers>,

    /// Pods of the same namespace that are members, without a Service: those that are ready, followed as they
    /// come and go, at most 8 selectors. One that is ending but still serves gets nothing new, except while its
    /// selector matches no ready one. Default: none.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 8))]
    #[x_kube(merge_strategy = ListMerge::Map(vec!["name".into()]))]
    pub pods: Vec<PodMembers>,

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

    /// Whether it is a member at all. With `false` it is as if it were not there; give it weight 0 to let
    /// clients that have it stay. Default: `true`.
    #[serde(default = "yes")]
    pub enabled: bool,

    /// Whether it gets traffic only while no other member is up. Default: `false`.
    #[serde(default)]
    pub backup: bool,

    /// The address that is checked in place of the member's. Default: the member's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 2, max = 45))]
    #[x_kube(validation = (
        "isIP(self)",
        "monitorAddress must be an IPv4 or IPv6 address, such as 192.0.2.10; host names are not looked up"
    ))]
    pub monitor_address: Option<String>,

    /// The port that is checked in place of the member's, 1 to 65535. Default: the monitor's, else the
    /// member's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 65535))]
    pub monitor_port: Option<i32>,
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

    /// Whether its endpoints get traffic only while no other member is up. Default: `false`.
    #[serde(default)]
    pub backup: bool,
}

/// How clients stay with the member that they had.
#[derive(KubeSchema, Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[x_kube(
    validation = (
        "self.type != 'ApplicationCookie' || has(self.cookieName)",
        "persistence of type ApplicationCookie needs cookieName: the name of the cookie that members set"
    ),
    validation = (
        "self.type != 'SourceAddress' || !has(self.cookieName)",
        "persistence of type SourceAddress has no cookieName: change the type or leave it out"
    )
)]
pub struct Persistence {
    /// `SourceAddress` (by the client's address; each replica remembers the 100000 latest), `InsertedCookie`
    /// (by a cookie that HAProxy sets, which holds for all replicas) or `ApplicationCookie` (by a cookie that
    /// members set, whose values each replica remembers). Cookies are for listeners of HTTP and HTTPS.
    #[serde(rename = "type")]
    pub kind: PersistenceKind,

    /// For cookies: the name, of letters, digits, `-`, `_` and `.`. Default: `SRV` for `InsertedCookie`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 64), regex(pattern = "^[A-Za-z0-9_.-]+$"))]
    pub cookie_name: Option<String>,

    /// Seconds without a request after which a client is forgotten, 1 to 604800. Default: 3600; for
    /// `InsertedCookie` when the browser is closed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 604_800))]
    pub expiry_seconds: Option<i32>,
}

/// What clients are known by.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum PersistenceKind {
    /// Their address.
    SourceAddress,
    /// A cookie of HAProxy's.
    InsertedCookie,
    /// A cookie of the members'.
    ApplicationCookie,
}

/// The version of the PROXY protocol that each connection to a member, and each check, begins with: `V1` or
/// `V2`. Default: none.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum ProxyProtocol {
    /// In text.
    V1,
    /// In binary.
    V2,
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

pub(super) fn default_weight() -> i32 {
    100
}
