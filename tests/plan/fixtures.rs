//! Load balancers and worlds to plan with.

use std::collections::BTreeMap;

use fairway::{
    agent::protocol::{Configuration, MemberHealth, MemberState, Proven, Report},
    api::{ConfigurationStatus, LoadBalancer},
    loadbalancer::{
        plan::{self, Effect, Plan},
        world::{
            CertificateSecret, Endpoint, Identity, Installation, Replica, SelectedPod, ServicePortWorld, ServiceWorld,
            World,
        },
    },
};
use jiff::Timestamp;
use kube::api::DynamicObject;

pub(crate) fn now() -> Timestamp {
    "2026-11-23T12:00:00Z".parse().unwrap()
}

/// A load balancer from the YAML of its spec.
pub(crate) fn load_balancer(spec: &str) -> LoadBalancer {
    let mut resource = LoadBalancer::new("shop", serde_saphyr::from_str(spec).unwrap());
    resource.metadata.namespace = Some("customer".to_owned());
    resource.metadata.uid = Some("11111111-2222-3333-4444-555555555555".to_owned());
    resource.metadata.generation = Some(1);
    resource
}

pub(crate) const ONE_MEMBER: &str = "
listeners: [{ name: web, protocol: HTTP, port: 80, pool: app }]
pools: [{ name: app, members: [{ address: 192.0.2.10, port: 8080 }] }]
";

/// A world in which the operator is installed and nothing else is there.
pub(crate) fn empty_world() -> World {
    World {
        installation: Installation {
            fairway_image: "quay.io/fairway/fairway:0.1.0".to_owned(),
            haproxy_image: "quay.io/fairway/haproxy:2.6.12".to_owned(),
            namespace: "fairway-system".to_owned(),
        },
        ..World::default()
    }
}

/// A world in which the agents' certificate is issued as well.
pub(crate) fn world() -> World {
    World { identity: Some(Identity { renew: None }), ..empty_world() }
}

pub(crate) fn service(endpoints: &[(&str, &str, u16)]) -> ServiceWorld {
    let mut ports: Vec<ServicePortWorld> = vec![];
    for (name, _, _) in endpoints {
        if !ports.iter().any(|port| port.name == *name) {
            let number = 80 + i32::try_from(ports.len()).unwrap();
            ports.push(ServicePortWorld { name: (*name).to_owned(), number });
        }
    }
    let endpoints = endpoints
        .iter()
        .map(|(name, address, port)| Endpoint {
            port_name: (*name).to_owned(),
            address: address.parse().unwrap(),
            port: *port,
            ending: false,
        })
        .collect();
    ServiceWorld { ports, sliced: true, endpoints }
}

/// A ready pod with one named port.
pub(crate) fn selected(address: &str, name: &str, port: u16) -> SelectedPod {
    let address = address.parse().ok();
    SelectedPod { address, ready: true, ending: false, ports: vec![(name.to_owned(), port)] }
}

/// A certificate for these names, with its key, as a Secret holds them.
pub(crate) fn certificate(names: &[&str]) -> CertificateSecret {
    let names: Vec<String> = names.iter().map(ToString::to_string).collect();
    let made = rcgen::generate_simple_self_signed(names).unwrap();
    CertificateSecret {
        certificate: Some(made.cert.pem().into_bytes()),
        key: Some(made.signing_key.serialize_pem().into_bytes()),
    }
}

/// The `haproxy.cfg` that a spec becomes, once HAProxy has judged it.
pub(crate) fn judged(spec: &str, world: &World) -> String {
    let plan = planned(&load_balancer(spec), world);
    let (verdict, message) = condition(&plan, "Accepted");
    assert_eq!(verdict, "True/Accepted", "{message}");
    let files = secret_configuration(&plan).unwrap().files;
    crate::judge::accepts(&files);
    files["haproxy.cfg"].clone()
}

/// A pod whose agent answers that it runs `proven`.
pub(crate) fn replica(pod: &str, proven: Option<&Configuration>) -> Replica {
    Replica {
        pod: pod.to_owned(),
        node: "node-1".to_owned(),
        address: Some("10.0.0.1".parse().unwrap()),
        ready: true,
        report: Some(Ok(Report {
            haproxy_version: "2.6.12".to_owned(),
            proven: proven.map(|proven| Proven { hash: proven.hash(), sequence: proven.sequence }),
            ..Report::default()
        })),
        ..Replica::default()
    }
}

pub(crate) fn health(name: &str, state: MemberState) -> MemberHealth {
    MemberHealth { name: name.to_owned(), state, weight: 100, check: String::new() }
}

pub(crate) fn planned(resource: &LoadBalancer, world: &World) -> Plan {
    plan::plan(resource, world, now())
}

/// The configuration that the plan's Secret holds.
pub(crate) fn secret_configuration(plan: &Plan) -> Option<Configuration> {
    let secret = plan.objects.iter().find(|object| kind(object) == "Secret")?;
    let data: BTreeMap<String, k8s_openapi::ByteString> = serde_json::from_value(secret.data["data"].clone()).unwrap();
    plan::objects::read_configuration(&data)
}

pub(crate) fn pushes(plan: &Plan) -> Vec<(&str, &Configuration)> {
    plan.effects
        .iter()
        .filter_map(|effect| match effect {
            Effect::Push { pod, configuration, .. } => Some((pod.as_str(), &***configuration)),
            Effect::IssueIdentity { .. } => None,
        })
        .collect()
}

pub(crate) fn kind(object: &DynamicObject) -> &str {
    &object.types.as_ref().unwrap().kind
}

pub(crate) fn object<'a>(plan: &'a Plan, wanted: &str) -> &'a DynamicObject {
    plan.objects.iter().find(|object| kind(object) == wanted).unwrap_or_else(|| panic!("no {wanted} is planned"))
}

/// The condition as `status/reason`, and its message.
pub(crate) fn condition(plan: &Plan, kind: &str) -> (String, String) {
    let condition = plan.status.conditions.iter().find(|condition| condition.type_ == kind).unwrap();
    (format!("{}/{}", condition.status, condition.reason), condition.message.clone())
}

/// The world after everything planned was done and every replica has proven it.
pub(crate) fn settled(resource: &mut LoadBalancer, world: &mut World) -> Configuration {
    let plan = planned(resource, world);
    let pushed = pushes(&plan).first().map(|(_, configuration)| Configuration::clone(configuration));
    let configuration = pushed.or_else(|| secret_configuration(&plan)).expect("a configuration is wanted");
    resource.status = Some(plan.status);
    world.configuration = Some(ConfigurationStatus { hash: configuration.hash(), sequence: configuration.sequence });
    world.replicas = vec![replica("shop-lb-a", Some(&configuration)), replica("shop-lb-b", Some(&configuration))];
    resource.status = Some(planned(resource, world).status);
    configuration
}
