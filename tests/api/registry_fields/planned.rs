//! What the operator plans for a registry in a world where all that may be named is there, pods start at once, and Harbor
//! is well. Pure.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::LazyLock,
};

use base64::Engine as _;
use fairway::{
    api::{Harbor, HarborClassSpec, HarborSpec, HarborStatus},
    authority::{AuthoritySet, Leaf},
    clients::{
        harbor::{ComponentHealth, Health},
        postgresql::{DatabaseState, Schema},
        redis::{CacheState, Role},
    },
    harbor::{
        Component, Fact, JobState,
        credentials::Credentials,
        plan::{Effect, Plan, plan},
        versions,
        world::{Claim, Installation, LoggedIn, Shared, World},
    },
    reconcile::Finalizer,
};
use jiff::Timestamp;
use kube::api::DynamicObject;
use serde_json::{Value, json};

/// How many turns it may take until nothing more comes.
const TURNS: usize = 9;

/// What comes of it.
#[derive(PartialEq)]
pub(super) struct Planned {
    /// As JSON, with what Secrets hold in clear, by kind and name; the registry is `main`.
    pub(super) objects: BTreeMap<String, String>,
    /// Whether the registry's end waits for the operator.
    pub(super) held: bool,
    /// What is done besides, in the order of turns.
    pub(super) effects: Vec<String>,
    /// Each as `True/Reason`, by its type.
    pub(super) conditions: BTreeMap<String, String>,
    /// As the user reads it.
    pub(super) status: Value,
}

/// All turns of a registry from nothing.
pub(super) fn settled(spec: &Value, class: Option<&Value>) -> Planned {
    continued(&mut (registry(spec), world(class)), spec, class)
}

/// The same for one that stands and whose spec, or class, was changed.
pub(super) fn changed(before: (&Value, Option<&Value>), spec: &Value, class: Option<&Value>) -> Planned {
    let mut standing = (registry(before.0), world(before.1));
    continued(&mut standing, before.0, before.1);
    continued(&mut standing, spec, class)
}

/// The first turns alone.
pub(super) fn beginning(spec: &Value) -> Planned {
    turns(&mut (registry(spec), world(None)), 2)
}

/// The same, once Harbor says that jobservice is not well.
pub(super) fn unwell(spec: &Value) -> Planned {
    let mut standing = (registry(spec), world(None));
    turns(&mut standing, TURNS);
    if let Some(Ok(health)) = &mut standing.1.health {
        let jobservice = health.components.iter_mut().find(|component| component.name == "jobservice").unwrap();
        (jobservice.status, jobservice.error) = ("unhealthy".to_owned(), Some("connection refused".to_owned()));
    }
    turns(&mut standing, 1)
}

fn continued(standing: &mut (Harbor, World), spec: &Value, class: Option<&Value>) -> Planned {
    standing.0.spec = serde_json::from_value::<HarborSpec>(spec.clone()).unwrap();
    standing.1.class = class.map(|class| serde_json::from_value::<HarborClassSpec>(class.clone()).unwrap());
    turns(standing, TURNS)
}

fn turns((resource, world): &mut (Harbor, World), number: usize) -> Planned {
    let (mut effects, mut last) = (vec![], None);
    for _ in 0..number {
        // As the migration to what runs has left it.
        let version = resource.status.as_ref().map(|status| status.version.as_str()).unwrap_or_default();
        if let Some(Ok(database)) = &mut world.database {
            database.schema = versions::schema(version).map(|version| Schema { version, dirty: false });
        }
        let planned = plan(resource, world, Timestamp::UNIX_EPOCH);
        let before = (world.children.len(), resource.status.clone());
        made(world, &planned);
        for effect in &planned.effects {
            effects.push(match effect {
                Effect::ChangePassword { after, .. } => format!("the password {}", after.get("adminPassword")),
                other => format!("{other:?}"),
            });
            taken(world, effect);
        }
        resource.status = Some(planned.status.clone());
        let rests = planned.effects.is_empty() && (world.children.len(), resource.status.clone()) == before;
        last = Some(planned);
        if rests {
            break;
        }
    }
    let last = last.unwrap();
    let condition = |one: &k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition| {
        (one.type_.clone(), format!("{}/{}", one.status, one.reason))
    };
    let conditions = last.status.conditions.iter().map(condition).collect();
    effects.sort();
    effects.dedup();
    Planned {
        objects: last.objects.iter().map(rendered).collect(),
        held: last.finalizer == Finalizer::Held,
        effects,
        conditions,
        status: json!({ "status": last.status }),
    }
}

fn registry(spec: &Value) -> Harbor {
    let mut resource = Harbor::new("main", serde_json::from_value(spec.clone()).unwrap());
    resource.metadata.namespace = Some("customer".to_owned());
    resource.metadata.uid = Some("11111111-2222-3333-4444-555555555555".to_owned());
    resource.metadata.generation = Some(1);
    resource.status = Some(HarborStatus::default());
    resource
}

fn world(class: Option<&Value>) -> World {
    let secret = |name: &str| {
        let keys = ["username", "password", "accessKey", "secretKey", "tls.crt", "tls.key"];
        let data = keys.map(|key| (key.to_owned(), format!("{key}-in-{name}").into_bytes()));
        (name.to_owned(), BTreeMap::from(data))
    };
    let password = |password: &str| {
        let data = BTreeMap::from([("password".to_owned(), password.as_bytes().to_vec())]);
        (password.to_lowercase(), data)
    };
    let settings = BTreeMap::from([("robot_token_duration".to_owned(), json!(30))]);
    World {
        class: class.map(|class| serde_json::from_value::<HarborClassSpec>(class.clone()).unwrap()),
        credentials: Some(credentials()),
        secrets: ["one", "two"].map(secret).into_iter().chain(["Strong-1", "Strong-2"].map(password)).collect(),
        authorities: BTreeMap::from([("ca".to_owned(), Some("PEM".to_owned()))]),
        database: Some(Ok(database())),
        cache: Some(Ok(cache())),
        core: Some("http://10.96.0.10:80".to_owned()),
        configuration: Some(Ok(settings)),
        installation: Installation { namespace: "fairway-system".to_owned(), ..Installation::default() },
        ensured: BTreeSet::new(),
        health: Some(Ok(health())),
        administrator: Some(Ok(LoggedIn { changed: false, used: 1 << 30 })),
        storage: Some(Ok(())),
        cert_manager: Some(true),
        ..World::default()
    }
}

fn database() -> DatabaseState {
    DatabaseState {
        version: 150_018,
        max_connections: 100,
        reserved_connections: 3,
        connection_limit: None,
        read_only: false,
        schema: None,
        size: 1 << 20,
    }
}

fn cache() -> CacheState {
    CacheState {
        version: "7.0.15".to_owned(),
        role: Role::Master,
        used_memory: 1 << 20,
        max_memory: None,
        max_memory_policy: "noeviction".to_owned(),
        databases: Some(256),
        append_only: true,
    }
}

/// All is well.
fn health() -> Health {
    let names = ["core", "database", "jobservice", "portal", "redis", "registry", "registryctl", "trivy"];
    let component = |name: &str| ComponentHealth { name: name.to_owned(), status: "healthy".to_owned(), error: None };
    Health { status: "healthy".to_owned(), components: names.map(component).into() }
}

/// The same each time, and as long as they have to be.
fn credentials() -> Credentials {
    let sixteen = ["secretKey", "coreSecret", "jobserviceSecret", "registrySecret"].map(|key| (key, 16));
    let longer = ["csrfKey", "registryPassword", "databasePassword", "databaseSuperuserPassword", "cachePassword"];
    let longer = longer.map(|key| (key, 32));
    let others = ["registryHtpasswd", "tokenKey", "adminPassword"].map(|key| (key, key.len()));
    let value = |(key, length): (&str, usize)| (key.to_owned(), key.bytes().cycle().take(length).collect());
    Credentials::read(sixteen.into_iter().chain(longer).chain(others).map(value).collect())
}

/// Kubernetes makes what is planned, all pods become ready, and migrations succeed.
fn made(world: &mut World, plan: &Plan) {
    for object in &plan.objects {
        let kind = object.types.as_ref().unwrap().kind.clone();
        let spec = &object.data["spec"];
        let wanted = spec["replicas"].as_i64().and_then(|number| i32::try_from(number).ok()).unwrap_or(1);
        let fact = match kind.as_str() {
            "Deployment" | "StatefulSet" => {
                let pins =
                    object.metadata.annotations.as_ref().map(|all| all["fairway.dev/pod-template"].as_str().into());
                Fact::Pods { wanted, ready: wanted, current: true, pins }
            }
            "Job" => Fact::Job(JobState::Complete),
            "Service" => Fact::Service { address: Some("10.96.0.10".to_owned()) },
            "LoadBalancer" => Fact::LoadBalancer { ready: true, message: String::new() },
            "PersistentVolumeClaim" => {
                let class = spec["storageClassName"].as_str().map(str::to_owned);
                Fact::Volume { requested: 1 << 30, capacity: Some(1 << 30), class, uid: "".into() }
            }
            "Certificate" => Fact::Issuance { ready: true, message: String::new() },
            _ => Fact::Nothing,
        };
        let key = (kind, object.metadata.name.clone().unwrap());
        // What a Secret holds is made by an effect.
        if !matches!(world.children.get(&key), Some(Fact::Authority(_) | Fact::Certificate { .. })) {
            world.children.insert(key, fact);
        }
    }
}

/// What is done besides objects succeeds.
fn taken(world: &mut World, effect: &Effect) {
    match effect {
        Effect::EnsureDatabase { .. } => drop(world.ensured.insert(Shared::Database)),
        Effect::EnsureCacheUser { .. } => drop(world.ensured.insert(Shared::Cache)),
        Effect::ClaimDatabases { server } => {
            let server = format!("{}:{}", server.host, server.port);
            world.claim = Some(Claim { server, databases: [4, 5, 6, 7] });
        }
        Effect::ChangePassword { after, .. } => world.credentials = Some(after.clone()),
        Effect::MakeCertificates { components, .. } => certify(world, components),
        _ => {}
    }
}

/// The same authority each time; its certificates are known by their hashes alone.
fn certify(world: &mut World, components: &[Component]) {
    static AUTHORITY: LazyLock<AuthoritySet> = LazyLock::new(|| AuthoritySet::first(Timestamp::UNIX_EPOCH).unwrap());
    let secret = |name: &str| ("Secret".to_owned(), format!("main-{name}"));
    for component in components {
        let name = component.word();
        let made = AUTHORITY.issue_program(vec![format!("main-{name}")], Timestamp::UNIX_EPOCH).unwrap();
        let leaf = Leaf::read(made.certificate.as_bytes(), made.bundle.as_bytes()).map(Box::new);
        world.children.insert(secret(&format!("{name}-tls")), Fact::Certificate { leaf, hash: name.to_owned() });
    }
    world.children.insert(secret("authority"), Fact::Authority(Some(Box::new(AUTHORITY.clone()))));
}

fn rendered(object: &DynamicObject) -> (String, String) {
    let mut value = json!(object);
    let secret = value["kind"] == "Secret";
    for text in value["data"].as_object_mut().filter(|_| secret).into_iter().flat_map(|data| data.values_mut()) {
        let clear = base64::engine::general_purpose::STANDARD.decode(text.as_str().unwrap()).unwrap();
        *text = json!(String::from_utf8(clear).unwrap());
    }
    let name = format!("{} {}", value["kind"].as_str().unwrap(), value["metadata"]["name"].as_str().unwrap());
    (name, value.to_string())
}
