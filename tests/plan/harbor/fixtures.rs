//! Registries and worlds to plan with.

use fairway::{
    api::{Harbor, HarborStatus},
    clients::harbor::{ComponentHealth, Health},
    harbor::{
        Fact, JobState,
        credentials::Credentials,
        plan::{self, Plan},
        world::{Installation, World},
    },
};
use kube::api::DynamicObject;
use serde_json::Value;

use crate::fixtures::now;

pub(super) const SMALLEST: &str = "externalURL: http://registry.example.com\n";
pub(super) const VERSION: &str = "2.15.2";

/// A registry from the YAML of its spec.
pub(super) fn harbor(spec: &str) -> Harbor {
    let mut resource = Harbor::new("main", serde_saphyr::from_str(spec).unwrap());
    resource.metadata.namespace = Some("customer".to_owned());
    resource.metadata.uid = Some("11111111-2222-3333-4444-555555555555".to_owned());
    resource.metadata.generation = Some(1);
    resource
}

/// One that runs a version already.
pub(super) fn installed(spec: &str, version: &str) -> Harbor {
    let mut resource = harbor(spec);
    resource.status = Some(HarborStatus { version: version.to_owned(), ..HarborStatus::default() });
    resource
}

pub(super) fn empty_world() -> World {
    World {
        installation: Installation { namespace: "fairway-system".to_owned(), ..Installation::default() },
        ..World::default()
    }
}

/// A world in which credentials were made up.
pub(super) fn world() -> World {
    World { credentials: Some(credentials()), ..empty_world() }
}

/// The same each time, and as long as they have to be.
pub(super) fn credentials() -> Credentials {
    let sixteen = ["secretKey", "coreSecret", "jobserviceSecret", "registrySecret"].map(|key| (key, 16));
    let longer = ["csrfKey", "registryPassword", "databasePassword", "databaseSuperuserPassword", "cachePassword"]
        .map(|key| (key, 32));
    let mut data: Vec<(String, Vec<u8>)> = sixteen
        .into_iter()
        .chain(longer)
        .map(|(key, length)| (key.to_owned(), key.bytes().cycle().take(length).collect()))
        .collect();
    for key in ["registryHtpasswd", "tokenKey", "adminPassword"] {
        data.push((key.to_owned(), key.as_bytes().to_vec()));
    }
    Credentials::read(data.into_iter().collect())
}

pub(super) fn planned(resource: &Harbor, world: &World) -> Plan {
    plan::plan(resource, world, now())
}

/// `Kind name` of what is planned, in its order.
pub(super) fn names(plan: &Plan) -> Vec<String> {
    let name = |object: &DynamicObject| {
        let kind = &object.types.as_ref().unwrap().kind;
        format!("{kind} {}", object.metadata.name.as_deref().unwrap())
    };
    plan.objects.iter().map(name).collect()
}

pub(super) fn object<'a>(plan: &'a Plan, name: &str) -> &'a DynamicObject {
    let index = names(plan).iter().position(|known| known == name);
    &plan.objects[index.unwrap_or_else(|| panic!("no {name} in {:?}", names(plan)))]
}

/// The pod template of a Deployment, `StatefulSet` or Job.
pub(super) fn template(plan: &Plan, name: &str) -> Value {
    object(plan, name).data["spec"]["template"].clone()
}

/// `True/Reason` of a condition, and its message.
pub(super) fn condition(plan: &Plan, kind: &str) -> (String, String) {
    let found = plan.status.conditions.iter().find(|condition| condition.type_ == kind);
    let found = found.unwrap_or_else(|| panic!("no {kind}"));
    (format!("{}/{}", found.status, found.reason), found.message.clone())
}

/// Kubernetes makes what was planned, and all its pods become ready.
pub(super) fn made(world: &mut World, plan: &Plan) {
    for object in &plan.objects {
        let kind = object.types.as_ref().unwrap().kind.clone();
        let wanted = object.data["spec"]["replicas"].as_i64().and_then(|number| i32::try_from(number).ok());
        let fact = match kind.as_str() {
            "Deployment" | "StatefulSet" => {
                let wanted = wanted.unwrap_or(1);
                let pins = object.metadata.annotations.as_ref().map(|all| &all["fairway.dev/pod-template"]);
                let pins = pins.map(|pins| pins.as_str().into());
                Fact::Pods { wanted, ready: wanted, current: true, pins }
            }
            "Job" => Fact::Job(JobState::Complete),
            "Service" => Fact::Service { address: Some("10.96.0.10".to_owned()) },
            "LoadBalancer" => Fact::LoadBalancer { ready: true, message: String::new() },
            "PersistentVolumeClaim" => {
                Fact::Volume { requested: 5 << 30, capacity: Some(5 << 30), class: None, uid: "".into() }
            }
            _ => Fact::Nothing,
        };
        world.children.insert((kind, object.metadata.name.clone().unwrap()), fact);
    }
}

/// Harbor says that all is well, but for these.
pub(super) fn health(bad: &[(&str, &str)]) -> Health {
    let component = |name: &str| {
        let error = bad.iter().find(|(known, _)| *known == name).map(|(_, error)| (*error).to_owned());
        let status = if error.is_some() { "unhealthy" } else { "healthy" };
        ComponentHealth { name: name.to_owned(), status: status.to_owned(), error }
    };
    let names = ["core", "database", "jobservice", "portal", "redis", "registry", "registryctl"];
    Health {
        status: if bad.is_empty() { "healthy" } else { "unhealthy" }.to_owned(),
        components: names.map(component).into(),
    }
}

/// Plans and makes until nothing more comes: the plan of the last turn, and the world and resource by then.
pub(super) fn settled(spec: &str) -> (Harbor, World, Plan) {
    let (mut resource, mut world) = (harbor(spec), world());
    for _ in 0..8 {
        let plan = planned(&resource, &world);
        made(&mut world, &plan);
        resource.status = Some(plan.status);
    }
    world.health = Some(Ok(health(&[])));
    let plan = planned(&resource, &world);
    resource.status = Some(plan.status.clone());
    (resource, world, plan)
}
