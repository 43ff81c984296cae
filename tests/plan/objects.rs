//! The Kubernetes objects, and when pods are replaced.

use fairway::{
    api::{LoadBalancer, LoadBalancerClassSpec},
    loadbalancer::{
        plan::Plan,
        world::{Pins, World},
    },
};
use rstest::rstest;
use serde_json::Value;

use crate::fixtures::{ONE_MEMBER, kind, load_balancer, object, planned, world};

pub(crate) fn pins(plan: &Plan) -> Pins {
    let annotations = object(plan, "Deployment").metadata.annotations.clone().unwrap();
    serde_json::from_str(&annotations["fairway.dev/pod-template"]).unwrap()
}

fn template(resource: &LoadBalancer, world: &World) -> Value {
    object(&planned(resource, world), "Deployment").data["spec"]["template"].clone()
}

#[rstest]
#[case::by_service("service", ONE_MEMBER.to_owned())]
#[case::on_the_hosts_network("host", format!("{ONE_MEMBER}exposure: {{ type: HostNetwork }}\n"))]
fn the_objects_are_these(#[case] name: &str, #[case] spec: String) {
    let plan = planned(&load_balancer(&spec), &world());
    let objects: Vec<Value> = plan
        .objects
        .iter()
        .filter(|object| kind(object) != "Secret")
        .map(|object| serde_json::to_value(object).unwrap())
        .collect();
    insta::assert_yaml_snapshot!(name, objects);
}

/// The state after the operator has made the pods.
fn installed() -> (LoadBalancer, World) {
    let resource = load_balancer(ONE_MEMBER);
    let mut world = world();
    world.pins = Some(pins(&planned(&resource, &world)));
    (resource, world)
}

#[test]
fn a_new_operator_changes_no_pod() {
    let (resource, mut world) = installed();
    let before = template(&resource, &world);
    world.installation.fairway_image = "quay.io/fairway/fairway:9.9.9".to_owned();
    world.installation.haproxy_image = "quay.io/fairway/haproxy:9.9".to_owned();
    assert_eq!(template(&resource, &world), before);
}

#[rstest]
#[case::listener_added(
    "listeners: [{ name: web, protocol: HTTP, port: 80, pool: app }, { name: b, protocol: TCP, port: 81, pool: app }]\npools: [{ name: app }]"
)]
#[case::pool_changed(
    "listeners: [{ name: web, protocol: HTTP, port: 80, pool: app }]\npools: [{ name: app, algorithm: Source }]"
)]
#[case::scaled("listeners: [{ name: web, protocol: HTTP, port: 80, pool: app }]\npools: [{ name: app }]\nreplicas: 5")]
fn what_haproxy_takes_live_changes_no_pod(#[case] spec: &str) {
    let (resource, world) = installed();
    let changed = load_balancer(spec);
    assert_eq!(template(&changed, &world), template(&resource, &world));
}

#[rstest]
#[case::image("image: docker.io/library/haproxy:3.0")]
#[case::resources("resources: { limits: { cpu: '2', memory: 1Gi } }")]
#[case::exposure("exposure: { type: HostNetwork }")]
fn a_pod_is_replaced_for_what_it_is_made_from_and_then_by_the_newest(#[case] change: &str) {
    let (resource, mut world) = installed();
    let before = template(&resource, &world);
    world.installation.fairway_image = "quay.io/fairway/fairway:9.9.9".to_owned();
    let changed = template(&load_balancer(&format!("{ONE_MEMBER}{change}\n")), &world);
    assert_ne!(changed, before);
    assert_eq!(changed["spec"]["initContainers"][0]["image"], "quay.io/fairway/fairway:9.9.9");
}

#[test]
fn a_class_fills_in_what_the_load_balancer_leaves_open() {
    let mut world = world();
    world.class = Some(LoadBalancerClassSpec {
        replicas: Some(5),
        image: Some("docker.io/library/haproxy:3.0".to_owned()),
        node_selector: [("edge".to_owned(), "true".to_owned())].into(),
        ..LoadBalancerClassSpec::default()
    });
    let plan = planned(&load_balancer(&format!("{ONE_MEMBER}className: gold\nreplicas: 3\n")), &world);
    let deployment = &object(&plan, "Deployment").data["spec"];
    assert_eq!(deployment["replicas"], 3, "its own word counts more");
    assert_eq!(deployment["template"]["spec"]["containers"][0]["image"], "docker.io/library/haproxy:3.0");
    assert_eq!(deployment["template"]["spec"]["nodeSelector"]["edge"], "true");
}

#[test]
fn no_secret_stands_anywhere_but_in_the_secret() {
    let plan = planned(&load_balancer(ONE_MEMBER), &world());
    let pod = &object(&plan, "Deployment").data["spec"]["template"]["spec"];
    assert_eq!(pod["automountServiceAccountToken"], false);
    for container in ["containers", "initContainers"].iter().flat_map(|kind| pod[kind].as_array().unwrap()) {
        let security = &container["securityContext"];
        assert_eq!(security["readOnlyRootFilesystem"], true);
        assert_eq!(security["allowPrivilegeEscalation"], false);
        assert_eq!(security["capabilities"]["drop"][0], "ALL");
        assert!(container["resources"]["requests"]["memory"].is_string(), "{}", container["name"]);
        assert!(container["resources"]["limits"]["memory"].is_string(), "{}", container["name"]);
    }
}
