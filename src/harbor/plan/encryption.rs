//! TLS between Harbor's programs: which certificates they need, where they listen then, and how they are called. Pure.
//!
//! Each registry has an authority of its own. Programs read certificates when they start, so a new one replaces the
//! pods that have it, and no others. While TLS is turned on or off some pods still listen as before: Services have the
//! ports of both, by the names that containers give them, so that each port leads to those pods alone that listen there.

use std::collections::BTreeMap;

use jiff::Timestamp;
use kube::api::DynamicObject;
use serde_json::{Value, json};

use super::{Context, leaving, pods, settings::Settings};
use crate::harbor::{
    Fact,
    credentials::CoreIdentity,
    names::{self, Component, HTTP, HTTPS, REGISTRY, REGISTRY_TLS, SECURE_PORT},
    world::{Problem, World},
};

/// What certificates of internal TLS came to.
#[derive(Clone, Debug)]
pub struct Certificates {
    /// The authorities that are trusted, as PEM.
    bundle: String,
    /// A hash over what each component is given.
    hashes: BTreeMap<Component, String>,
    /// What is to be renewed, and why.
    pub(super) due: Option<Due>,
}

/// Certificates that are to be made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Due {
    pub(super) components: Vec<Component>,
    pub(super) why: String,
}

/// What there is of certificates.
pub(super) enum Standing {
    /// None are wanted.
    Off,
    /// All are there.
    Ready(Certificates),
    /// Pods can't be made before these are.
    Missing(Due),
    /// There is something that nobody may make anew.
    Lost(Problem),
}

/// Looks at what there is.
pub(super) fn standing(name: &str, settings: &Settings, world: &World, now: Timestamp) -> Standing {
    if !settings.internal_tls {
        return Standing::Off;
    }
    let secret = names::authority(name);
    let authorities = match world.child("Secret", &secret) {
        Some(Fact::Authority(Some(authorities))) => authorities,
        Some(Fact::Authority(None)) => {
            let message = format!("Secret {secret} can't be read: delete it to have a new authority made");
            return Standing::Lost(Problem::new("AuthorityUnreadable", message));
        }
        _ => {
            let why = "the registry has no certificate authority of its own".to_owned();
            return Standing::Missing(Due { components: encrypted(settings), why });
        }
    };
    let (mut hashes, mut missing, mut due, mut reason) = (BTreeMap::new(), vec![], vec![], None);
    for component in encrypted(settings) {
        match world.child("Secret", &names::certificate(name, component)) {
            Some(Fact::Certificate { leaf: Some(leaf), hash }) => {
                hashes.insert(component, hash.clone());
                if let Some(why) = leaf.needs_renewal(authorities, now) {
                    due.push(component);
                    reason.get_or_insert_with(|| why.to_string());
                }
            }
            _ => missing.push(component),
        }
    }
    if !missing.is_empty() {
        let words: Vec<&str> = missing.iter().map(|component| component.word()).collect();
        let why = format!("there is no certificate for {}", words.join(", "));
        return Standing::Missing(Due { components: missing, why });
    }
    if authorities.lacks_next(now) {
        due = encrypted(settings);
        reason = Some("two thirds of the life of the registry's certificate authority are over".to_owned());
    }
    let due = reason.map(|why| Due { components: due, why });
    Standing::Ready(Certificates { bundle: authorities.bundle(), hashes, due })
}

/// The components that listen with TLS.
fn encrypted(settings: &Settings) -> Vec<Component> {
    let mut components = vec![Component::Core, Component::JobService, Component::Registry, Component::Portal];
    if settings.components.trivy.is_some() {
        components.push(Component::Trivy);
    }
    components
}

/// Every Secret of certificates that may be there: the operator has no right to delete one.
pub(super) fn secrets(name: &str) -> impl Iterator<Item = String> {
    use Component::{Core, JobService, Portal, Registry, Trivy};
    let components = [Core, JobService, Registry, Portal, Trivy].into_iter();
    components.map(|component| names::certificate(name, component)).chain([names::authority(name)])
}

/// How core shows that it is core, now.
pub(in crate::harbor) fn core(name: &str, settings: &Settings, world: &World) -> Option<CoreIdentity> {
    identity(name, world).filter(|_| encrypts(settings, world, Component::Core))
}

/// How core shows that it is core, where it listens with TLS.
pub(in crate::harbor) fn identity(name: &str, world: &World) -> Option<CoreIdentity> {
    let Some(Fact::Authority(Some(authorities))) = world.child("Secret", &names::authority(name)) else { return None };
    Some(CoreIdentity { bundle: authorities.bundle(), name: names::child(name, Component::Core) })
}

/// Whether a component is to be spoken to by TLS now: as its ready pods listen, if any listens as it shall.
pub(in crate::harbor) fn encrypts(settings: &Settings, world: &World, component: Component) -> bool {
    let wanted = settings.internal_tls;
    let listens = |tls: bool| world.listening.contains(&(component, tls));
    if listens(wanted) || !listens(!wanted) { wanted } else { !wanted }
}

/// The Secret of authorities as far as it is planned, and their certificates for those who verify others. They stay when
/// TLS is turned off: pods that still listen with it have to be verified until they are gone.
pub(super) fn objects(context: &Context<'_>) -> Vec<DynamicObject> {
    let known = context.world.child("Secret", &names::authority(context.name));
    let Some(Fact::Authority(Some(authorities))) = known else { return vec![] };
    vec![
        leaving::authority(context.name, true),
        pods::config_map_object(&names::authority(context.name), &[("ca.crt", &authorities.bundle())]),
    ]
}

/// Where one of Harbor's programs is, for another; the port is the one without TLS.
pub(super) fn url(context: &Context<'_>, component: Component, port: u16) -> String {
    let scheme = if context.certificates.is_some() { "https" } else { "http" };
    format!("{scheme}://{}:{}", names::child(context.name, component), listen(context, port))
}

/// The port in place of one without TLS.
pub(super) fn listen(context: &Context<'_>, port: u16) -> u16 {
    if context.certificates.is_some() { secure(port) } else { port }
}

pub(super) fn secure(port: u16) -> u16 {
    match port {
        80 => 443,
        HTTP => HTTPS,
        REGISTRY => REGISTRY_TLS,
        other => other,
    }
}

/// What a port is called in place of its name without TLS.
fn secure_name(name: &str) -> &str {
    if name == "http" { SECURE_PORT } else { "registry-tls" }
}

/// A container's port.
pub(super) fn port(context: &Context<'_>, name: &str, port: u16) -> Value {
    let name = if context.certificates.is_some() { secure_name(name) } else { name };
    json!({ "name": name, "containerPort": listen(context, port), "protocol": "TCP" })
}

/// A probe of what listens with TLS, where there is any. The kubelet does not look at certificates.
pub(super) fn probe(context: &Context<'_>, path: &str, port: u16, period: i32, failures: i32) -> Value {
    let mut probe = pods::http_probe(path, listen(context, port), period, failures);
    if context.certificates.is_some() {
        probe["httpGet"]["scheme"] = json!("HTTPS");
    }
    probe
}

/// A Service with the ports (name, port, target) of those who listen without TLS and of those who do with it.
pub(super) fn service(context: &Context<'_>, component: Component, ports: &[(&str, u16, u16)]) -> DynamicObject {
    let mut service = pods::service(context, component, &[]);
    let port = |name: &str, port: u16| json!({ "name": name, "port": port, "targetPort": name, "protocol": "TCP" });
    let plain = ports.iter().map(|(name, number, _)| port(name, *number));
    let both = ports.iter().filter(|(_, _, target)| secure(*target) != *target);
    let encrypted = both.map(|(name, number, _)| port(secure_name(name), secure(*number)));
    service.data["spec"]["ports"] = plain.chain(encrypted).collect();
    service
}

/// Where a component's certificate is.
pub(super) fn folder(component: Component) -> String {
    format!("/etc/harbor/ssl/{}", component.word())
}

/// Adds the volume with a component's certificate; with the authorities alone for one that has none.
pub(super) fn volumes(context: &Context<'_>, component: Component, mut volumes: Vec<Value>) -> Vec<Value> {
    if let Some(certificates) = context.certificates {
        volumes.push(if certificates.hashes.contains_key(&component) {
            let secret = names::certificate(context.name, component);
            json!({ "name": VOLUME, "secret": { "secretName": secret, "defaultMode": 0o440 } })
        } else {
            super::volumes::config_map(VOLUME, &names::authority(context.name))
        });
    }
    volumes
}

/// Adds its mount.
pub(super) fn mounts(context: &Context<'_>, component: Component, mut mounts: Vec<Value>) -> Vec<Value> {
    if context.certificates.is_some() {
        let mut mount = pods::mount(VOLUME, &folder(component));
        mount["readOnly"] = json!(true);
        mounts.push(mount);
    }
    mounts
}

/// Adds what core, jobservice, registry and its controller are told of their certificate. Its last is read by Harbor's
/// entrypoints alone: whom programs trust, `SSL_CERT_DIR` tells them.
pub(super) fn environment(context: &Context<'_>, component: Component, environment: &mut Vec<Value>) {
    if !context.certificates.is_some_and(|certificates| certificates.hashes.contains_key(&component)) {
        return;
    }
    let folder = folder(component);
    environment.push(pods::plain("INTERNAL_TLS_ENABLED", "true"));
    for (name, file) in [("KEY", "tls.key"), ("CERT", "tls.crt"), ("TRUST_CA", "ca.crt")] {
        environment.push(pods::plain(&format!("INTERNAL_TLS_{name}_PATH"), format!("{folder}/{file}")));
    }
}

/// Adds to a hash what a component reads when it starts: its certificate, else the authorities.
pub(super) fn hash<'a>(context: &'a Context<'_>, component: Component, parts: &mut Vec<(&'a str, &'a str)>) {
    if let Some(certificates) = context.certificates {
        parts.push(("certificate", certificates.hashes.get(&component).unwrap_or(&certificates.bundle)));
    }
}

const VOLUME: &str = "internal-tls";
