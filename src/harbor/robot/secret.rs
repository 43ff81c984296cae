//! What the Secret of a robot holds: the credentials that pods pull with, the secret that is to follow, and a mark of
//! which robot was given which secret when. Pure.

use std::{collections::BTreeMap, fmt};

use base64::{Engine, engine::general_purpose::STANDARD};
use jiff::Timestamp;
use k8s_openapi::api::core::v1::Secret;
use kube::{ResourceExt, api::DynamicObject};
use serde_json::{Value, json};

use crate::harbor::names;

/// The type of the Secret.
pub(super) const TYPE: &str = "kubernetes.io/dockerconfigjson";
/// What pods read.
pub(super) const DOCKER: &str = ".dockerconfigjson";
/// The robot's full name, for other programs.
pub(super) const USERNAME: &str = "username";
/// The robot's secret, for other programs.
pub(super) const PASSWORD: &str = "password";
/// The secret that was chosen, and that Harbor has yet to be given.
pub(super) const NEXT: &str = "next";
/// On the Secret: which robot was given which secret, and when.
pub(super) const MARK: &str = "fairway.dev/robot-secret";

/// A text that is not shown.
#[derive(Clone, PartialEq, Eq)]
pub struct Hidden(pub String);

impl fmt::Debug for Hidden {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("…")
    }
}

/// The Secret of a robot, as far as a plan depends on it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PullSecret {
    /// Its name.
    pub name: String,
    /// What the robot logs in with.
    pub password: Option<Hidden>,
    /// What it will log in with, as soon as Harbor knows it.
    pub next: Option<Hidden>,
    /// What Harbor was given last.
    pub mark: Option<Mark>,
}

/// Which robot was given which secret, and when.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mark {
    /// The robot's number.
    pub robot: i64,
    /// When, to the second.
    pub at: Timestamp,
    /// A hash of the secret, which is too long to be guessed from it.
    pub hash: String,
}

impl Mark {
    /// That a robot was given a secret at a time.
    #[must_use]
    pub fn new(robot: i64, at: Timestamp, password: &str) -> Self {
        Self { robot, at: Timestamp::from_second(at.as_second()).unwrap_or(at), hash: hash(password) }
    }

    /// Reads `ROBOT TIME HASH`.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let mut words = text.split(' ');
        let (robot, at, hash) = (words.next()?, words.next()?, words.next()?);
        Some(Self { robot: robot.parse().ok()?, at: at.parse().ok()?, hash: hash.to_owned() })
    }
}

impl fmt::Display for Mark {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{} {} {}", self.robot, self.at, self.hash)
    }
}

fn hash(password: &str) -> String {
    names::hash([("robot", password)])
}

impl PullSecret {
    /// What to remember of a Secret.
    #[must_use]
    pub fn of(object: &DynamicObject) -> Self {
        let mark = object.annotations().get(MARK).and_then(|text| Mark::parse(text));
        let secret: Option<Secret> =
            serde_json::to_value(object).ok().and_then(|value| serde_json::from_value(value).ok());
        let data = secret.and_then(|secret| secret.data).unwrap_or_default();
        let text = |key: &str| Some(Hidden(String::from_utf8(data.get(key)?.0.clone()).ok()?));
        let next = text(NEXT).filter(|next| acceptable(&next.0));
        Self { name: object.name_any(), password: text(PASSWORD), next, mark }
    }

    /// What Harbor was given last, if the Secret still holds it.
    #[must_use]
    pub fn current(&self) -> Option<(&Mark, &Hidden)> {
        let (mark, password) = (self.mark.as_ref()?, self.password.as_ref()?);
        (mark.hash == hash(&password.0)).then_some((mark, password))
    }
}

/// Whether Harbor takes it as a robot's secret.
pub(super) fn acceptable(secret: &str) -> bool {
    (8..=128).contains(&secret.len())
        && secret.bytes().any(|byte| byte.is_ascii_uppercase())
        && secret.bytes().any(|byte| byte.is_ascii_lowercase())
        && secret.bytes().any(|byte| byte.is_ascii_digit())
}

/// Who logs in where.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Login {
    /// The registry's host, with its port.
    pub host: String,
    /// The robot's full name.
    pub username: String,
}

/// What pods and other programs read, in base64.
pub(super) fn data(login: &Login, password: &str) -> BTreeMap<&'static str, Value> {
    let Login { host, username } = login;
    let auth = STANDARD.encode(format!("{username}:{password}"));
    let docker = json!({ "auths": { host: { "username": username, "password": password, "auth": auth } } });
    let encoded = |text: &str| json!(STANDARD.encode(text));
    BTreeMap::from([
        (DOCKER, encoded(&docker.to_string())),
        (USERNAME, encoded(username)),
        (PASSWORD, encoded(password)),
    ])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at() -> Timestamp {
        "2026-11-23T10:20:30.5Z".parse().expect("a time")
    }

    #[test]
    fn a_mark_is_written_and_read() {
        let mark = Mark::new(7, at(), "Secret-0");
        assert_eq!(Mark::parse(&mark.to_string()), Some(mark));
        assert_eq!(Mark::parse("7"), None);
    }

    #[test]
    fn a_secret_that_was_changed_is_not_the_one_that_was_given() {
        let mark = Some(Mark::new(7, at(), "Secret-0"));
        let with = |password: &str| PullSecret {
            password: Some(Hidden(password.to_owned())),
            mark: mark.clone(),
            ..PullSecret::default()
        };
        assert!(with("Secret-0").current().is_some());
        assert!(with("Secret-1").current().is_none());
        assert!(!format!("{:?}", with("Secret-0")).contains("Secret-0"));
    }

    #[test]
    fn what_pods_read_names_registry_and_robot() {
        let login = Login { host: "registry.example.com".to_owned(), username: "robot$ci".to_owned() };
        let data = data(&login, "Secret-0");
        let docker = STANDARD.decode(data[DOCKER].as_str().expect("a text")).expect("base64");
        let docker: Value = serde_json::from_slice(&docker).expect("JSON");
        let auth = &docker["auths"]["registry.example.com"];
        assert_eq!((auth["username"].as_str(), auth["password"].as_str()), (Some("robot$ci"), Some("Secret-0")));
    }
}
