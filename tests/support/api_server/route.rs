//! What a request asks for, read from its path, query and headers.

use std::collections::BTreeMap;

use serde_json::Value;

use super::{Refusal, refusal};

/// What is to be done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verb {
    Get,
    List,
    Watch,
    Create,
    Update,
    Apply,
    MergePatch,
    JsonPatch,
    Delete,
}

/// One request, as the log keeps it.
#[derive(Clone, Debug)]
pub(crate) struct Request {
    pub(crate) verb: Verb,
    /// Empty for the core group.
    pub(crate) group: String,
    pub(crate) version: String,
    /// Such as `deployments`.
    pub(crate) plural: String,
    /// Empty for all, or for what is in none.
    pub(crate) namespace: String,
    /// Empty for a collection.
    pub(crate) name: String,
    /// Such as `status`; empty for the object itself.
    pub(crate) subresource: String,
    pub(crate) query: BTreeMap<String, String>,
    /// Null if there is none.
    pub(crate) body: Value,
    /// Whether only metadata is asked for.
    pub(crate) metadata_only: bool,
}

impl Request {
    /// Whether it writes, events and leases aside.
    pub(crate) fn writes(&self) -> bool {
        !matches!(self.verb, Verb::Get | Verb::List | Verb::Watch) && self.plural != "events" && self.plural != "leases"
    }

    /// For messages and assertions, such as `Apply configmaps/web`.
    pub(crate) fn brief(&self) -> String {
        let below = if self.subresource.is_empty() { String::new() } else { format!("/{}", self.subresource) };
        format!("{:?} {}/{}{below}", self.verb, self.plural, self.name)
    }

    pub(super) fn api_version(&self) -> String {
        if self.group.is_empty() { self.version.clone() } else { format!("{}/{}", self.group, self.version) }
    }

    /// Who writes: the field manager, or the first word of the user agent.
    pub(super) fn manager(&self) -> &str {
        self.query.get("fieldManager").map_or("unknown", String::as_str)
    }

    pub(super) fn read(parts: &http::request::Parts, body: &[u8]) -> Result<Self, Refusal> {
        let query = query(parts.uri.query().unwrap_or_default());
        let segments: Vec<&str> = parts.uri.path().split('/').filter(|part| !part.is_empty()).collect();
        let (group, version, rest) = match segments.as_slice() {
            ["api", version, rest @ ..] => ("", *version, rest),
            ["apis", group, version, rest @ ..] => (*group, *version, rest),
            _ => return refusal(404, "NotFound", format!("no such path: {}", parts.uri.path())),
        };
        let (namespace, rest) = match rest {
            ["namespaces", namespace, rest @ ..] if !rest.is_empty() => (*namespace, rest),
            rest => ("", rest),
        };
        let part = |index: usize| rest.get(index).copied().unwrap_or_default().to_owned();
        let header = |name| parts.headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default();
        let body = if body.is_empty() { Value::Null } else { read_body(body)? };
        let name = part(1);
        let verb = match (parts.method.as_str(), header("content-type")) {
            ("GET", _) if query.get("watch").is_some_and(|watch| watch == "true") => Verb::Watch,
            ("GET", _) if name.is_empty() => Verb::List,
            ("GET", _) => Verb::Get,
            ("POST", _) => Verb::Create,
            ("PUT", _) => Verb::Update,
            ("DELETE", _) => Verb::Delete,
            ("PATCH", "application/apply-patch+yaml") => Verb::Apply,
            ("PATCH", "application/merge-patch+json") => Verb::MergePatch,
            ("PATCH", "application/json-patch+json") => Verb::JsonPatch,
            (method, kind) => return refusal(415, "UnsupportedMediaType", format!("{method} of {kind:?}")),
        };
        Ok(Self {
            verb,
            group: group.to_owned(),
            version: version.to_owned(),
            plural: part(0),
            namespace: namespace.to_owned(),
            name,
            subresource: part(2),
            query,
            body,
            metadata_only: header("accept").contains("as=PartialObjectMetadata"),
        })
    }
}

fn read_body(body: &[u8]) -> Result<Value, Refusal> {
    serde_json::from_slice(body).map_err(|error| Refusal {
        code: 400,
        reason: "BadRequest",
        message: error.to_string(),
        causes: vec![],
    })
}

fn query(text: &str) -> BTreeMap<String, String> {
    let pairs = text.split('&').filter(|pair| !pair.is_empty());
    pairs
        .map(|pair| pair.split_once('=').unwrap_or((pair, "")))
        .map(|(name, value)| (decode(name), decode(value)))
        .collect()
}

fn decode(text: &str) -> String {
    let mut bytes = text.bytes();
    let mut plain = vec![];
    while let Some(byte) = bytes.next() {
        plain.push(match byte {
            b'+' => b' ',
            b'%' => {
                let digits = [bytes.next().unwrap_or(b'0'), bytes.next().unwrap_or(b'0')];
                let digits = std::str::from_utf8(&digits).unwrap_or("00");
                u8::from_str_radix(digits, 16).unwrap_or(b'?')
            }
            other => other,
        });
    }
    String::from_utf8_lossy(&plain).into_owned()
}
