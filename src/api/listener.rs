//! Listeners: the ports that a load balancer answers on.

use kube::KubeSchema;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

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
    )
)]
pub struct Listener {
    /// The listener's name: a-z, 0-9 and -, at most 40 characters.
    #[schemars(length(min = 1, max = 40), regex(pattern = "^[a-z0-9]([-a-z0-9]*[a-z0-9])?$"))]
    pub name: String,

    /// What is spoken: `HTTP`, `HTTPS` (TLS ends here, HTTP goes on to the members) or `TCP`. UDP and
    /// SCTP are not HAProxy's.
    pub protocol: Protocol,

    /// The port, 1 to 65535; 9101, 9102 and 9443 are taken.
    #[schemars(range(min = 1, max = 65535))]
    pub port: i32,

    /// The name of the pool that traffic goes to.
    #[schemars(length(min = 1, max = 40))]
    pub pool: String,

    /// For `HTTPS`: the certificates, at most 64. A client gets the one whose names match the name that
    /// it asks for (SNI), else the first. Default: none.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 64))]
    pub certificates: Vec<CertificateReference>,

    /// The client networks that may connect, in CIDR notation, at most 128. Default: all.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 128), inner(length(min = 1, max = 43)))]
    #[x_kube(validation = (
        "self.all(c, isCIDR(c))",
        "allowedCidrs must be networks in CIDR notation, such as 192.0.2.0/24 or 2001:db8::/32"
    ))]
    pub allowed_cidrs: Vec<String>,

    /// How long a silent client is waited for. Defaults: see the fields.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub timeouts: Option<ListenerTimeouts>,
}

/// What is spoken on a listener.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "UPPERCASE")]
pub enum Protocol {
    /// HTTP/1.1.
    Http,
    /// HTTP/1.1 over TLS that ends here.
    Https,
    /// Bytes, passed on as they come.
    Tcp,
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

/// How long a listener waits.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ListenerTimeouts {
    /// Seconds of silence after which a client's connection is closed, 1 to 86400. Default: 50.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 86400))]
    pub client_seconds: Option<i32>,
}
