//! The names and labels of what is made for a load balancer. Pure.

use std::collections::BTreeMap;

use super::config::Mode;
use crate::agent::protocol::{LIST_SUFFIX, MAP_SUFFIX};

/// The name of the Deployment, Service, `ServiceAccount`, `PodDisruptionBudget` and `NetworkPolicy`.
pub(super) fn child(load_balancer: &str) -> String {
    format!("{load_balancer}-lb")
}

/// The name of the Secret that pods boot from.
pub(super) fn configuration_secret(load_balancer: &str) -> String {
    format!("{load_balancer}-lb-configuration")
}

/// The name of the Secret with the agents' certificate.
pub(super) fn identity_secret(load_balancer: &str) -> String {
    format!("{load_balancer}-lb-identity")
}

/// On pods: which load balancer they belong to.
pub(super) const LOAD_BALANCER_LABEL: &str = "fairway.dev/loadbalancer";
/// On the configuration Secret: the hash of what it holds.
pub(super) const HASH_ANNOTATION: &str = "fairway.dev/configuration-hash";
/// On the configuration Secret: the sequence of what it holds.
pub(super) const SEQUENCE_ANNOTATION: &str = "fairway.dev/configuration-sequence";
/// On the Deployment: what its pod template was made from.
pub(super) const PINS_ANNOTATION: &str = "fairway.dev/pod-template";

/// The labels that select a load balancer's pods. They never change: a Deployment's selector can't.
pub(super) fn selector(load_balancer: &str) -> BTreeMap<String, String> {
    BTreeMap::from([(LOAD_BALANCER_LABEL.to_owned(), load_balancer.to_owned())])
}

/// The labels of a load balancer's pods.
pub(super) fn pod_labels(load_balancer: &str) -> BTreeMap<String, String> {
    let mut labels = selector(load_balancer);
    for (key, value) in [
        ("app.kubernetes.io/name", "haproxy"),
        ("app.kubernetes.io/component", "loadbalancer"),
        ("app.kubernetes.io/instance", load_balancer),
        ("app.kubernetes.io/managed-by", "fairway"),
        ("app.kubernetes.io/part-of", "fairway"),
    ] {
        labels.insert(key.to_owned(), value.to_owned());
    }
    labels
}

/// The name of a pool's backend for a mode.
pub(super) fn backend(pool: &str, mode: Mode) -> String {
    match mode {
        Mode::Http => format!("{pool}.http"),
        Mode::Tcp => format!("{pool}.tcp"),
    }
}

/// The name of the file with a Secret's certificate.
pub(super) fn certificate_file(secret: &str) -> String {
    format!("certificate-{secret}.pem")
}

/// The Secret whose certificate a file of this name holds.
pub(super) fn of_certificate_file(file: &str) -> Option<&str> {
    file.strip_prefix("certificate-")?.strip_suffix(".pem")
}

/// The name of the file that lists a listener's certificates.
pub(super) fn certificate_list(listener: &str) -> String {
    format!("certificates-{listener}.list")
}

/// The name of the file with the authorities of a `ConfigMap`.
pub(super) fn authorities_file(config_map: &str) -> String {
    format!("authorities-{config_map}.pem")
}

/// The name of the file with the networks that may connect to a listener.
pub(super) fn allowed_file(listener: &str) -> String {
    format!("allowed-{listener}{LIST_SUFFIX}")
}

/// The name of the file with a listener's routes.
pub(super) fn routes_file(listener: &str) -> String {
    format!("routes-{listener}{MAP_SUFFIX}")
}

/// The `ConfigMap` whose authorities a file of this name holds.
pub(super) fn of_authorities_file(file: &str) -> Option<&str> {
    file.strip_prefix("authorities-")?.strip_suffix(".pem")
}

/// What the names of members begin with that a selector of pods brings; no Service is called like that.
pub(super) fn pods_origin(pods: &str) -> String {
    format!("pods.{pods}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::agent::naming;

    #[test]
    fn the_agent_knows_what_names_mean() {
        for (mode, name) in [(Mode::Http, "http"), (Mode::Tcp, "tcp")] {
            assert_eq!(naming::pool(&backend("shop-1", mode)), ("shop-1", name));
        }
        assert_eq!(naming::secret(&certificate_file("shop.example")), Some("shop.example"));
        let files = [(certificate_list("web"), certificate_file("a") + "\n")].into();
        let found: Vec<_> = naming::certificates(&files).map(|(name, files)| (name, files.count())).collect();
        assert_eq!(found, [("web", 1)]);
        assert_eq!(naming::secret(&authorities_file("clients")), None);
    }
}
