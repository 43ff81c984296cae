//! The front door: a `LoadBalancer` of Fairway's, an Ingress, or a Service with an nginx behind it. Pure.

use std::net::IpAddr;

use kube::api::{ApiResource, DynamicObject, GroupVersionKind};
use serde_json::{Value, json};

use super::{
    Context, encryption,
    pods::{self, object},
    portal,
};
use crate::{
    api::{ExternalTrafficPolicy, FrontDoor, IssuerKind, ServiceKind},
    harbor::{
        Fact,
        names::{self, Component, HTTP, SECURE_PORT},
        world::Problem,
    },
};

/// What goes to core; the rest goes to the portal.
pub(super) const ROUTES: [&str; 4] = ["/api/", "/service/", "/v2/", "/c/"];
/// What nobody may reach, before all else: Docker's old API, and what registries tell core.
pub(super) const REFUSED: [&str; 2] = ["/v1/", "/service/notifications"];
/// How long an upload or a download may stand still, in seconds.
const PATIENCE: i32 = 900;
/// Where `http://` is, whatever the port of `https://`.
const PLAIN: i32 = 80;

/// What clients come through.
pub(super) fn objects(context: &Context<'_>) -> Vec<DynamicObject> {
    match context.settings.exposure.kind {
        FrontDoor::LoadBalancer => vec![load_balancer(context)],
        FrontDoor::Ingress => vec![ingress(context)],
        FrontDoor::Service => {
            let mut objects = portal::front(context);
            objects.push(service(context));
            objects
        }
    }
}

/// The Secret with the certificate that clients are shown: the user's, or the one that cert-manager fills.
pub(super) fn secret(context: &Context<'_>) -> Option<String> {
    let tls = context.settings.exposure.tls.as_ref()?;
    Some(tls.secret_name.clone().unwrap_or_else(|| names::certificate(context.name, Component::Front)))
}

/// cert-manager's kind of certificate, which a cluster may not know.
pub(in crate::harbor) fn certificate_kind() -> ApiResource {
    ApiResource::from_gvk_with_plural(&GroupVersionKind::gvk("cert-manager.io", "v1", "Certificate"), "certificates")
}

/// What cert-manager is asked for, where it is there.
pub(super) fn certificate(context: &Context<'_>) -> Option<DynamicObject> {
    let issuer = context.settings.issuer().filter(|_| context.world.cert_manager == Some(true))?;
    let host = &context.settings.url.host;
    let named = if host.parse::<IpAddr>().is_ok() { "ipAddresses" } else { "dnsNames" };
    let kind = certificate_kind();
    Some(object(json!({
        "apiVersion": kind.api_version,
        "kind": kind.kind,
        "metadata": { "name": names::child(context.name, Component::Front) },
        "spec": {
            "secretName": names::certificate(context.name, Component::Front),
            named: [host],
            "issuerRef": {
                "group": "cert-manager.io",
                "kind": match issuer.issuer_kind {
                    IssuerKind::Issuer => "Issuer",
                    IssuerKind::ClusterIssuer => "ClusterIssuer",
                },
                "name": issuer.issuer_name,
            },
        },
    })))
}

/// Whether cert-manager is there and has issued what clients are shown; nothing else waits for it.
pub(super) fn issued(context: &Context<'_>) -> Result<(), Problem> {
    let Some(issuer) = context.settings.issuer() else { return Ok(()) };
    let name = names::child(context.name, Component::Front);
    if context.world.cert_manager != Some(true) {
        let message = "exposure.tls.certManager needs cert-manager, whose API (cert-manager.io/v1) this cluster does not know: install it, or give exposure.tls.secretName";
        return Err(Problem::new("CertManagerNotInstalled", message));
    }
    match context.world.child("Certificate", &name) {
        Some(Fact::Issuance { ready: true, .. }) => Ok(()),
        Some(Fact::Issuance { message, .. }) => {
            let message = format!("Certificate {name}, of {:?}: {message}", issuer.issuer_name);
            Err(Problem::new("CertificateNotReady", message))
        }
        _ => Err(Problem::new("CertificateNotReady", format!("Certificate {name} is being asked for"))),
    }
}

/// The family of load balancers makes of it what it makes of any other.
fn load_balancer(context: &Context<'_>) -> DynamicObject {
    let asked = context.settings.exposure.load_balancer.clone().unwrap_or_default();
    let ping = "/api/v2.0/ping";
    let mut spec = json!({
        "listeners": listeners(context, &asked.allowed_cidrs),
        "pools": [
            pool(context, "core", Component::Core, ping, 120),
            // Layers take their time.
            pool(context, "registry", Component::Core, ping, PATIENCE),
            pool(context, "portal", Component::Portal, "/", 50),
        ],
    });
    if let Some(class) = asked.class_name {
        spec["className"] = json!(class);
    }
    if let Some(replicas) = asked.replicas {
        spec["replicas"] = json!(replicas);
    }
    if let Some(exposure) = asked.exposure {
        spec["exposure"] = json!(exposure);
    }
    object(json!({
        "apiVersion": "fairway.dev/v1alpha1",
        "kind": "LoadBalancer",
        "metadata": { "name": names::child(context.name, Component::Front) },
        "spec": spec,
    }))
}

/// The port of the URL; and where that is `https`, one that sends clients of `http` there.
fn listeners(context: &Context<'_>, allowed: &[String]) -> Vec<Value> {
    let url = &context.settings.url;
    let mut listener = json!({
        "name": if url.secure { "https" } else { "http" },
        "protocol": if url.secure { "HTTPS" } else { "HTTP" },
        "port": url.port,
        "pool": "portal",
        "rules": rules(),
        "timeouts": { "clientSeconds": PATIENCE },
    });
    let mut listeners = vec![];
    if let Some(secret) = secret(context) {
        listener["certificates"] = json!([{ "secretName": secret }]);
        if url.port != PLAIN {
            let redirect = json!({ "port": url.port });
            listeners.push(json!({ "name": "http", "protocol": "HTTP", "port": PLAIN, "redirectToHttps": redirect }));
        }
    }
    listeners.push(listener);
    if !allowed.is_empty() {
        for listener in &mut listeners {
            listener["allowedCidrs"] = json!(allowed);
        }
    }
    listeners
}

/// The first that matches decides.
fn rules() -> Vec<Value> {
    let refuse = |(index, path): (usize, &&str)| {
        rule(&format!("refuse-{index}"), path, json!({ "reject": { "statusCode": 404 } }))
    };
    let refusals = REFUSED.iter().enumerate().map(refuse);
    let route = |(name, path): (&str, &str)| {
        rule(name, path, json!({ "pool": if path == "/v2/" { "registry" } else { "core" } }))
    };
    refusals.chain(["api", "service", "registry", "controllers"].into_iter().zip(ROUTES).map(route)).collect()
}

fn pool(context: &Context<'_>, name: &str, component: Component, path: &str, seconds: i32) -> Value {
    let service = names::child(context.name, component);
    let tls = encryption::encrypts(context.settings, context.world, component);
    let mut pool = json!({
        "name": name,
        "algorithm": "LeastConnections",
        "monitor": { "type": if tls { "HTTPS" } else { "HTTP" }, "path": path },
        "services": [{ "name": service, "port": if tls { SECURE_PORT } else { "http" } }],
        "timeouts": { "serverSeconds": seconds },
    });
    if tls {
        pool["tls"] = json!({ "caConfigMapName": names::authority(context.name), "serverName": service });
    }
    pool
}

fn rule(name: &str, path: &str, outcome: Value) -> Value {
    let mut rule = outcome;
    rule["name"] = json!(name);
    rule["matches"] = json!([{ "type": "Path", "operator": "StartsWith", "value": path }]);
    rule
}

/// Ingress knows no refusals: what must not be reached ends at the portal, which refuses it.
fn ingress(context: &Context<'_>) -> DynamicObject {
    let asked = context.settings.exposure.ingress.clone().unwrap_or_default();
    let tls = context.certificates.is_some();
    let path = |path: &str, component: Component| {
        json!({
            "path": path,
            "pathType": "Prefix",
            "backend": {
                "service": {
                    "name": names::child(context.name, component),
                    "port": { "name": if tls { SECURE_PORT } else { "http" } },
                },
            },
        })
    };
    let mut paths: Vec<Value> = REFUSED.map(|refused| path(refused, Component::Portal)).into();
    paths.extend(ROUTES.map(|route| path(route, Component::Core)));
    paths.push(path("/", Component::Portal));
    let mut annotations = if asked.annotations.is_empty() {
        json!({
            "nginx.ingress.kubernetes.io/proxy-body-size": "0",
            "nginx.ingress.kubernetes.io/proxy-request-buffering": "off",
            "nginx.ingress.kubernetes.io/proxy-read-timeout": PATIENCE.to_string(),
            "nginx.ingress.kubernetes.io/proxy-send-timeout": PATIENCE.to_string(),
        })
    } else {
        json!(asked.annotations)
    };
    if tls && asked.annotations.is_empty() {
        annotations["nginx.ingress.kubernetes.io/backend-protocol"] = json!("HTTPS");
    }
    let host = &context.settings.url.host;
    let mut spec = json!({ "rules": [{ "host": host, "http": { "paths": paths } }] });
    if let Some(class) = asked.class_name {
        spec["ingressClassName"] = json!(class);
    }
    if let Some(secret) = secret(context) {
        spec["tls"] = json!([{ "hosts": [host], "secretName": secret }]);
    }
    object(json!({
        "apiVersion": "networking.k8s.io/v1",
        "kind": "Ingress",
        "metadata": { "name": names::child(context.name, Component::Front), "annotations": annotations },
        "spec": spec,
    }))
}

fn service(context: &Context<'_>) -> DynamicObject {
    let asked = context.settings.exposure.service.clone().unwrap_or_default();
    let port = context.settings.url.port;
    let port = u16::try_from(if context.settings.url.secure { PLAIN } else { port }).unwrap_or(80);
    let mut service = pods::service(context, Component::Front, &[("http", port, HTTP)]);
    service.data["spec"]["type"] = json!(match asked.kind {
        ServiceKind::ClusterIP => "ClusterIP",
        ServiceKind::NodePort => "NodePort",
        ServiceKind::LoadBalancer => "LoadBalancer",
    });
    if let Some(policy) = asked.external_traffic_policy {
        service.data["spec"]["externalTrafficPolicy"] = json!(match policy {
            ExternalTrafficPolicy::Cluster => "Cluster",
            ExternalTrafficPolicy::Local => "Local",
        });
    }
    if !asked.annotations.is_empty() {
        service.metadata.annotations = Some(asked.annotations);
    }
    service
}
