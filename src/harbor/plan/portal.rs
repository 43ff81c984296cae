//! The pages, and the nginx in front of all where a plain Service was asked for: both are the portal's image. Pure.

use std::fmt::Write;

use kube::api::DynamicObject;
use serde_json::json;

use super::{
    Context, encryption,
    front::{REFUSED, ROUTES},
    pods::{self, HARBOR_USER, Pod},
    settings::resources,
    volumes,
};
use crate::harbor::names::{self, Component, HTTP};

const FILE: &str = "nginx.conf";
/// What the nginx in front answers by itself.
const ALIVE: &str = "/fairway-alive";
/// How long an upload or a download may stand still, in seconds.
const PATIENCE: u32 = 900;

/// The pages, with their configuration and their Service.
pub(super) fn objects(context: &Context<'_>) -> Vec<DynamicObject> {
    let locations = "
            root /usr/share/nginx/html;
            index index.html;
            include /etc/nginx/mime.types;
            gzip on;
            gzip_min_length 1000;
            gzip_proxied expired no-cache no-store private auth;
            gzip_types text/plain text/css application/json application/javascript text/xml application/xml;
            location /devcenter-api-2.0 { try_files $uri $uri/ /swagger-ui-index.html; }
            location / { try_files $uri $uri/ /index.html; }
            location = /index.html { add_header Cache-Control \"no-store, no-cache, must-revalidate\"; }";
    let listen = if context.certificates.is_some() {
        let folder = encryption::folder(Component::Portal);
        format!(
            "{} ssl;
            ssl_certificate {folder}/tls.crt;
            ssl_certificate_key {folder}/tls.key;
            ssl_protocols TLSv1.2 TLSv1.3",
            encryption::listen(context, HTTP)
        )
    } else {
        HTTP.to_string()
    };
    // Behind an Ingress, which can refuse nothing, what nobody may reach comes here.
    let locations = refusals() + locations;
    let mut objects = nginx(context, Component::Portal, &configuration("", &listen, &locations), replicas(context));
    objects.push(encryption::service(context, Component::Portal, &[("http", 80, HTTP)]));
    objects
}

/// What sends each request where it belongs; its Service is made with the front door.
pub(super) fn front(context: &Context<'_>) -> Vec<DynamicObject> {
    let mut locations =
        String::from("\n            client_max_body_size 0;\n            chunked_transfer_encoding on;");
    let portal = names::child(context.name, Component::Portal);
    let core = names::child(context.name, Component::Core);
    locations += &refusals();
    // Whether it listens itself: core can be reached while the portal is away. (Writing to a String does not fail.)
    let _ = write!(locations, "\n            location = {ALIVE} {{ return 200; }}");
    for (path, host) in ROUTES.map(|path| (path, &core)).into_iter().chain([("/", &portal)]) {
        let pass = if context.certificates.is_some() {
            format!("https://{host}; proxy_ssl_name {host};")
        } else {
            format!("http://{host};")
        };
        let _ = write!(locations, "\n            location {path} {{ proxy_pass {pass} }}");
    }
    let shared = format!(
        "
        proxy_http_version 1.1;
        proxy_set_header Host $http_host;
        proxy_set_header X-Real-IP $remote_addr;
        proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for;
        proxy_set_header X-Forwarded-Proto {};
        proxy_buffering off;
        proxy_request_buffering off;
        proxy_send_timeout {PATIENCE};
        proxy_read_timeout {PATIENCE};
        send_timeout {PATIENCE};
        client_body_timeout {PATIENCE};{}",
        if context.settings.url.secure { "https" } else { "http" },
        verified(context)
    );
    nginx(context, Component::Front, &configuration(&shared, &HTTP.to_string(), &locations), replicas(context))
}

/// What nobody may reach.
fn refusals() -> String {
    REFUSED.map(|path| format!("\n            location {path} {{ return 404; }}")).concat()
}

/// How the nginx in front knows core and portal.
fn verified(context: &Context<'_>) -> String {
    if context.certificates.is_none() {
        return String::new();
    }
    format!(
        "
        proxy_ssl_verify on;
        proxy_ssl_server_name on;
        proxy_ssl_trusted_certificate {}/ca.crt;",
        encryption::folder(Component::Front)
    )
}

fn replicas(context: &Context<'_>) -> i32 {
    context.settings.components.portal.as_ref().and_then(|portal| portal.replicas).unwrap_or(1)
}

fn nginx(context: &Context<'_>, component: Component, configuration: &str, replicas: i32) -> Vec<DynamicObject> {
    let asked = context.settings.components.portal.clone().unwrap_or_default();
    let image = context.image(asked.image.as_ref(), "harbor-portal", context.version);
    let resources = resources(asked.resources.as_ref(), ("10m", "32Mi"), ("200m", "128Mi"));
    let name = names::child(context.name, component);
    let mut container = pods::container("nginx", &image, &["nginx", "-g", "daemon off;"], &resources);
    // The one in front speaks TLS to others alone.
    let plain = Context { certificates: None, ..*context };
    let listening = if component == Component::Front { &plain } else { context };
    container["ports"] = json!([encryption::port(listening, "http", HTTP)]);
    let asked_for = if component == Component::Front { ALIVE } else { "/" };
    container["startupProbe"] = encryption::probe(listening, asked_for, HTTP, 1, 120);
    container["readinessProbe"] = encryption::probe(listening, asked_for, HTTP, 10, 3);
    let mounts = vec![
        pods::file("configuration", "/etc/nginx/nginx.conf", FILE),
        pods::mount("cache", "/var/cache/nginx"),
        pods::mount("log", "/var/log/nginx"),
        pods::mount("run", "/run"),
        pods::mount("tmp", "/tmp"),
    ];
    container["volumeMounts"] = json!(encryption::mounts(context, component, mounts));
    let mut parts = vec![(FILE, configuration)];
    encryption::hash(context, component, &mut parts);
    let volumes = vec![
        volumes::config_map("configuration", &name),
        pods::empty("cache", "64Mi"),
        pods::empty("log", "16Mi"),
        pods::empty("run", "16Mi"),
        pods::empty("tmp", "64Mi"),
    ];
    let pod = Pod {
        component,
        user: HARBOR_USER,
        hash: names::hash(parts),
        volumes: encryption::volumes(context, component, volumes),
        containers: vec![container],
    };
    vec![pods::config_map_object(&name, &[(FILE, configuration)]), pods::deployment(context, replicas, false, &pod)]
}

fn configuration(shared: &str, listen: &str, locations: &str) -> String {
    format!(
        "worker_processes 2;
pid /tmp/nginx.pid;
error_log /dev/stderr warn;
events {{ worker_connections 3096; }}
http {{
        client_body_temp_path /tmp/client_body_temp;
        proxy_temp_path /tmp/proxy_temp;
        fastcgi_temp_path /tmp/fastcgi_temp;
        uwsgi_temp_path /tmp/uwsgi_temp;
        scgi_temp_path /tmp/scgi_temp;
        access_log off;
        server_tokens off;{shared}
        server {{
            listen {listen};{locations}
        }}
}}
"
    )
}
