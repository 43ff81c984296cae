//! What the operator and an agent say to each other. Agents outlive operators: a pod keeps the agent
//! it was started with, so fields are only ever added here, each with a default.
//!
//! Over HTTPS with certificates of the operator's own authority on both sides:
//! - `PUT /v1/configuration` with a [`Configuration`]: `200` and a [`Report`] once the running worker
//!   has proven it, `409` and a [`Conflict`] when a later one is already known, `422` and a [`Report`]
//!   with [`Report::refused`] when HAProxy does not take it, `503` while no HAProxy runs (its next
//!   start takes it), `400` when it breaks the bounds of [`super::validation`].
//! - `GET /v1/report`: a [`Report`]. With `?known=<tag>&wait=<seconds>` it is answered once the report's
//!   [`Report::tag`] (also in the header `etag`) differs from the known one, or when the wait (at most 60
//!   seconds) is over.

use std::{collections::BTreeMap, fmt};

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

/// The file that every [`Configuration`] must hold.
pub const MAIN_FILE: &str = "haproxy.cfg";
/// How the names of files end that hold patterns for `acl ... -f`, one on each line.
pub const LIST_SUFFIX: &str = ".acl";
/// How the names of files end that hold a map: a key, a space and a value on each line.
pub const MAP_SUFFIX: &str = ".map";
/// What a comment in a backend without servers begins with; then come the options that its servers will have, so
/// that the agent can keep slots for them.
pub const EXPECTED_OPTIONS: &str = "# fairway-server";
/// The port on which an agent takes configurations (mutual TLS).
pub const AGENT_PORT: u16 = 9443;
/// The port on which an agent answers `/healthz`, `/readyz` and `/metrics` (plain HTTP).
pub const METRICS_PORT: u16 = 9101;
/// The port on which the HAProxy worker itself answers `/healthz` (plain HTTP).
pub const HEALTH_PORT: u16 = 9102;
/// The DNS name in the operator's client certificate.
pub const OPERATOR_NAME: &str = "operator.fairway.internal";

/// The DNS name in the server certificate of the agents of one load balancer.
#[must_use]
pub fn agent_name(namespace: &str, load_balancer: &str) -> String {
    format!("{load_balancer}.{namespace}.agent.fairway.internal")
}

/// The whole configuration of a load balancer's HAProxy, as one value.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Configuration {
    /// Grows with every change, so that an older configuration never replaces a newer one.
    pub sequence: u64,
    /// Contents by file name (`[a-z0-9][a-z0-9.-]*`), among them [`MAIN_FILE`]. They refer to each
    /// other by these names alone (`default-path config`).
    pub files: BTreeMap<String, String>,
}

/// Names and sizes alone: files may hold keys.
impl fmt::Debug for Configuration {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let sizes: BTreeMap<&str, usize> =
            self.files.iter().map(|(name, content)| (name.as_str(), content.len())).collect();
        formatter.debug_struct("Configuration").field("sequence", &self.sequence).field("sizes", &sizes).finish()
    }
}

impl Configuration {
    /// SHA-256 over names and contents, in hexadecimal; the sequence is not part of it.
    #[must_use]
    pub fn hash(&self) -> String {
        let mut hasher = Sha256::new();
        for (name, content) in &self.files {
            for part in [name, content] {
                hasher.update((part.len() as u64).to_be_bytes());
                hasher.update(part.as_bytes());
            }
        }
        format!("{:x}", hasher.finalize())
    }
}

/// What an agent knows of its HAProxy.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct Report {
    /// The version of the agent.
    pub agent_version: String,
    /// The version that `haproxy -v` tells, such as `2.6.12`; empty while unknown.
    pub haproxy_version: String,
    /// The configuration that the running worker has shown to run; none while none does.
    pub proven: Option<Proven>,
    /// The newest configuration that was not taken, until a newer one is.
    pub refused: Option<Refused>,
    /// Reloads of HAProxy since the agent started.
    pub reloads: u64,
    /// How often HAProxy had drifted from what it should run since the agent started, and was put right.
    pub drifted: u64,
    /// Backends by name, as HAProxy sees them: the members of the configuration that runs.
    pub pools: BTreeMap<String, Vec<MemberHealth>>,
    /// Frontends by name, as HAProxy sees them; empty while it does not tell. Nothing in it changes with
    /// traffic.
    pub listeners: BTreeMap<String, ListenerHealth>,
}

impl Report {
    /// Tells reports apart: the first 32 hexadecimal digits of a SHA-256 over the whole.
    #[must_use]
    pub fn tag(&self) -> String {
        tag(&serde_json::to_vec(self).unwrap_or_default())
    }
}

/// [`Report::tag`] of a report as it was sent, of which some may be unknown here.
#[must_use]
pub fn tag(report: &[u8]) -> String {
    format!("{:x}", Sha256::digest(report)).split_at(32).0.to_owned()
}

/// Why a configuration is not taken: its sequence is not newer than what is known.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct Conflict {
    /// The newest sequence that the agent knows.
    pub newest: u64,
}

/// A configuration that was read back from the running worker.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct Proven {
    /// As [`Configuration::hash`].
    pub hash: String,
    /// As [`Configuration::sequence`].
    pub sequence: u64,
}

/// A configuration that was not taken, and why.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct Refused {
    /// As [`Configuration::hash`].
    pub hash: String,
    /// As [`Configuration::sequence`].
    pub sequence: u64,
    /// What HAProxy or the agent said, at most 1,024 bytes, without file paths of the pod.
    pub message: String,
}

/// A frontend, as HAProxy sees it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct ListenerHealth {
    /// Whether it listens.
    pub state: ListenerState,
    /// The certificate that ends first, of those that it serves with; none while that is not known.
    pub certificate: Option<CertificateHealth>,
}

/// Whether a frontend listens.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum ListenerState {
    /// It takes connections.
    Open,
    /// It was told not to.
    Stopped,
    /// A state that this version does not know.
    #[default]
    #[serde(other)]
    Unknown,
}

/// A certificate, as HAProxy serves it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct CertificateHealth {
    /// The name of its file in the [`Configuration`].
    pub file: String,
    /// When it ends, in seconds since 1970 (UTC).
    pub not_after: i64,
}

/// One server line of a backend, as HAProxy sees it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct MemberHealth {
    /// The name on the `server` line.
    pub name: String,
    /// What HAProxy says of it.
    pub state: MemberState,
    /// The effective weight, 0 to 256.
    pub weight: u32,
    /// What the last check said, such as `L4CON`; empty without a monitor.
    pub check: String,
}

/// Whether a member takes traffic.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum MemberState {
    /// It takes traffic, and its monitor says that it is well.
    Up,
    /// Its monitor says that it is not well.
    Down,
    /// It finishes what it has and takes nothing new.
    Drain,
    /// It was taken out by hand.
    Maintenance,
    /// It takes traffic; nothing monitors it.
    NoMonitor,
    /// A state that this version does not know.
    #[default]
    #[serde(other)]
    Unknown,
}
