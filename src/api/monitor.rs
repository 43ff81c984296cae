//! Monitors: how it is found out whether a member is well.

use kube::KubeSchema;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// How it is found out whether a member is well.
#[derive(KubeSchema, Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[x_kube(
    validation = (
        "self.timeoutSeconds <= self.intervalSeconds",
        "timeoutSeconds must not be longer than intervalSeconds: a check has to end before the next one starts"
    ),
    validation = (
        "self.type in ['HTTP', 'HTTPS'] || (!has(self.path) && !has(self.method) && !has(self.expectedStatus))",
        "method, path and expectedStatus are for monitors of type HTTP or HTTPS only"
    ),
    validation = (
        "self.type != 'TCP' || !has(self.host)",
        "host is for monitors of type HTTP, HTTPS or TLSHello only"
    )
)]
pub struct Monitor {
    /// `HTTP` (a request is answered with an expected status), `HTTPS` (the same over TLS), `TCP` (a
    /// connection is accepted) or `TLSHello` (TLS is agreed on). The certificate is verified where the pool's
    /// `tls` says so, and else not. In a pool with `tls`, `HTTP` and `TCP` are without TLS all the same.
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

    /// The port that is checked in place of the members', 1 to 65535. Default: the members'.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 65535))]
    pub port: Option<i32>,

    /// For `HTTP` and `HTTPS`: the method, `GET`, `HEAD`, `OPTIONS` or `POST`. Default: `GET`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub method: Option<MonitorMethod>,

    /// For `HTTP` and `HTTPS`: the path and query that are asked for. Default: `/`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 1024), regex(pattern = "^/[!-~]*$"))]
    pub path: Option<String>,

    /// For `HTTP` and `HTTPS`: the Host header that is sent, with HTTP/1.1; for `HTTPS` and `TLSHello` the name
    /// that is asked for (SNI). Default: none, with HTTP/1.0; by TLS the pool's `tls.serverName`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 253), regex(pattern = "^[A-Za-z0-9]([-A-Za-z0-9.:]*[A-Za-z0-9])?$"))]
    pub host: Option<String>,

    /// For `HTTP` and `HTTPS`: the status codes that count as well, such as `200`, `200,204` or `200-399`. Default:
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
pub enum MonitorKind {
    /// A request is answered with an expected status.
    #[serde(rename = "HTTP")]
    Http,
    /// The same over TLS.
    #[serde(rename = "HTTPS")]
    Https,
    /// A connection is accepted.
    #[serde(rename = "TCP")]
    Tcp,
    /// TLS is agreed on.
    #[serde(rename = "TLSHello")]
    TlsHello,
}

/// For `HTTP` and `HTTPS`: the method, `GET`, `HEAD`, `OPTIONS` or `POST`. Default: `GET`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "UPPERCASE")]
pub enum MonitorMethod {
    /// For all of it.
    #[default]
    Get,
    /// For the head of it.
    Head,
    /// For what can be asked.
    Options,
    /// With nothing to say.
    Post,
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
