//! The names, labels and ports of what is made for a registry. Pure.

use std::collections::BTreeMap;

use sha2::{Digest, Sha256};

use crate::clients::postgresql::MARK;

/// One of the programs of a registry.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Component {
    /// `PostgreSQL`.
    Database,
    /// Redis.
    Cache,
    /// The Job that brings the database to a version.
    Migrate,
    /// The API.
    Core,
    /// The jobs.
    JobService,
    /// The registry and its controller.
    Registry,
    /// The pages.
    Portal,
    /// The scanner.
    Trivy,
    /// The metrics.
    Exporter,
    /// The nginx in front, where there is one.
    Front,
}

impl Component {
    /// In names and labels.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Database => "database",
            Self::Cache => "cache",
            Self::Migrate => "migrate",
            Self::Core => "core",
            Self::JobService => "jobservice",
            Self::Registry => "registry",
            Self::Portal => "portal",
            Self::Trivy => "trivy",
            Self::Exporter => "exporter",
            Self::Front => "front",
        }
    }
}

/// On pods: which registry they belong to.
pub(super) const HARBOR_LABEL: &str = "fairway.dev/harbor";
/// On pods and on the Secret of credentials: which part of it they are.
pub(super) const COMPONENT_LABEL: &str = "fairway.dev/component";
/// The label [`COMPONENT_LABEL`] of the Secret with the registry's own certificate authorities.
pub(super) const AUTHORITY: &str = "authority";
/// The label [`COMPONENT_LABEL`] of Secrets with a component's certificate.
pub(super) const CERTIFICATE: &str = "certificate";
/// On pod templates: a hash over the files and secrets that the pods read.
pub(super) const HASH_ANNOTATION: &str = "fairway.dev/configuration-hash";
/// On the Secret of credentials: which databases of which shared Redis are the registry's.
pub(super) const CLAIM_ANNOTATION: &str = "fairway.dev/redis-databases";

/// On a Deployment or `StatefulSet`: what its pod template was made from.
pub(super) const PINS_ANNOTATION: &str = "fairway.dev/pod-template";

/// What Harbor's core and others listen on.
pub(super) const HTTP: u16 = 8080;
/// What Harbor's core and others listen on with TLS between them; core knows no other port for that.
pub(super) const HTTPS: u16 = 8443;
/// What ports with TLS are called where they would be `http` without; every such pod has one.
pub(super) const SECURE_PORT: &str = "https";
/// Where core, jobservice and exporter tell metrics.
pub(super) const METRICS: u16 = 8001;
/// The registry.
pub(super) const REGISTRY: u16 = 5000;
/// The registry with TLS.
pub(super) const REGISTRY_TLS: u16 = 5443;
/// `PostgreSQL`.
pub(super) const POSTGRESQL: u16 = 5432;
/// Redis.
pub(super) const REDIS: u16 = 6379;

/// The name of a component's Deployment, `StatefulSet`, Service and the like.
pub(super) fn child(harbor: &str, component: Component) -> String {
    format!("{harbor}-{}", component.word())
}

/// The name of the Secret with what was made up for a registry.
pub(super) fn credentials(harbor: &str) -> String {
    format!("{harbor}-credentials")
}

/// The name of the Secret with the URLs and passwords of database and cache.
pub(super) fn connections(harbor: &str) -> String {
    format!("{harbor}-connections")
}

/// The name of the Secret with the registry's own certificate authorities, and of the `ConfigMap` with their
/// certificates.
pub(super) fn authority(harbor: &str) -> String {
    format!("{harbor}-authority")
}

/// The name of the Secret with a component's certificate.
pub(super) fn certificate(harbor: &str, component: Component) -> String {
    format!("{harbor}-{}-tls", component.word())
}

/// The names and addresses that a component's certificate is for.
pub(super) fn called(namespace: &str, harbor: &str, component: Component) -> Vec<String> {
    let child = child(harbor, component);
    let mut names = vec![child.clone(), format!("{child}.{namespace}"), format!("{child}.{namespace}.svc")];
    if component == Component::Core {
        // What runs within core calls it by this address.
        names.extend(["localhost".to_owned(), "127.0.0.1".to_owned()]);
    }
    names
}

/// The name of the claim of a volume; database, cache and registry have one.
pub(super) fn volume(harbor: &str, component: Component) -> String {
    format!("{harbor}-{}-data", component.word())
}

/// The labels that select a component's pods. They never change: a Deployment's selector can't.
pub(super) fn selector(harbor: &str, component: Component) -> BTreeMap<String, String> {
    BTreeMap::from([
        (HARBOR_LABEL.to_owned(), harbor.to_owned()),
        (COMPONENT_LABEL.to_owned(), component.word().to_owned()),
    ])
}

/// The labels of a component's pods.
pub(super) fn pod_labels(harbor: &str, component: Component) -> BTreeMap<String, String> {
    let mut labels = selector(harbor, component);
    for (key, value) in [
        ("app.kubernetes.io/name", "harbor"),
        ("app.kubernetes.io/component", component.word()),
        ("app.kubernetes.io/instance", harbor),
        ("app.kubernetes.io/managed-by", "fairway"),
        ("app.kubernetes.io/part-of", "fairway"),
    ] {
        labels.insert(key.to_owned(), value.to_owned());
    }
    labels
}

/// What a shared `PostgreSQL` calls a registry's role and database, and a shared Redis its user: at most 63
/// characters, of its own for each registry of a cluster.
pub(super) fn tenant(namespace: &str, harbor: &str) -> String {
    let hash = format!("{:x}", Sha256::digest(format!("{namespace}/{harbor}")));
    let readable: String = harbor.chars().map(|letter| if letter == '-' { '_' } else { letter }).collect();
    format!("harbor_{readable}_{}", &hash[..12])
}

/// What says on a shared `PostgreSQL` whose a role is.
pub(super) fn mark(namespace: &str, harbor: &str) -> String {
    format!("{MARK}{namespace}/{harbor}")
}

/// A hash over named parts, as an annotation's value.
pub(super) fn hash<'a>(parts: impl IntoIterator<Item = (&'a str, &'a str)>) -> String {
    let mut hasher = Sha256::new();
    for (name, content) in parts {
        for part in [name, content] {
            hasher.update((part.len() as u64).to_be_bytes());
            hasher.update(part);
        }
    }
    format!("{:x}", hasher.finalize())[..16].to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_fit_where_they_go() {
        let longest = "a".repeat(30);
        assert!(volume(&longest, Component::JobService).len() <= 63);
        assert!(tenant("customer", &longest).len() <= 63);
        assert_ne!(tenant("a", "b"), tenant("b", "b"));
        assert_eq!(tenant("team-a", "main-registry"), tenant("team-a", "main-registry"));
    }

    #[test]
    fn a_hash_tells_parts_apart() {
        assert_ne!(hash([("a", "bc")]), hash([("ab", "c")]));
        assert_ne!(hash([("a", "b")]), hash([("a", "b"), ("", "")]));
    }
}
