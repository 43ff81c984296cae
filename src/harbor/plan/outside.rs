//! What those of Harbor's programs have in common that reach what is outside: proxy, authorities, log level. Pure.

use serde_json::Value;

use super::{Context, encryption, pods, volumes};
use crate::{
    api::HarborLogLevel,
    harbor::names::{self, Component},
};

/// Where Harbor looks for certificates, too.
const AUTHORITIES: &str = "/harbor_cust_cert";

/// As core, registryctl and the registry write it.
pub(super) fn log_level(context: &Context<'_>) -> &'static str {
    match context.settings.log_level {
        HarborLogLevel::Debug => "debug",
        HarborLogLevel::Info => "info",
        HarborLogLevel::Warning => "warning",
        HarborLogLevel::Error => "error",
        HarborLogLevel::Fatal => "fatal",
    }
}

/// Adds the volumes with authorities and certificate, where there are any.
pub(super) fn volumes(context: &Context<'_>, component: Component, mut volumes: Vec<Value>) -> Vec<Value> {
    if !context.references.authorities.is_empty() {
        volumes.push(volumes::authorities(context.references.authorities.iter()));
    }
    encryption::volumes(context, component, volumes)
}

/// Adds their mounts.
pub(super) fn mounts(context: &Context<'_>, component: Component, mut mounts: Vec<Value>) -> Vec<Value> {
    if !context.references.authorities.is_empty() {
        mounts.push(pods::mount("authorities", AUTHORITIES));
    }
    encryption::mounts(context, component, mounts)
}

/// Adds what tells the programs of authorities and proxy.
pub(super) fn environment(context: &Context<'_>, component: Component, environment: &mut Vec<Value>) {
    encryption::environment(context, component, environment);
    trust(context, component, environment);
    let Some(proxy) = &context.settings.proxy else { return };
    for (name, value) in [("HTTP_PROXY", &proxy.http), ("HTTPS_PROXY", &proxy.https)] {
        if let Some(value) = value {
            environment.push(pods::plain(name, value.as_str()));
        }
    }
    let own = [Component::Core, Component::JobService, Component::Registry, Component::Portal, Component::Trivy];
    let own = own.map(|component| names::child(context.name, component));
    let mut without: Vec<&str> = own.iter().map(String::as_str).collect();
    without.extend(["127.0.0.1", "localhost", ".svc", ".cluster.local"]);
    without.extend([context.references.database.host.as_str(), context.references.cache.host.as_str()]);
    let storage = &context.settings.storage;
    let storage =
        [storage.s3.as_ref().and_then(|s3| s3.endpoint.as_ref()), storage.swift.as_ref().map(|swift| &swift.auth_url)];
    without.extend(storage.into_iter().flatten().map(|url| host(url)));
    without.extend(proxy.no_proxy.iter().map(String::as_str));
    environment.push(pods::plain("NO_PROXY", without.join(",")));
}

/// The host of a URL.
fn host(url: &str) -> &str {
    let authority = url.split_once("://").map_or(url, |(_, rest)| rest);
    let authority = authority.split('/').next().unwrap_or_default();
    authority.rsplit_once(':').map_or(authority, |(host, _)| host)
}

/// Adds what tells a program of authorities: Go reads these folders besides the image's own bundle. The entrypoints
/// of the images would rewrite that bundle, which a read-only root does not let them.
pub(super) fn trust(context: &Context<'_>, component: Component, environment: &mut Vec<Value>) {
    let mut folders = vec![];
    if !context.references.authorities.is_empty() {
        folders.push(AUTHORITIES.to_owned());
    }
    if context.certificates.is_some() {
        folders.push(encryption::folder(component));
    }
    if !folders.is_empty() {
        environment.push(pods::plain("SSL_CERT_DIR", folders.join(":")));
    }
}
