//! The Kubernetes objects, and which pods a change replaces.

use std::collections::{BTreeMap, BTreeSet};

use fairway::{
    api::Harbor,
    harbor::{plan::Plan, world::World},
};
use rstest::rstest;
use serde_json::Value;

use super::fixtures::{SMALLEST, names, planned, settled, template};

const FULL: &str = "
externalURL: https://registry.example.com
exposure: { tls: { secretName: front }, loadBalancer: { className: edge, allowedCidrs: [192.0.2.0/24] } }
components:
  core: { replicas: 2 }
  registry: { replicas: 2 }
  trivy: { offline: true }
  exporter: {}
database: { type: External, external: { host: db.example.com, username: harbor, passwordSecretName: db, caConfigMapName: ca } }
cache: { type: External, external: { host: redis.example.com, username: harbor, passwordSecretName: redis, tls: true, firstDatabase: 8 } }
storage: { type: S3, s3: { bucket: images, endpoint: 'https://s3.example.com', credentialsSecretName: keys, caConfigMapName: ca } }
proxy: { https: 'http://proxy.example.com:3128', noProxy: [.example.com] }
logLevel: Warning
";

/// A world in which all is there that the full one names.
fn full_world() -> World {
    let mut world = super::fixtures::world();
    let secrets: [(&str, &[&str]); 4] = [
        ("front", &["tls.crt", "tls.key"]),
        ("db", &["password"]),
        ("redis", &["password"]),
        ("keys", &["accessKey", "secretKey"]),
    ];
    for (name, keys) in secrets {
        let data = keys.iter().map(|key| ((*key).to_owned(), format!("p@ss/{name}").into_bytes())).collect();
        world.secrets.insert(name.to_owned(), data);
    }
    world.authorities.insert("ca".to_owned(), Some("PEM".to_owned()));
    world
}

fn full() -> Plan {
    let (resource, world) = full_settled();
    planned(&resource, &world)
}

pub(super) fn full_settled() -> (Harbor, World) {
    let resource = super::fixtures::installed(FULL, "2.15.2");
    let mut world = full_world();
    for _ in 0..3 {
        let plan = planned(&resource, &world);
        super::fixtures::made(&mut world, &plan);
    }
    (resource, world)
}

pub(super) fn texts(plan: &Plan) -> Vec<Value> {
    plan.objects
        .iter()
        .map(|object| {
            let mut value = serde_json::to_value(object).unwrap();
            let secret = value["kind"] == "Secret";
            if let Some(data) = value["data"].as_object_mut().filter(|_| secret) {
                let texts: BTreeMap<String, String> = data
                    .iter()
                    .map(|(key, text)| {
                        let text = text.as_str().unwrap();
                        (key.clone(), String::from_utf8(base64(text)).unwrap())
                    })
                    .collect();
                value["data"] = serde_json::to_value(texts).unwrap();
            }
            value
        })
        .collect()
}

fn base64(text: &str) -> Vec<u8> {
    use base64::Engine;
    base64::engine::general_purpose::STANDARD.decode(text).unwrap()
}

#[test]
fn the_smallest_is_this() {
    let (_, _, plan) = settled(SMALLEST);
    insta::assert_yaml_snapshot!("smallest", texts(&plan));
}

#[test]
fn one_with_all_that_is_outside_is_this() {
    insta::assert_yaml_snapshot!("full", texts(&full()));
}

#[rstest]
#[case::service("exposure: { type: Service, service: { type: NodePort } }")]
#[case::ingress("exposure: { type: Ingress, ingress: { className: nginx } }")]
fn other_front_doors_are_these(#[case] exposure: &str) {
    let (_, _, plan) = settled(&format!("{SMALLEST}{exposure}\n"));
    let front: Vec<Value> = texts(&plan).into_iter().filter(|text| text["metadata"]["name"] == "main-front").collect();
    let name = if exposure.contains("Ingress") { "ingress" } else { "service" };
    insta::assert_yaml_snapshot!(name, front);
}

/// All pod templates by the name of what makes them.
pub(super) fn templates(plan: &Plan) -> BTreeMap<String, Value> {
    let makes_pods = |name: &&String| name.starts_with("Deployment") || name.starts_with("StatefulSet");
    names(plan).iter().filter(makes_pods).map(|name| (name.clone(), template(plan, name))).collect()
}

#[rstest]
#[case::workers("components: { jobservice: { workers: 3 } }", &["jobservice"])]
#[case::core_memory("components: { core: { resources: { limits: { memory: 2Gi } } } }", &["core"])]
#[case::more_portals("components: { portal: { replicas: 3 } }", &[])]
#[case::front_door("exposure: { type: Ingress }", &[])]
#[case::redis_memory("cache: { managed: { resources: { limits: { memory: 512Mi } } } }", &["cache"])]
#[case::level("logLevel: Debug", &["core", "jobservice", "registry"])]
#[case::scanner("components: { trivy: {} }", &["core", "trivy"])]
#[case::larger_volume("storage: { filesystem: { volume: { size: 50Gi } } }", &[])]
#[case::policy("deletionPolicy: Delete", &[])]
#[case::proxy("proxy: { http: 'http://proxy:3128' }", &["core", "jobservice", "registry"])]
fn a_change_replaces_the_pods_that_it_touches_and_no_other(#[case] change: &str, #[case] expected: &[&str]) {
    let (mut resource, world, plan) = settled(SMALLEST);
    let before = templates(&plan);
    resource.spec = serde_saphyr::from_str(&format!("{SMALLEST}{change}\n")).unwrap();
    let after = templates(&planned(&resource, &world));
    let changed: BTreeSet<&str> = after
        .iter()
        .filter(|(name, template)| before.get(*name) != Some(template))
        .map(|(name, _)| name.rsplit_once('-').unwrap().1)
        .collect();
    assert_eq!(changed, expected.iter().copied().collect());
}

#[test]
fn every_pod_meets_the_restricted_standard_and_has_its_limits() {
    for plan in [settled(SMALLEST).2, full()] {
        for (name, template) in templates(&plan) {
            let pod = &template["spec"];
            assert_eq!(pod["securityContext"]["runAsNonRoot"], true, "{name}");
            assert!(pod["securityContext"]["runAsUser"].as_i64().unwrap() > 0, "{name}");
            assert_eq!(pod["securityContext"]["seccompProfile"]["type"], "RuntimeDefault", "{name}");
            assert_eq!(pod["automountServiceAccountToken"], false, "{name}");
            for container in pod["containers"].as_array().unwrap() {
                let context = &container["securityContext"];
                assert_eq!(context["allowPrivilegeEscalation"], false, "{name}");
                assert_eq!(context["readOnlyRootFilesystem"], true, "{name}");
                assert_eq!(context["capabilities"]["drop"][0], "ALL", "{name}");
                for amounts in ["requests", "limits"] {
                    for resource in ["cpu", "memory"] {
                        assert!(container["resources"][amounts][resource].is_string(), "{name} {amounts}.{resource}");
                    }
                }
                assert!(container["workingDir"].is_null(), "core looks for its migrations from the image's own");
            }
        }
    }
}

#[test]
fn no_password_is_in_a_pod_or_a_config_map() {
    let secrets = ["databasePassworddatabasePassword", "cachePasswordcachePasswordcacheP", "p@ss", "p%40ss"];
    for plan in [settled(SMALLEST).2, full()] {
        for text in texts(&plan).into_iter().filter(|text| text["kind"] != "Secret") {
            let text = text.to_string();
            assert!(!secrets.iter().any(|secret| text.contains(secret)), "{text}");
        }
    }
}

#[test]
fn every_component_has_its_budget_and_its_policy() {
    for plan in [settled(SMALLEST).2, full()] {
        let all = names(&plan);
        for name in templates(&plan).keys() {
            let component = name.split_once(' ').unwrap().1;
            for kind in ["PodDisruptionBudget", "NetworkPolicy"] {
                assert!(all.contains(&format!("{kind} {component}")), "{kind} {component}");
            }
        }
    }
}

#[rstest]
#[case::plain(SMALLEST.to_owned())]
#[case::with_tls(format!("externalURL: https://registry.example.com:8443\n{TLS}"))]
fn the_front_door_is_a_load_balancer_that_haproxy_takes(#[case] spec: String) {
    let (mut resource, mut world, _) = settled(SMALLEST);
    resource.spec = serde_saphyr::from_str(&spec).unwrap();
    let made = crate::fixtures::certificate(&["registry.example.com"]);
    let data = [("tls.crt", made.certificate.clone()), ("tls.key", made.key.clone())];
    let data = data.into_iter().map(|(key, value)| (key.to_owned(), value.unwrap())).collect();
    world.secrets.insert("front".to_owned(), data);
    let plan = planned(&resource, &world);
    let front = super::fixtures::object(&plan, "LoadBalancer main-front").data["spec"].to_string();
    let mut surroundings = crate::fixtures::world();
    surroundings.certificates.insert("front".to_owned(), made);
    for service in ["main-core", "main-portal"] {
        surroundings.services.insert(service.to_owned(), crate::fixtures::service(&[("http", "10.0.0.1", 8080)]));
    }
    let text = crate::fixtures::judged(&front, &surroundings);
    assert!(text.contains("timeout server 900s"), "layers take their time: {text}");
    assert!(text.contains("X-Forwarded-Proto"), "registries build URLs from it: {text}");
}

const TLS: &str = "exposure: { tls: { secretName: front } }\n";
