//! What is read, and what gives a registry a turn. The only place of the family that reads.

mod cluster;
mod pods;
mod probes;

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::Secret;
use kube::{
    Api, ResourceExt,
    api::{DynamicObject, ListParams},
};
use serde_json::Value;

use self::{
    cluster::Interest,
    probes::{Answer, Storage},
};
pub(super) use self::{
    cluster::{Observer, cache_as_ensured, database_as_ensured, lock},
    pods::encrypts,
    probes::{Answers, administrator, held},
};
use super::{
    Error, Fact, Harbors,
    names::{self, Component, REGISTRY, REGISTRY_TLS},
    plan::{
        self, administrator as password,
        references::{References, resolve},
        settings::Settings,
    },
    world::{LoggedIn, Shared, World},
};
use crate::{
    api::{Harbor, ServerKind, StorageKind},
    clients::connection::{Authorities, Encryption, Server},
    reconcile::{Key, Owned},
};

impl Harbors {
    /// Reads all that a plan may depend on.
    pub(super) async fn observe_world(&self, resource: &Harbor, owned: &[Owned<Fact>]) -> Result<World, Error> {
        let key = Key::of(resource);
        let class = || resource.spec.class_name.as_deref().and_then(|class| self.observer.class(class));
        // Before anything counts that is read, so that a change right after the reading leads to another turn.
        let named = plan::merged(resource, &World { class: class(), ..World::default() });
        self.observer.interested(&key, interests(resource, named.ok().as_ref(), key.namespace()));
        let mut world = World {
            class: class(),
            pods: self.observer.pods(&key),
            listening: self.observer.listening(&key),
            installation: self.observer.installation.clone(),
            dropped: self.observer.dropped(resource),
            ..World::default()
        };
        for object in owned {
            let place = (object.kind.clone(), object.name.clone());
            if object.deleting {
                world.ending.insert(place);
                continue;
            }
            if let Fact::Credentials { credentials, claim } = &*object.fact
                && object.name == names::credentials(key.name())
            {
                world.credentials = Some((**credentials).clone());
                world.claim = claim.as_deref().cloned();
            }
            if object.controlled {
                world.owned.insert(place.clone());
            }
            world.children.insert(place, Fact::clone(&object.fact));
        }
        let Ok(settings) = plan::merged(resource, &world) else {
            self.ask_what_runs(&key, &mut world).await;
            return Ok(world);
        };
        self.read_named(key.namespace(), &settings, &mut world).await?;
        if settings.issuer().is_some() {
            world.cert_manager = Some(self.certificates_are_known(key.namespace()).await?);
        }
        let core = plan::encryption::core(key.name(), &settings, &world);
        world.credentials = world.credentials.map(|credentials| credentials.for_core(core));
        world.ensured = self.observer.ensured(&key, &settings);
        let Some(credentials) = world.credentials.clone() else { return Ok(world) };
        if let Ok(references) = resolve(key.name(), key.namespace(), &settings, &credentials, &world) {
            // Its futures are large, and most turns end before they are needed.
            let installed = resource.status.as_ref().is_some_and(|status| !status.version.is_empty());
            Box::pin(self.ask(&key, &settings, &references, installed, &mut world)).await;
        } else {
            self.ask_what_runs(&key, &mut world).await;
        }
        Ok(world)
    }

    /// Asks Harbor how it is while its spec can't be followed: what runs runs on, and is told as it is.
    async fn ask_what_runs(&self, key: &Key, world: &mut World) {
        let name = names::child(key.name(), Component::Core);
        let Some(Fact::Pods { ready: 1.., .. }) = world.child("Deployment", &name) else { return };
        let Some(Fact::Service { address: Some(host) }) = world.child("Service", &name) else { return };
        let encrypted = world.listening.contains(&(Component::Core, true));
        let identity = plan::encryption::identity(key.name(), world).filter(|_| encrypted);
        let known = world.credentials.clone().unwrap_or_default().for_core(identity);
        world.health = self.observer.probes.health(key, Some(core_url(host, encrypted)), &known).await;
    }

    /// What the Secrets and `ConfigMap`s hold that the settings name.
    async fn read_named(&self, namespace: &str, settings: &Settings, world: &mut World) -> Result<(), Error> {
        let (secrets, config_maps) = named(settings);
        for name in secrets {
            let found = self.observer.secrets.get(&self.client, namespace, name).await;
            let found = found.map_err(|source| Error::Kubernetes { act: format!("read Secret {name}"), source })?;
            world.secrets.extend(found.map(|data| (name.clone(), data)));
        }
        for name in config_maps {
            let found = self.observer.authorities.get(&self.client, namespace, name).await;
            let found = found.map_err(|source| Error::Kubernetes { act: format!("read ConfigMap {name}"), source })?;
            world.authorities.extend(found.map(|text| (name.clone(), text)));
        }
        Ok(())
    }

    /// Whether the API knows cert-manager's kind of certificate: of one that it does not know, there is no list.
    async fn certificates_are_known(&self, namespace: &str) -> Result<bool, Error> {
        let api: Api<DynamicObject> =
            Api::namespaced_with(self.client.clone(), namespace, &plan::front::certificate_kind());
        match api.list_metadata(&ListParams::default().limit(1)).await {
            Ok(_) => Ok(true),
            // Of an unknown kind it answers in plain text, of which the code alone is understood.
            Err(kube::Error::Api(status)) if status.code == 404 => Ok(false),
            Err(source) => Err(Error::Kubernetes { act: "look for certificates of cert-manager".to_owned(), source }),
        }
    }

    /// What a Secret holds, if there is one.
    pub(super) async fn secret(&self, namespace: &str, name: &str) -> Result<Option<BTreeMap<String, Vec<u8>>>, Error> {
        let api: Api<Secret> = Api::namespaced(self.client.clone(), namespace);
        let act = || format!("read Secret {name}");
        let found = api.get_opt(name).await.map_err(|source| Error::Kubernetes { act: act(), source })?;
        let data = found.map(|secret| secret.data.unwrap_or_default());
        Ok(data.map(|data| data.into_iter().map(|(key, value)| (key, value.0)).collect()))
    }

    /// Asks database, cache and Harbor how they are; not more often than it is worth.
    async fn ask(&self, key: &Key, settings: &Settings, references: &References, installed: bool, world: &mut World) {
        let probes = &self.observer.probes;
        let there = |component: Component, kind: &str| {
            let name = names::child(key.name(), component);
            let ready = matches!(world.child(kind, &name), Some(Fact::Pods { ready, .. }) if *ready > 0);
            match world.child("Service", &name) {
                Some(Fact::Service { address: Some(address) }) if ready => Some(address.clone()),
                _ => None,
            }
        };
        let outside = |host: &str| {
            // A name without dots is one of the registry's own namespace.
            if host.contains(['.', ':']) { host.to_owned() } else { format!("{host}.{}.svc", key.namespace()) }
        };
        let database = match settings.database.kind {
            ServerKind::Managed => there(Component::Database, "StatefulSet"),
            // What runs has its role already, be it that it was moved to another server.
            ServerKind::Shared if !world.ensured.contains(&Shared::Database) && !installed => None,
            ServerKind::Shared | ServerKind::External => Some(outside(&references.database.host)),
        };
        let cache = match settings.cache.kind {
            ServerKind::Managed => there(Component::Cache, "StatefulSet"),
            ServerKind::Shared if !world.ensured.contains(&Shared::Cache) => None,
            ServerKind::Shared | ServerKind::External => Some(outside(&references.cache.host)),
        };
        let encrypted = plan::encryption::encrypts(settings, world, Component::Core);
        let core = there(Component::Core, "Deployment").map(|host| core_url(&host, encrypted));
        let made_up = world.credentials.clone().unwrap_or_default();
        let storage = Storage {
            registry: there(Component::Registry, "Deployment")
                .map(|host| registry_server(host, key.name(), settings, world)),
            bucket: settings.storage.kind != StorageKind::Filesystem,
            keys: &references.storage_keys,
            pods: match world.child("Deployment", &names::child(key.name(), Component::Registry)) {
                Some(Fact::Pods { pins: Some(pins), current, .. }) => (pins, *current),
                _ => ("", false),
            },
        };
        let (database, cache, health, (administrator, configuration), storage) = tokio::join!(
            // What core does not start with may be what is in the database.
            probes.database(key, database, &references.database, core.is_none()),
            probes.cache(key, cache, &references.cache),
            probes.health(key, core.clone(), &made_up),
            self.log_in(key, core.clone(), settings, world),
            probes.storage(key, storage, &made_up),
        );
        if matches!(database, Some(Err(_))) {
            self.observer.doubt(key, Shared::Database);
        }
        if matches!(cache, Some(Err(_))) {
            self.observer.doubt(key, Shared::Cache);
        }
        (world.database, world.cache, world.health) = (database, cache, health);
        (world.core, world.storage) = (core, storage);
        (world.administrator, world.configuration) = (administrator, configuration);
    }

    /// Asks Harbor as its administrator: what images take, and its settings where some are asked for.
    async fn log_in(
        &self,
        key: &Key,
        core: Option<String>,
        settings: &Settings,
        world: &World,
    ) -> (Answer<LoggedIn>, Answer<BTreeMap<String, Value>>) {
        let probes = &self.observer.probes;
        let known = world.credentials.clone().unwrap_or_default();
        let wanted = password::wanted(settings, &known, world).unwrap_or_else(|_| known.clone());
        let told = probes.administrator(key, core.clone(), &known, &wanted).await;
        let configuration = match &told {
            _ if settings.configuration.is_empty() => None,
            // The password that is known does not work: it is not tried once more.
            Some(Ok(told)) if told.changed => None,
            Some(Err(problem)) if [password::REFUSED, password::CHANGING].contains(&problem.reason) => {
                Some(Err(problem.clone()))
            }
            _ => probes.configuration(key, core, &known).await,
        };
        let explained = |problem| password::explained(problem, key.name(), settings);
        (told.map(|told| told.map_err(explained)), configuration.map(|told| told.map_err(explained)))
    }

    /// The name and namespace of a registry.
    pub(super) fn identify(resource: &Harbor) -> (String, String) {
        (resource.name_any(), resource.namespace().unwrap_or_default())
    }
}

/// Where core is, by its Service's address.
pub(super) fn core_url(address: &str, encrypted: bool) -> String {
    let host = if address.contains(':') { format!("[{address}]") } else { address.to_owned() };
    if encrypted { format!("https://{host}:443") } else { format!("http://{host}:80") }
}

/// Where the registry itself is, by its Service's address.
fn registry_server(host: String, name: &str, settings: &Settings, world: &World) -> Server {
    let identity = plan::encryption::identity(name, world);
    match identity.filter(|_| plan::encryption::encrypts(settings, world, Component::Registry)) {
        Some(identity) => {
            let authorities = Authorities::Pem(identity.bundle.into_bytes());
            let name = names::child(name, Component::Registry);
            Server { host, port: REGISTRY_TLS, encryption: Encryption::VerifyName(authorities, name) }
        }
        None => Server { host, port: REGISTRY, encryption: Encryption::Disable },
    }
}

/// The Secrets and `ConfigMap`s that the settings name.
fn named(settings: &Settings) -> (impl Iterator<Item = &String>, impl Iterator<Item = &String>) {
    let Settings { database, cache, storage, exposure, .. } = settings;
    let (database, cache) = (database.external.as_ref(), cache.external.as_ref());
    let secrets = [
        database.map(|external| &external.password_secret_name),
        cache.and_then(|external| external.password_secret_name.as_ref()),
        storage.s3.as_ref().map(|s3| &s3.credentials_secret_name),
        storage.swift.as_ref().map(|swift| &swift.credentials_secret_name),
        exposure.tls.as_ref().and_then(|tls| tls.secret_name.as_ref()),
        settings.administrator.as_ref(),
    ];
    let config_maps = [
        database.and_then(|external| external.ca_config_map_name.as_ref()),
        cache.and_then(|external| external.ca_config_map_name.as_ref()),
        storage.s3.as_ref().and_then(|s3| s3.ca_config_map_name.as_ref()),
        storage.swift.as_ref().and_then(|swift| swift.ca_config_map_name.as_ref()),
    ];
    (secrets.into_iter().flatten(), config_maps.into_iter().flatten())
}

/// All whose change gives a registry a turn.
fn interests(resource: &Harbor, settings: Option<&Settings>, namespace: &str) -> Vec<Interest> {
    let mut interests: Vec<Interest> = resource.spec.class_name.iter().cloned().map(Interest::Class).collect();
    if let Some(settings) = settings {
        let (secrets, config_maps) = named(settings);
        interests.extend(secrets.map(|name| Interest::Secret(Key::new(namespace, name))));
        interests.extend(config_maps.map(|name| Interest::ConfigMap(Key::new(namespace, name))));
    }
    interests
}
