//! Who reaches whom: what policies let a component's pods open, and the others' let in.

use std::collections::BTreeMap;

use fairway::clients::redis::{CacheState, Role};
use rstest::rstest;
use serde_json::{Value, json};

use super::{
    fixtures::{SMALLEST, harbor, made, names, object, planned, world},
    stages::answers,
};

const COMPONENTS: [&str; 10] =
    ["cache", "core", "database", "exporter", "front", "jobservice", "migrate", "portal", "registry", "trivy"];
const PORTS: [u16; 8] = [5000, 5432, 5443, 6379, 8001, 8080, 8443, 9999];
const ALL: &str = "components: { trivy: {}, exporter: {} }\nexposure: { type: Service }\n";
const REDIS: &str = "cache: { type: External, external: { host: redis } }\n";
const POSTGRESQL: &str =
    "database: { type: External, external: { host: db, username: harbor, passwordSecretName: keys } }\n";
const S3: &str = "storage: { type: S3, s3: { bucket: images, credentialsSecretName: keys } }\n";
const PROXY: &str = "proxy: { http: 'http://proxy:3128' }\n";

/// All policies that there are from the first turn to the last, by component.
fn policies(spec: &str) -> BTreeMap<String, Value> {
    let (mut resource, mut world) = (harbor(&format!("{SMALLEST}{ALL}{spec}")), world());
    let keys = ["accessKey", "secretKey", "password"].map(|key| (key.to_owned(), b"value".to_vec()));
    world.secrets.insert("keys".to_owned(), keys.into());
    let mut policies = BTreeMap::new();
    for _ in 0..8 {
        let plan = planned(&resource, &world);
        for name in names(&plan).iter().filter(|name| name.starts_with("NetworkPolicy")) {
            let component = name.trim_start_matches("NetworkPolicy main-").to_owned();
            let policy = object(&plan, name).data["spec"].clone();
            assert_eq!(policy["podSelector"]["matchLabels"], labels(&component));
            policies.insert(component, policy);
        }
        made(&mut world, &plan);
        resource.status = Some(plan.status);
        // Only those of the user's own are asked.
        (world.database, world.cache) = (Some(Ok(answers(None))), Some(Ok(redis())));
    }
    let elsewhere = |component: &str| ["database", "cache"].contains(&component) && !spec.is_empty();
    let there = |component: &str| policies.contains_key(component) || elsewhere(component);
    assert!(COMPONENTS.iter().all(|component| there(component)), "{:?}", policies.keys());
    policies
}

fn redis() -> CacheState {
    CacheState {
        version: "7.0.15".to_owned(),
        role: Role::Master,
        used_memory: 1 << 20,
        max_memory: None,
        max_memory_policy: "noeviction".to_owned(),
        databases: Some(16),
        append_only: true,
    }
}

fn labels(component: &str) -> Value {
    json!({ "fairway.dev/harbor": "main", "fairway.dev/component": component })
}

/// Whether one of the rules allows a pod (none: somebody outside of the cluster) at a port.
fn allowed(rules: &Value, peers: &str, pod: Option<&str>, protocol: &str, port: u16) -> bool {
    rules.as_array().unwrap().iter().any(|rule| {
        let matches = |one: &Value| one["port"] == port && one["protocol"] == protocol;
        let port = rule["ports"].as_array().is_none_or(|ports| ports.iter().any(matches));
        let peer = rule[peers].as_array().is_none_or(|all| {
            all.iter().any(|peer| match pod {
                Some(pod) if peer["namespaceSelector"].is_null() => peer["podSelector"]["matchLabels"] == labels(pod),
                Some(_) => peer["namespaceSelector"] == json!({}),
                None => peer["ipBlock"].is_object(),
            })
        });
        port && peer
    })
}

fn opens(policy: &Value, pod: Option<&str>, protocol: &str, port: u16) -> bool {
    let restricted = policy["policyTypes"].as_array().unwrap().contains(&json!("Egress"));
    !restricted || allowed(&policy["egress"], "to", pod, protocol, port)
}

/// All that a component may open by its own policy and that is let in by that of the other.
fn reached(policies: &BTreeMap<String, Value>, from: &str) -> String {
    let lets_in = |to: &str, port| {
        // What is elsewhere has no policy of ours.
        policies.get(to).is_some_and(|policy| allowed(&policy["ingress"], "from", Some(from), "TCP", port))
    };
    let goes = |to: &str, port| opens(&policies[from], Some(to), "TCP", port) && lets_in(to, port);
    let all = COMPONENTS.iter().flat_map(|to| PORTS.map(|port| (to, port)));
    let all = all.filter(|(to, port)| goes(to, *port)).map(|(to, port)| format!("{to}:{port}"));
    all.collect::<Vec<_>>().join(" ")
}

#[rstest]
#[case::database("", "database", "", false)]
#[case::cache("", "cache", "", false)]
#[case::portal("", "portal", "", false)]
#[case::front("", "front", "core:8080 core:8443 portal:8080 portal:8443", true)]
#[case::front_alone(&format!("{POSTGRESQL}{REDIS}{S3}"), "front", "core:8080 core:8443 portal:8080 portal:8443", true)]
#[case::exporter("", "exporter", "cache:6379 core:8080 core:8443 database:5432", true)]
#[case::migration(PROXY, "migrate", "cache:6379 database:5432", true)]
#[case::registry_on_a_volume(PROXY, "registry", "cache:6379", true)]
#[case::registry_beside_a_database(POSTGRESQL, "registry", "cache:6379", true)]
fn what_is_run_here_reaches_only_what_it_must(
    #[case] spec: &str,
    #[case] component: &str,
    #[case] expected: &str,
    #[case] names: bool,
) {
    let policies = policies(spec);
    assert_eq!(reached(&policies, component), expected);
    let policy = &policies[component];
    assert!(!opens(policy, None, "TCP", 443), "nobody outside");
    // In the cluster, on its node, or outside: those of OpenShift and Gardener listen elsewhere behind the Service's 53.
    for (protocol, port) in
        ["UDP", "TCP"].into_iter().flat_map(|protocol| [53, 5353, 8053].map(|port| (protocol, port)))
    {
        assert_eq!(opens(policy, None, protocol, port), names, "{protocol} {port}");
        assert_eq!(opens(policy, Some("dns"), protocol, port), names, "{protocol} {port}");
    }
}

#[rstest]
#[case::registries_directories("", &["core", "jobservice", "trivy"])]
#[case::bucket(S3, &["registry"])]
#[case::redis_of_ones_own(REDIS, &["registry", "exporter", "migrate"])]
#[case::postgresql_of_ones_own(POSTGRESQL, &["exporter", "migrate"])]
fn what_may_be_anywhere_is_reached_at_any_address_and_port(#[case] spec: &str, #[case] components: &[&str]) {
    let policies = policies(spec);
    for component in components {
        assert!(opens(&policies[*component], None, "TCP", 16_379), "{component}");
        assert!(opens(&policies[*component], Some("another"), "TCP", 16_379), "{component}");
    }
}

#[rstest]
#[case::core(
    "core",
    "cache:6379 database:5432 jobservice:8080 jobservice:8443 portal:8080 portal:8443 registry:5000 registry:5443 \
     registry:8080 registry:8443 trivy:8080 trivy:8443"
)]
#[case::jobservice(
    "jobservice",
    "cache:6379 core:8080 core:8443 database:5432 registry:5000 registry:5443 registry:8080 registry:8443 trivy:8080 \
     trivy:8443"
)]
#[case::trivy("trivy", "cache:6379 core:8080 core:8443")]
fn what_goes_anywhere_is_let_in_where_it_must_be(#[case] component: &str, #[case] expected: &str) {
    let all = reached(&policies(""), component);
    // All pods may come for metrics, and all the world to the front.
    let open = |one: &str| one.ends_with(":8001") || one == "front:8080" || one.split(':').next() == Some(component);
    assert_eq!(all.split(' ').filter(|one| !open(one)).collect::<Vec<_>>().join(" "), expected);
}
