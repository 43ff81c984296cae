//! Listeners: the ports that a load balancer answers on.

use kube::KubeSchema;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{ClientAuthentication, ListenerRule, ListenerTls, yes};

/// A port that is listened on.
#[derive(KubeSchema, Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[x_kube(
    validation = (
        "self.protocol != 'HTTPS' || (has(self.certificates) && size(self.certificates) > 0)",
        "a listener of protocol HTTPS needs at least one entry in certificates"
    ),
    validation = (
        "self.protocol == 'HTTPS' || !has(self.certificates) || size(self.certificates) == 0",
        "certificates are for listeners of protocol HTTPS only: change the protocol or leave them out"
    ),
    validation = (
        "!(self.port in [9101, 9102, 9443])",
        "ports 9101, 9102 and 9443 belong to the agent and to health checks: choose another port"
    ),
    validation = (
        "self.protocol == 'HTTPS' || (!has(self.tls) && !has(self.hsts) && !has(self.clientAuthentication))",
        "tls, hsts and clientAuthentication are for listeners of protocol HTTPS only: change the protocol or leave them out"
    ),
    validation = (
        "self.protocol in ['HTTP', 'HTTPS'] || !has(self.insertHeaders)",
        "insertHeaders is for listeners of protocol HTTP or HTTPS only: what else passes is not understood"
    ),
    validation = (
        "self.protocol == 'HTTP' || !has(self.redirectToHttps)",
        "redirectToHttps is for listeners of protocol HTTP only: change the protocol or leave it out"
    ),
    validation = (
        "!has(self.redirectToHttps) || !has(self.pool)",
        "a listener with redirectToHttps sends everything that no rule decides to HTTPS: leave out pool"
    ),
    validation = (
        "self.protocol != 'TCP' || has(self.pool)",
        "a listener of protocol TCP needs a pool: nothing else tells where its traffic goes"
    ),
    validation = (
        "has(self.pool) || has(self.redirectToHttps) || (has(self.rules) && size(self.rules) > 0)",
        "a listener needs a pool, rules or redirectToHttps: say where its traffic goes"
    ),
    validation = (
        "self.protocol != 'TCP' || !has(self.rules) || size(self.rules) == 0",
        "rules are for listeners of protocol HTTP, HTTPS or TLS only: of TCP nothing is known that a rule could match"
    ),
    validation = (
        "self.protocol != 'TLS' || !has(self.rules) || self.rules.all(r, !has(r.redirect) && (!has(r.reject) || !has(r.reject.statusCode)) && r.matches.all(m, m.type == 'Host'))",
        "rules of a listener of protocol TLS can match Host only, with reject (without a statusCode) or pool: the rest is encrypted"
    ),
    validation = (
        "self.protocol == 'TLS' || !has(self.timeouts) || !has(self.timeouts.inspectSeconds)",
        "timeouts.inspectSeconds is for listeners of protocol TLS only"
    )
)]
pub struct Listener {
    /// The listener's name: a-z, 0-9 and -, at most 40 characters.
    #[schemars(length(min = 1, max = 40), regex(pattern = "^[a-z0-9]([-a-z0-9]*[a-z0-9])?$"))]
    pub name: String,

    /// Whether it answers. With `false` its port is closed and all else stays. Default: `true`.
    #[serde(default = "yes")]
    pub enabled: bool,

    /// What is spoken: `HTTP`, `HTTPS` (TLS ends here, HTTP goes on to the members), `TCP`, or `TLS` (passed
    /// on still encrypted, by the name that clients ask for, SNI). UDP and SCTP are not HAProxy's.
    #[x_kube(validation = (
        "self in ['HTTP', 'HTTPS', 'TCP', 'TLS']",
        "protocol must be HTTP, HTTPS, TCP or TLS; UDP and SCTP are not HAProxy's"
    ))]
    pub protocol: Protocol,

    /// The port, 1 to 65535; 9101, 9102 and 9443 are taken.
    #[schemars(range(min = 1, max = 65535))]
    pub port: i32,

    /// The name of the pool that traffic goes to when no rule decides. Default: none: HTTP is answered
    /// with 503, and a TLS connection is closed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 40))]
    pub pool: Option<String>,

    /// What happens to which requests, at most 32: the first that matches decides. For `HTTP` and `HTTPS`,
    /// and for `TLS` by name alone. Default: none.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 32))]
    #[x_kube(merge_strategy = ListMerge::Map(vec!["name".into()]))]
    pub rules: Vec<ListenerRule>,

    /// For `HTTPS`: the certificates, at most 64. A client gets the one whose names match the name that
    /// it asks for (SNI), else the first. Default: none.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 64))]
    pub certificates: Vec<CertificateReference>,

    /// For `HTTPS`: versions, ciphers and protocols of TLS. Defaults: see the fields.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tls: Option<ListenerTls>,

    /// For `HTTPS`: which certificates clients have to show. Default: none is asked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub client_authentication: Option<ClientAuthentication>,

    /// For `HTTPS`: tells browsers to come by HTTPS only (HTTP Strict Transport Security). Default: they
    /// are not told.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hsts: Option<Hsts>,

    /// For `HTTP`: what no rule decides is sent to the same host and path by HTTPS. Default: it goes to the
    /// pool.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub redirect_to_https: Option<RedirectToHttps>,

    /// For `HTTP` and `HTTPS`: headers that members are told of the client by. Defaults: see the fields.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub insert_headers: Option<InsertHeaders>,

    /// The client networks that may connect, in CIDR notation, at most 128. Default: all.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 128), inner(length(min = 1, max = 43)))]
    #[x_kube(validation = (
        "self.all(c, isCIDR(c))",
        "allowedCidrs must be networks in CIDR notation, such as 192.0.2.0/24 or 2001:db8::/32"
    ))]
    pub allowed_cidrs: Vec<String>,

    /// How many connections each replica takes at a time, 1 to 1000000; more wait until one ends. Default:
    /// as many as the replica's memory has room for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 1_000_000))]
    pub connection_limit: Option<i32>,

    /// How much each client address may ask. Default: no limit.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rate_limit: Option<RateLimit>,

    /// Whether every connection begins with the PROXY protocol (version 1 or 2), from which the client's
    /// address is taken; connections without it are closed. Default: `false`.
    #[serde(default)]
    pub proxy_protocol: bool,

    /// Whether HAProxy writes each request (with `TCP` and `TLS` each connection) to its standard output, as
    /// a line of JSON. Default: `false`.
    #[serde(default)]
    pub access_log: bool,

    /// How long a silent client is waited for. Defaults: see the fields.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub timeouts: Option<ListenerTimeouts>,
}

/// What is spoken on a listener.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum Protocol {
    /// HTTP/1.1.
    Http,
    /// HTTP over TLS that ends here.
    Https,
    /// Bytes, passed on as they come.
    Tcp,
    /// TLS, passed on as it comes, by the name that it asks for.
    Tls,
}

/// A text to the API server, so that a validation says more than the list of what there is.
impl JsonSchema for Protocol {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Protocol".into()
    }

    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({ "type": "string", "maxLength": 16 })
    }
}

/// A Secret with a certificate.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct CertificateReference {
    /// The name of a Secret of type `kubernetes.io/tls` in the same namespace: `tls.crt` holds the
    /// certificate followed by its intermediates, `tls.key` its key, both as PEM.
    #[schemars(length(min = 1, max = 200), regex(pattern = "^[a-z0-9]([-a-z0-9.]*[a-z0-9])?$"))]
    pub secret_name: String,
}

/// HTTP Strict Transport Security.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Hsts {
    /// Seconds that browsers remember it, 0 (forget it at once) to 63072000 (two years). Default: 31536000
    /// (one year).
    #[serde(default = "default_max_age")]
    #[schemars(range(min = 0, max = 63_072_000))]
    pub max_age_seconds: i32,

    /// Whether it holds for all names below as well. Default: `false`.
    #[serde(default)]
    pub include_subdomains: bool,

    /// Whether the name may be put on the list that browsers come with. Default: `false`.
    #[serde(default)]
    pub preload: bool,
}

/// Where clients without TLS are sent.
#[derive(KubeSchema, Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct RedirectToHttps {
    /// The status code: 301, 302, 303, 307 or 308. Default: 301.
    #[serde(default = "default_https_status")]
    #[x_kube(validation = (
        "self in [301, 302, 303, 307, 308]",
        "statusCode of a redirect must be 301, 302, 303, 307 or 308"
    ))]
    pub status_code: i32,

    /// The port of HTTPS, 1 to 65535. Default: 443.
    #[serde(default = "default_https_port")]
    #[schemars(range(min = 1, max = 65535))]
    pub port: i32,
}

/// Headers that members are told of the client by.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct InsertHeaders {
    /// Whether the client's address is added to `X-Forwarded-For`. Default: `true`.
    #[serde(default = "yes")]
    pub x_forwarded_for: bool,

    /// Whether `X-Forwarded-Proto` is set to `http` or `https`. Default: `true`.
    #[serde(default = "yes")]
    pub x_forwarded_proto: bool,

    /// Whether `X-Forwarded-Port` is set to the listener's port. Default: `true`.
    #[serde(default = "yes")]
    pub x_forwarded_port: bool,
}

impl Default for InsertHeaders {
    fn default() -> Self {
        Self { x_forwarded_for: true, x_forwarded_proto: true, x_forwarded_port: true }
    }
}

/// How much each client address may ask. Each replica counts by itself, the 100000 latest addresses.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct RateLimit {
    /// How many requests a period, 1 to 1000000; what is more is answered with 429. With `TCP` and `TLS` how
    /// many connections; what is more is closed.
    #[schemars(range(min = 1, max = 1_000_000))]
    pub requests: i32,

    /// The period in seconds, 1 to 3600. Default: 60.
    #[serde(default = "default_period")]
    #[schemars(range(min = 1, max = 3600))]
    pub period_seconds: i32,
}

/// How long a listener waits.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ListenerTimeouts {
    /// Seconds of silence after which a client's connection is closed, 1 to 86400. Default: 50.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 86400))]
    pub client_seconds: Option<i32>,

    /// For `TLS`: seconds that a client has to say which name it asks for, 1 to 60; after them the
    /// connection is closed. Default: 5.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 60))]
    pub inspect_seconds: Option<i32>,
}

fn default_max_age() -> i32 {
    31_536_000
}

fn default_https_status() -> i32 {
    301
}

fn default_https_port() -> i32 {
    443
}

fn default_period() -> i32 {
    60
}
