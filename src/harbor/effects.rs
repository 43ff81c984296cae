//! How what was planned beyond objects is done. The only place of the family that writes.

use std::collections::{BTreeMap, BTreeSet};

use k8s_openapi::{ByteString, api::core::v1::Secret};
use kube::{
    Api, ResourceExt,
    api::{ApiResource, DynamicObject, Patch, PatchParams, PostParams},
};
use serde_json::json;
use tokio::sync::Semaphore;

use super::{
    Error, Harbors,
    credentials::{ADMIN_PASSWORD, CACHE_PASSWORD, Credentials, DATABASE_PASSWORD},
    names::{self, CLAIM_ANNOTATION, COMPONENT_LABEL},
    observe::{administrator, cache_as_ensured, database_as_ensured},
    plan::Effect,
    world::Shared,
};
use crate::{
    api::{Harbor, SharedCacheServer, SharedDatabaseServer, SslMode},
    clients::{
        connection::{Authorities, Encryption, Server},
        harbor::ADMINISTRATOR,
        postgresql::{self, Administrator, Tenant},
        redis::{self, Login, User},
    },
    reconcile::{FAMILY, Family, INSTANCE, KEEP, Key, MANAGED_BY, MANAGER, instance_label, stamp},
};

/// Who makes up a key.
static ONE_KEY: Semaphore = Semaphore::const_new(1);

impl Harbors {
    /// Performs one effect; each may be performed again.
    pub(super) async fn perform_effect(&self, resource: &Harbor, effect: &Effect) -> Result<(), Error> {
        match effect {
            Effect::MakeCredentials { .. } => self.make_credentials(resource).await,
            Effect::MakeCertificates { components, .. } => self.make_certificates(resource, components).await,
            Effect::Configure { address, settings, credentials } => {
                let done = administrator(address, credentials)?.configure(settings).await;
                self.observer.note_configured(&Key::of(resource));
                Ok(done?)
            }
            Effect::ChangePassword { address, before, after, changed } => {
                let key = Key::of(resource);
                let done = self.change_password(&key, (!changed).then_some(address), before, after).await;
                self.observer.note_password(&key, done.is_ok().then_some((address, before, after)));
                done
            }
            Effect::ClaimDatabases { server } => self.claim_databases(resource, server).await,
            Effect::EnsureDatabase { server, credentials } => self.ensure_database(resource, server, credentials).await,
            Effect::EnsureCacheUser { server, credentials, databases } => {
                self.ensure_user(resource, server, credentials, databases).await
            }
            Effect::DropShared { database, cache } => {
                self.drop_shared(resource, database.as_ref(), cache.as_ref()).await
            }
        }
    }

    /// Makes up what is missing. It is created, or what is missing is added to what was read, so that of two who do
    /// so at the same time one fails and neither overwrites a secret.
    async fn make_credentials(&self, resource: &Harbor) -> Result<(), Error> {
        let (name, namespace) = Self::identify(resource);
        let secret = names::credentials(&name);
        let api: Api<Secret> = Api::namespaced(self.client.clone(), &namespace);
        let act = |verb: &str| format!("{verb} Secret {secret}");
        let found = api.get_opt(&secret).await.map_err(|source| Error::Kubernetes { act: act("read"), source })?;
        let before = match &found {
            Some(found) if !belongs(resource, found) => return Err(Error::SecretTaken(secret)),
            Some(found) => {
                let data = found.data.clone().unwrap_or_default();
                Credentials::read(data.into_iter().map(|(key, value)| (key, value.0)).collect())
            }
            None => Credentials::default(),
        };
        // A key of 4096 bits takes a second or so of a processor, which a fleet that begins must not take from all else.
        let turn = ONE_KEY.acquire().await.map_err(|error| Error::Credentials(error.to_string()))?;
        let made = tokio::task::spawn_blocking(move || before.complete()).await;
        drop(turn);
        let made = made.map_err(|error| Error::Credentials(error.to_string()))?.map_err(Error::Credentials)?;
        let data: BTreeMap<String, ByteString> =
            made.into_iter().map(|(key, value)| (key, ByteString(value.into_bytes()))).collect();
        let parameters = PostParams { field_manager: Some(MANAGER.to_owned()), ..PostParams::default() };
        let result = if let Some(found) = found {
            let version = found.resource_version();
            let patch = Patch::Merge(json!({ "metadata": { "resourceVersion": version }, "data": data }));
            let parameters = PatchParams { field_manager: Some(MANAGER.to_owned()), ..PatchParams::default() };
            api.patch(&secret, &parameters, &patch).await.map(|_| ())
        } else {
            let kind = ApiResource::erase::<Secret>(&());
            let mut object = DynamicObject::new(&secret, &kind).data(json!({ "type": "Opaque", "data": data }));
            let labels = object.labels_mut();
            labels.insert(COMPONENT_LABEL.to_owned(), "credentials".to_owned());
            labels.insert(KEEP.to_owned(), "true".to_owned());
            stamp::<Self>(resource, &mut object);
            let api: Api<DynamicObject> = Api::namespaced_with(self.client.clone(), &namespace, &kind);
            api.create(&parameters, &object).await.map(|_| ())
        };
        match result {
            // Another was faster; what it made counts.
            Err(kube::Error::Api(status)) if status.is_already_exists() || status.is_conflict() => Ok(()),
            other => other.map_err(|source| Error::Kubernetes { act: act("write"), source }),
        }
    }

    /// First Harbor, then the Secret: what comes to an end in between is found out by trying both passwords.
    async fn change_password(
        &self,
        key: &Key,
        address: Option<&String>,
        before: &Credentials,
        after: &Credentials,
    ) -> Result<(), Error> {
        let [old, new] = [before, after].map(|credentials| credentials.get(ADMIN_PASSWORD).to_owned());
        if let Some(address) = address {
            let harbor = administrator(address, before)?;
            harbor.change_password(ADMINISTRATOR, &old.into(), &new.clone().into()).await?;
        }
        let secret = names::credentials(key.name());
        let api: Api<Secret> = Api::namespaced(self.client.clone(), key.namespace());
        let data = BTreeMap::from([(ADMIN_PASSWORD, ByteString(new.into_bytes()))]);
        let parameters = PatchParams { field_manager: Some(MANAGER.to_owned()), ..PatchParams::default() };
        let written = api.patch(&secret, &parameters, &Patch::Merge(json!({ "data": data }))).await;
        let act = || format!("note the administrator's password in Secret {secret}");
        written.map(|_| ()).map_err(|source| Error::Kubernetes { act: act(), source })
    }

    /// Notes a claim in the Secret of credentials, which lives as long as the data.
    async fn claim_databases(&self, resource: &Harbor, server: &SharedCacheServer) -> Result<(), Error> {
        let (name, namespace) = Self::identify(resource);
        let secret = Key::new(&namespace, &names::credentials(&name));
        let address = format!("{}:{}", server.host, server.port);
        let claim = self.observer.claim(&secret, &address, server.databases);
        let claim = claim.ok_or_else(|| Error::NoDatabasesLeft(server.name.clone()))?;
        let api: Api<Secret> = Api::namespaced(self.client.clone(), secret.namespace());
        let patch = Patch::Merge(json!({ "metadata": { "annotations": { CLAIM_ANNOTATION: claim.to_string() } } }));
        let parameters = PatchParams { field_manager: Some(MANAGER.to_owned()), ..PatchParams::default() };
        let act = || format!("annotate Secret {}", secret.name());
        let written = api.patch(secret.name(), &parameters, &patch).await;
        written.map(|_| ()).map_err(|source| Error::Kubernetes { act: act(), source })
    }

    async fn ensure_database(
        &self,
        resource: &Harbor,
        server: &SharedDatabaseServer,
        credentials: &Credentials,
    ) -> Result<(), Error> {
        let administrator = self.database_administrator(server).await?;
        let password = credentials.get(DATABASE_PASSWORD).to_owned().into();
        postgresql::ensure_database(&administrator, &tenant(resource, server), &password).await?;
        self.observer.note_ensured(&Key::of(resource), Shared::Database, database_as_ensured(server));
        Ok(())
    }

    async fn ensure_user(
        &self,
        resource: &Harbor,
        server: &SharedCacheServer,
        credentials: &Credentials,
        databases: &[i32],
    ) -> Result<(), Error> {
        let (address, login) = self.cache_administrator(server).await?;
        let user = User {
            name: user(resource),
            passwords: vec![credentials.get(CACHE_PASSWORD).to_owned().into()],
            databases: indexes(databases),
        };
        redis::ensure_user(&address, &login, &user).await?;
        self.observer.note_ensured(&Key::of(resource), Shared::Cache, cache_as_ensured(server));
        Ok(())
    }

    async fn drop_shared(
        &self,
        resource: &Harbor,
        database: Option<&SharedDatabaseServer>,
        cache: Option<&(SharedCacheServer, [i32; 4])>,
    ) -> Result<(), Error> {
        if let Some(server) = database {
            let administrator = self.database_administrator(server).await?;
            postgresql::drop_database(&administrator, &tenant(resource, server)).await?;
        }
        if let Some((server, databases)) = cache {
            let (address, login) = self.cache_administrator(server).await?;
            redis::delete_user(&address, &login, &user(resource)).await?;
            redis::forget(&address, &login, &indexes(databases)).await?;
        }
        self.observer.note_dropped(resource);
        Ok(())
    }

    async fn database_administrator(&self, server: &SharedDatabaseServer) -> Result<Administrator, Error> {
        let data = self.administrator(&server.administrator_secret_name, &["username", "password"]).await?;
        let encryption = match server.ssl_mode {
            SslMode::Disable => Encryption::Disable,
            SslMode::Require => Encryption::Require,
            SslMode::VerifyCa => Encryption::VerifyCa(Authorities::System),
            SslMode::VerifyFull => Encryption::VerifyFull(Authorities::System),
        };
        let [user, password] = ["username", "password"].map(|key| data.get(key).cloned().unwrap_or_default());
        Ok(Administrator {
            server: Server { host: server.host.clone(), port: port(server.port), encryption },
            credentials: postgresql::Credentials { user, password: password.into() },
            database: "postgres".to_owned(),
        })
    }

    async fn cache_administrator(&self, server: &SharedCacheServer) -> Result<(Server, Login), Error> {
        let data = self.administrator(&server.administrator_secret_name, &["password"]).await?;
        let encryption = if server.tls { Encryption::VerifyFull(Authorities::System) } else { Encryption::Disable };
        let login =
            Login { user: data.get("username").cloned(), password: data.get("password").cloned().map(Into::into) };
        Ok((Server { host: server.host.clone(), port: port(server.port), encryption }, login))
    }

    /// A Secret of the operator's own namespace, which must have these keys.
    async fn administrator(&self, name: &str, keys: &[&str]) -> Result<BTreeMap<String, String>, Error> {
        let namespace = &self.observer.installation.namespace;
        let found = self.secret(namespace, name).await?;
        let data: BTreeMap<String, String> = found
            .into_iter()
            .flatten()
            .filter_map(|(key, value)| Some((key, String::from_utf8(value).ok()?)))
            .collect();
        match keys.iter().find(|key| data.get(**key).is_none_or(String::is_empty)) {
            None => Ok(data),
            Some(key) => Err(Error::Administrator(format!(
                "Secret {name:?} in namespace {namespace:?} has no key {key:?}, which the administrator of a shared server needs; create it"
            ))),
        }
    }
}

/// Whether a Secret is the registry's by its labels, and no other's by its owner.
pub(super) fn belongs(resource: &Harbor, secret: &Secret) -> bool {
    let label = |name: &str| secret.labels().get(name).map_or("", String::as_str);
    let owned = secret.owner_references().iter().any(|owner| Some(&owner.uid) != resource.metadata.uid.as_ref());
    !owned
        && label(MANAGED_BY) == MANAGER
        && label(FAMILY) == Harbors::NAME
        && label(INSTANCE) == instance_label(&resource.name_any())
}

fn tenant(resource: &Harbor, server: &SharedDatabaseServer) -> Tenant {
    let (name, namespace) = Harbors::identify(resource);
    let called = names::tenant(&namespace, &name);
    Tenant {
        database: called.clone(),
        role: called,
        mark: names::mark(&namespace, &name),
        connection_limit: u32::try_from(server.connections_per_registry).unwrap_or_default(),
    }
}

fn user(resource: &Harbor) -> String {
    let (name, namespace) = Harbors::identify(resource);
    names::tenant(&namespace, &name)
}

fn indexes(databases: &[i32]) -> BTreeSet<u32> {
    databases.iter().filter_map(|database| u32::try_from(*database).ok()).collect()
}

/// What the schema has let through is a port.
fn port(number: i32) -> u16 {
    u16::try_from(number).unwrap_or_default()
}
