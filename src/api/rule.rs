//! Rules: what happens to which requests of a listener.

use kube::KubeSchema;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// What happens to which requests.
#[derive(KubeSchema, Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = (
    "(has(self.pool) ? 1 : 0) + (has(self.redirect) ? 1 : 0) + (has(self.reject) ? 1 : 0) == 1",
    "a rule needs exactly one of pool, redirect and reject: say what happens to what it matches"
))]
pub struct ListenerRule {
    /// The rule's name, of its own in its listener: a-z, 0-9 and -, at most 40 characters.
    #[schemars(length(min = 1, max = 40), regex(pattern = "^[a-z0-9]([-a-z0-9]*[a-z0-9])?$"))]
    pub name: String,

    /// What a request must be like, 1 to 8; all of them must hold.
    #[schemars(length(min = 1, max = 8))]
    pub matches: Vec<Match>,

    /// The name of the pool that it goes to. Default: it does not go to a pool.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 40))]
    pub pool: Option<String>,

    /// Where the client is sent. Default: it is not sent elsewhere.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub redirect: Option<Redirect>,

    /// How it is refused; with `TLS` the connection is closed. Default: it is not refused.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reject: Option<Reject>,
}

/// What a request must be like.
#[derive(KubeSchema, Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[x_kube(
    validation = (
        "has(self.key) == (self.type in ['Header', 'Cookie'])",
        "a match of type Header or Cookie needs the name in key; matches of other types have none"
    ),
    validation = (
        "self.type != 'FileType' || self.operator == 'Equals'",
        "a match of type FileType can only be Equals: use type Path with operator Regex for more"
    ),
    validation = (
        "self.operator != 'Regex' || ''.matches(self.value) in [true, false]",
        "value must be a regular expression"
    )
)]
pub struct Match {
    /// What is looked at: `Host` (the name without its port, in any case; with `TLS` the name asked for),
    /// `Path` (as it is sent, without the query), `Header`, `Cookie`, or `FileType` (what follows the last dot
    /// of the path, in any case).
    #[serde(rename = "type")]
    pub kind: MatchKind,

    /// For `Header` and `Cookie`: its name, of letters, digits, `-`, `_` and `.`. Default: none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 64), regex(pattern = "^[A-Za-z0-9_.-]+$"))]
    pub key: Option<String>,

    /// How it is compared: `Equals`, `StartsWith`, `EndsWith`, `Contains` or `Regex` (Perl's, found anywhere).
    /// Default: `Equals`.
    #[serde(default)]
    pub operator: MatchOperator,

    /// What it is compared with, 1 to 256 characters; no control characters.
    #[schemars(length(min = 1, max = 256), regex(pattern = r"^[^\x00-\x1f\x7f]+$"))]
    pub value: String,

    /// Whether it must not be so. Default: `false`.
    #[serde(default)]
    pub invert: bool,
}

/// What is looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum MatchKind {
    /// The name of the host that is asked for.
    Host,
    /// The path.
    Path,
    /// A header.
    Header,
    /// A cookie.
    Cookie,
    /// The ending of the path.
    FileType,
}

/// How it is compared.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum MatchOperator {
    /// They are the same.
    #[default]
    Equals,
    /// It begins so.
    StartsWith,
    /// It ends so.
    EndsWith,
    /// It is somewhere in it.
    Contains,
    /// The regular expression is found in it.
    Regex,
}

/// Where a client is sent.
#[derive(KubeSchema, Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = (
    "has(self.url) != has(self.prefix)",
    "a redirect needs either url (the whole place) or prefix (what is put before path and query)"
))]
pub struct Redirect {
    /// The whole place, such as `https://shop.example/new` or `/new`. Default: none, there is a prefix.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 1024), regex(pattern = "^(https?://|/)[!-~]*$"))]
    pub url: Option<String>,

    /// What is put before the path and query that were asked for, such as `https://shop.example`. Default:
    /// none, there is a url.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 1024), regex(pattern = "^(https?://|/)[!-~]*$"))]
    pub prefix: Option<String>,

    /// The status code: 301, 302, 303, 307 or 308. Default: 302.
    #[serde(default = "default_redirect_status")]
    #[x_kube(validation = (
        "self in [301, 302, 303, 307, 308]",
        "statusCode of a redirect must be 301, 302, 303, 307 or 308"
    ))]
    pub status_code: i32,
}

/// How a request is refused.
#[derive(KubeSchema, Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Reject {
    /// For `HTTP` and `HTTPS`: the status code, one of 400, 401, 403, 404, 405, 410, 413, 429, 500 and 503.
    /// Default: 403.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[x_kube(validation = (
        "self in [400, 401, 403, 404, 405, 410, 413, 429, 500, 503]",
        "statusCode of a rejection must be one of 400, 401, 403, 404, 405, 410, 413, 429, 500 and 503"
    ))]
    pub status_code: Option<i32>,
}

fn default_redirect_status() -> i32 {
    302
}
