//! The registry that images are pushed to and pulled from, with its controller in the same pod: both open the same
//! storage. Pure.

use kube::api::DynamicObject;
use serde_json::{Value, json};

use super::{
    Context, core, encryption, outside,
    pods::{self, HARBOR_USER, Pod},
    settings::resources,
    volumes,
};
use crate::{
    api::StorageKind,
    harbor::{
        credentials::{CORE_SECRET, JOBSERVICE_SECRET, REGISTRY_HTPASSWD, REGISTRY_SECRET},
        names::{self, Component, HTTP, REGISTRY},
    },
};

const FILE: &str = "config.yml";
const CONTROLLER_FILE: &str = "controller.yml";
/// Where the volume is.
const FOLDER: &str = "/storage";

/// What images are on, where that is a volume.
pub(super) fn volume(context: &Context<'_>) -> Option<DynamicObject> {
    if context.settings.storage.kind != StorageKind::Filesystem {
        return None;
    }
    let asked = context.settings.storage.filesystem.clone().unwrap_or_default().volume.unwrap_or_default();
    Some(volumes::claim(context, Component::Registry, &asked, "10Gi"))
}

/// The registry and its controller, with their configuration and their Service.
pub(super) fn objects(context: &Context<'_>) -> Vec<DynamicObject> {
    let name = names::child(context.name, Component::Registry);
    let (registry, controller) = (configuration(context), controller_configuration(context));
    let files = [(FILE, registry.as_str()), (CONTROLLER_FILE, controller.as_str())];
    let credentials = context.credentials;
    let mut parts = files.to_vec();
    let keys = [CORE_SECRET, JOBSERVICE_SECRET, REGISTRY_HTPASSWD, REGISTRY_SECRET];
    parts.extend(keys.map(|key| (key, credentials.get(key))));
    let connections = core::connection_hash(context, &[core::REDIS_PASSWORD]);
    parts.extend([("connections", connections.as_str()), ("trusted", &context.references.trusted)]);
    parts.push(("storage", &context.references.storage_keys));
    encryption::hash(context, Component::Registry, &mut parts);
    let mut shared = vec![
        volumes::config_map("configuration", &name),
        volumes::secret("passwd", &names::credentials(context.name), &[(REGISTRY_HTPASSWD, "passwd")]),
        pods::empty("tmp", "1Gi"),
    ];
    let volume = volume(context);
    if volume.is_some() {
        shared.push(volumes::mounted("storage", &names::volume(context.name, Component::Registry)));
    }
    let pod = Pod {
        component: Component::Registry,
        user: HARBOR_USER,
        hash: names::hash(parts),
        volumes: outside::volumes(context, Component::Registry, shared),
        containers: vec![registry_container(context), controller_container(context)],
    };
    let alone = volume.is_some();
    let mut objects = vec![pods::config_map_object(&name, &files)];
    objects.extend(volume);
    objects.push(encryption::service(
        context,
        Component::Registry,
        &[("registry", REGISTRY, REGISTRY), ("http", HTTP, HTTP)],
    ));
    objects.push(pods::deployment(context, context.settings.registry_replicas(), alone, &pod));
    objects
}

fn registry_container(context: &Context<'_>) -> Value {
    let asked = context.settings.components.registry.clone().unwrap_or_default();
    let image = context.image(asked.image.as_ref(), "registry-photon", context.version);
    let resources = resources(asked.resources.as_ref(), ("100m", "128Mi"), ("1", "512Mi"));
    let command = ["/usr/bin/registry_DO_NOT_USE_GC", "serve", "/etc/registry/config.yml"];
    let mut container = pods::container("registry", &image, &command, &resources);
    let credentials = names::credentials(context.name);
    let mut environment = vec![pods::secret("REGISTRY_HTTP_SECRET", &credentials, REGISTRY_SECRET)];
    if context.references.cache.plain() && context.references.cache.password.is_some() {
        let connections = names::connections(context.name);
        environment.extend(literal("REDIS_PASSWORD", &connections, core::REDIS_PASSWORD));
    }
    environment.extend(storage_environment(context));
    outside::environment(context, Component::Registry, &mut environment);
    container["env"] = json!(environment);
    container["ports"] = json!([encryption::port(context, "registry", REGISTRY)]);
    container["startupProbe"] = encryption::probe(context, "/", REGISTRY, 1, 300);
    container["livenessProbe"] = encryption::probe(context, "/", REGISTRY, 10, 6);
    container["readinessProbe"] = encryption::probe(context, "/", REGISTRY, 5, 3);
    container["volumeMounts"] = json!(mounts(context, &[("/etc/registry/passwd", "passwd", "passwd")]));
    container
}

fn controller_container(context: &Context<'_>) -> Value {
    let asked = context.settings.components.registry.clone().unwrap_or_default();
    let image = context.image(asked.controller_image.as_ref(), "harbor-registryctl", context.version);
    let resources = resources(asked.controller_resources.as_ref(), ("50m", "64Mi"), ("500m", "256Mi"));
    let command = ["/home/harbor/harbor_registryctl", "-c", "/etc/registryctl/config.yml"];
    let mut container = pods::container("registryctl", &image, &command, &resources);
    let credentials = names::credentials(context.name);
    let mut environment = vec![
        pods::secret("CORE_SECRET", &credentials, CORE_SECRET),
        pods::secret("JOBSERVICE_SECRET", &credentials, JOBSERVICE_SECRET),
    ];
    environment.extend(storage_environment(context));
    outside::environment(context, Component::Registry, &mut environment);
    container["env"] = json!(environment);
    container["ports"] = json!([encryption::port(context, "http", HTTP)]);
    container["startupProbe"] = encryption::probe(context, "/api/health", HTTP, 1, 300);
    container["livenessProbe"] = encryption::probe(context, "/api/health", HTTP, 10, 6);
    container["readinessProbe"] = encryption::probe(context, "/api/health", HTTP, 10, 3);
    let own = [("/etc/registryctl/config.yml", "configuration", CONTROLLER_FILE)];
    container["volumeMounts"] = json!(mounts(context, &own));
    container
}

/// What both mount, and the files of one, as path, volume and key.
fn mounts(context: &Context<'_>, own: &[(&str, &str, &str)]) -> Vec<Value> {
    let mut mounts = vec![pods::file("configuration", "/etc/registry/config.yml", FILE), pods::mount("tmp", "/tmp")];
    mounts.extend(own.iter().map(|(path, volume, key)| pods::file(volume, path, key)));
    if context.settings.storage.kind == StorageKind::Filesystem {
        mounts.push(pods::mount("storage", FOLDER));
    }
    outside::mounts(context, Component::Registry, mounts)
}

/// Keys and passwords of the storage, from the user's own Secret.
fn storage_environment(context: &Context<'_>) -> Vec<Value> {
    let storage = &context.settings.storage;
    let (secret, keys) = match (&storage.s3, &storage.swift) {
        (Some(s3), _) => (
            &s3.credentials_secret_name,
            [("STORAGE_S3_ACCESSKEY", "accessKey"), ("STORAGE_S3_SECRETKEY", "secretKey")],
        ),
        (_, Some(swift)) => (
            &swift.credentials_secret_name,
            [("STORAGE_SWIFT_USERNAME", "username"), ("STORAGE_SWIFT_PASSWORD", "password")],
        ),
        _ => return vec![],
    };
    keys.iter().flat_map(|(setting, key)| literal(setting, secret, key)).collect()
}

/// A setting of Distribution's from a Secret. It reads its environment as YAML, where 1234 is a number, and a comment
/// what follows a " #"; what stands in a block of YAML stands for itself.
fn literal(setting: &str, secret: &str, key: &str) -> [Value; 2] {
    let block = format!("|1-\n $({setting})");
    [pods::secret(setting, secret, key), pods::plain(&format!("REGISTRY_{setting}"), block)]
}

/// The registry's own file: JSON is YAML, and needs no quoting of ours.
fn configuration(context: &Context<'_>) -> String {
    let cache = &context.references.cache;
    let mut storage = json!({
        "maintenance": {
            // What a push left half done is cleared away after a week.
            "uploadpurging": { "enabled": true, "age": "168h", "interval": "24h", "dryrun": false },
        },
        "delete": { "enabled": true },
        "redirect": { "disable": !context.settings.storage.s3.as_ref().is_some_and(|s3| s3.redirect) },
    });
    let (driver, settings) = driver(context);
    storage[driver] = settings;
    let mut configuration = json!({
        "version": 0.1,
        "log": { "level": registry_level(context), "fields": { "service": "registry" } },
        "http": { "addr": format!(":{}", encryption::listen(context, REGISTRY)), "relativeurls": false },
        "auth": { "htpasswd": { "realm": "harbor-registry-basic-realm", "path": "/etc/registry/passwd" } },
        "validation": { "disabled": true },
        "compatibility": { "schema1": { "enabled": true } },
    });
    if context.certificates.is_some() {
        let folder = encryption::folder(Component::Registry);
        configuration["http"]["tls"] = json!({
            "certificate": format!("{folder}/tls.crt"), "key": format!("{folder}/tls.key"), "minimumtls": "tls1.2",
        });
    }
    if cache.plain() {
        storage["cache"] = json!({ "layerinfo": "redis" });
        configuration["redis"] = json!({
            "addr": format!("{}:{}", cache.host, cache.port),
            "db": cache.databases.unwrap_or_default().registry,
            "readtimeout": "10s",
            "writetimeout": "10s",
            "dialtimeout": "10s",
            "pool": { "maxidle": 20, "maxactive": 100, "idletimeout": "60s" },
        });
    }
    configuration["storage"] = storage;
    pretty(&configuration)
}

/// Distribution knows no `warning` and `fatal`.
fn registry_level(context: &Context<'_>) -> &'static str {
    match outside::log_level(context) {
        "warning" => "warn",
        "fatal" => "error",
        same => same,
    }
}

/// The storage's name, and what the registry has to know of it.
fn driver(context: &Context<'_>) -> (&'static str, Value) {
    let storage = &context.settings.storage;
    let prefix = |asked: &Option<String>| match asked {
        Some(own) if !context.settings.storage_of_class => own.clone(),
        // Each has a folder of its own: the garbage collection of one would take away what it does not know.
        shared => {
            format!("{}/{}/{}", shared.as_deref().unwrap_or("harbor"), context.namespace, context.name)
        }
    };
    if let Some(s3) = &storage.s3 {
        let mut settings = json!({
            "bucket": s3.bucket,
            "region": s3.region.as_deref().unwrap_or("us-east-1"),
            "rootdirectory": format!("/{}", prefix(&s3.prefix)),
            "v4auth": true,
            "chunksize": 10_485_760,
        });
        if let Some(endpoint) = &s3.endpoint {
            settings["regionendpoint"] = json!(endpoint);
            settings["secure"] = json!(endpoint.starts_with("https://"));
        }
        settings["forcepathstyle"] = json!(s3.path_style.unwrap_or(s3.endpoint.is_some()));
        return ("s3", settings);
    }
    if let Some(swift) = &storage.swift {
        let mut settings = json!({
            "authurl": swift.auth_url,
            "container": swift.container,
            "prefix": prefix(&swift.prefix),
            // Keystone's version 3 answers nobody who does not name one.
            "domain": swift.domain.as_deref().unwrap_or("Default"),
        });
        for (name, value) in [("tenant", &swift.tenant), ("region", &swift.region)] {
            if let Some(value) = value {
                settings[name] = json!(value);
            }
        }
        return ("swift", settings);
    }
    ("filesystem", json!({ "rootdirectory": FOLDER, "maxthreads": 100 }))
}

fn controller_configuration(context: &Context<'_>) -> String {
    let mut configuration = json!({
        "protocol": "http",
        "port": encryption::listen(context, HTTP),
        "log_level": outside::log_level(context),
        "registry_config": "/etc/registry/config.yml",
    });
    if context.certificates.is_some() {
        let folder = encryption::folder(Component::Registry);
        configuration["protocol"] = json!("https");
        configuration["https_config"] =
            json!({ "cert": format!("{folder}/tls.crt"), "key": format!("{folder}/tls.key") });
    }
    pretty(&configuration)
}

fn pretty(value: &Value) -> String {
    // A value of JSON can always be written.
    serde_json::to_string_pretty(value).unwrap_or_default() + "\n"
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    #[rstest]
    fn a_key_is_read_as_it_was_written(
        #[values(
            "12345678",
            "1e3",
            "se:cret #1",
            "@x",
            "*x",
            "'",
            "\"",
            "{a}",
            "[",
            "- a",
            "true",
            "~",
            " a ",
            "a\\n"
        )]
        key: &str,
    ) {
        let [_, setting] = literal("STORAGE_S3_SECRETKEY", "one", "secretKey");
        assert_eq!(setting["name"], "REGISTRY_STORAGE_S3_SECRETKEY");
        // As Kubernetes does it.
        let text = setting["value"].as_str().unwrap_or_default().replace("$(STORAGE_S3_SECRETKEY)", key);
        assert_eq!(serde_saphyr::from_str::<Value>(&text).expect("YAML"), Value::String(key.to_owned()));
    }
}
