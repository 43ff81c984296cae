//! Harbor's programs: images, how many, how large.

use serde_json::{Value, Value::Null, json};

use super::case::{Row, of, row, text};

/// Each with the object of its pods.
const PROGRAMS: [(&str, &str); 6] = [
    ("core", "Deployment main-core"),
    ("jobservice", "Deployment main-jobservice"),
    ("registry", "Deployment main-registry"),
    ("portal", "Deployment main-portal"),
    ("trivy", "Deployment main-trivy"),
    ("exporter", "Deployment main-exporter"),
];

pub(super) fn rows() -> Vec<Row> {
    let mut rows: Vec<Row> = PROGRAMS.into_iter().flat_map(|(program, pods)| of_a_program(program, pods)).collect();
    rows.extend(sized(&shared_storage(), "/components/registry/controllerResources", "Deployment main-registry"));
    rows.extend([
        row(
            json!({}),
            "/components/registry/controllerImage",
            [Null, json!("registry.example/controller:9")],
            of("Deployment main-registry", "registry.example/controller:9"),
        )
        .refused(json!("two words"), "components.registry.controllerImage"),
        row(json!({}), "/components/jobservice/workers", [Null, json!(77)], text("workers: 77"))
            .refused(json!(101), "should be less than or equal to 100"),
        row(json!({}), "/components/trivy/cacheSize", [json!("2Gi"), json!("7Gi")], text("\"7Gi\""))
            .refused(json!("1Mi"), "cacheSize must be a quantity of at least 1Gi"),
        row(
            json!({}),
            "/components/trivy/ignoreUnfixed",
            [json!(false), json!(true)],
            text("\"SCANNER_TRIVY_IGNORE_UNFIXED\",\"value\":\"true\""),
        )
        .refused(json!("yes"), "trivy.ignoreUnfixed"),
        row(
            json!({}),
            "/components/trivy/offline",
            [json!(false), json!(true)],
            text("\"SCANNER_TRIVY_OFFLINE_SCAN\",\"value\":\"true\""),
        )
        .refused(json!("yes"), "trivy.offline"),
    ]);
    rows
}

/// Storage that many pods can use.
fn shared_storage() -> Value {
    json!({ "storage": { "type": "S3", "s3": { "bucket": "images", "credentialsSecretName": "one" } } })
}

fn of_a_program(program: &str, pods: &str) -> Vec<Row> {
    let at = |field: &str| format!("/components/{program}/{field}");
    let mut rows = vec![
        row(
            json!({}),
            "/components",
            [Null, json!({ program: { "image": "registry.example/program:9" } })],
            of(pods, "registry.example/program:9"),
        )
        .changes(&["components", &format!("components.{program}")])
        .refused(json!({ program: { "image": "" } }), "should be at least 1 chars long"),
        row(
            json!({}),
            &at("image"),
            [json!("registry.example/program:1"), json!("registry.example/program:2")],
            of(pods, "registry.example/program:2"),
        )
        .refused(json!("two words"), "image"),
    ];
    if program != "exporter" {
        rows.push(
            row(shared_storage(), &at("replicas"), [json!(1), json!(3)], of(pods, "\"replicas\":3"))
                .refused(json!(21), "should be less than or equal to 20"),
        );
    }
    rows.extend(sized(&shared_storage(), &at("resources"), pods));
    rows
}

/// Requests and limits of processor and memory.
pub(super) fn sized(base: &Value, at: &str, pods: &str) -> Vec<Row> {
    let path = at[1..].replace('/', ".");
    let sizes = |limits: [&str; 2], requests: [&str; 2]| {
        json!({
            "limits": { "cpu": limits[0], "memory": limits[1] },
            "requests": { "cpu": requests[0], "memory": requests[1] },
        })
    };
    let usual = (["2", "512Mi"], ["100m", "128Mi"]);
    let row = |field: &str, second: Value, shows: &str, wrong: Value, words: &'static str| {
        let of_it = if field.is_empty() { path.clone() } else { format!("{path}.{field}") };
        row(base.clone(), at, [sizes(usual.0, usual.1), second], of(pods, shows))
            .changes(&[&of_it])
            .refused(wrong, words)
    };
    let holders = ["", ".limits", ".requests"].map(|part| format!("{path}{part}"));
    let holders = holders.each_ref().map(String::as_str);
    let whole = sizes(["1777m", "600Mi"], ["77m", "66Mi"]);
    vec![
        super::case::row(base.clone(), at, [Null, whole], of(pods, "\"1777m\""))
            .changes(&holders)
            .refused(json!({ "limits": { "cpu": "much", "memory": "600Mi" } }), "cpu must be a quantity above 0"),
        row(
            "limits.cpu",
            sizes(["1777m", "512Mi"], usual.1),
            "\"1777m\"",
            sizes(["0", "512Mi"], usual.1),
            "cpu must be a quantity above 0, such as 500m or 2",
        ),
        row(
            "limits.memory",
            sizes(["2", "777Mi"], usual.1),
            "\"777Mi\"",
            sizes(["2", "1Mi"], usual.1),
            "memory must be a quantity of at least 32Mi",
        ),
        row(
            "requests.cpu",
            sizes(usual.0, ["77m", "128Mi"]),
            "\"77m\"",
            sizes(usual.0, ["3", "128Mi"]),
            "requests.cpu must not be more than limits.cpu",
        ),
        row(
            "requests.memory",
            sizes(usual.0, ["100m", "177Mi"]),
            "\"177Mi\"",
            sizes(usual.0, ["100m", "1Gi"]),
            "requests.memory must not be more than limits.memory",
        ),
    ]
}
