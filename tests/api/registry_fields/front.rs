//! How a registry is reached.

use serde_json::{Value, Value::Null, json};

use super::case::{Row, of, row, there};

const BALANCER: &str = "LoadBalancer main-front";

pub(super) fn rows() -> Vec<Row> {
    let mut rows = by_load_balancer();
    rows.extend(exposed());
    rows.extend(by_others());
    rows.extend(with_tls());
    rows
}

fn balanced(settings: &Value) -> Value {
    json!({ "exposure": { "loadBalancer": settings } })
}

fn by_load_balancer() -> Vec<Row> {
    let change = |field: &str, values: [Value; 2], shows: &str| {
        row(balanced(&json!({})), &format!("/exposure/loadBalancer/{field}"), values, of(BALANCER, shows))
    };
    vec![
        row(
            json!({}),
            "/exposure",
            [Null, json!({ "loadBalancer": { "replicas": 5 } })],
            of(BALANCER, "\"replicas\":5"),
        )
        .changes(&["exposure", "exposure.loadBalancer"])
        .refused(
            json!({ "type": "Ingress", "loadBalancer": {} }),
            "loadBalancer is for exposure of type LoadBalancer only",
        ),
        change("className", [Null, json!("edge")], "\"edge\"").refused(json!(""), "should be at least 1 chars long"),
        change("replicas", [Null, json!(7)], "\"replicas\":7")
            .refused(json!(101), "should be less than or equal to 100"),
        change("allowedCidrs", [Null, json!(["192.0.2.0/24"])], "192.0.2.0/24")
            .refused(json!(["192.0.2.0"]), "allowedCidrs must be networks in CIDR notation"),
    ]
}

/// How the load balancer itself is reached.
fn exposed() -> Vec<Row> {
    let at = "/exposure/loadBalancer/exposure";
    let change = |fields: &[&str], values: [Value; 2], shows: &str| {
        let fields: Vec<String> = fields.iter().map(|field| format!("exposure.loadBalancer.exposure{field}")).collect();
        let fields: Vec<&str> = fields.iter().map(String::as_str).collect();
        row(balanced(&json!({})), at, values, of(BALANCER, shows)).changes(&fields)
    };
    let service = |service: Value| json!({ "service": service });
    vec![
        change(&["", ".service"], [Null, service(json!({ "type": "NodePort" }))], "NodePort")
            .refused(json!({ "type": "Ingress" }), "supported values: \"Service\", \"HostNetwork\""),
        change(&[".type"], [json!({ "type": "Service" }), json!({ "type": "HostNetwork" })], "HostNetwork").refused(
            json!({ "type": "HostNetwork", "service": { "type": "NodePort" } }),
            "service is for exposure of type Service only",
        ),
        change(
            &[".service.type"],
            [service(json!({ "type": "ClusterIP" })), service(json!({ "type": "NodePort" }))],
            "NodePort",
        )
        .refused(service(json!({ "type": "ExternalName" })), "supported values: \"ClusterIP\""),
        change(
            &[".service.annotations"],
            [service(json!({})), service(json!({ "annotations": { "cloud.example/zone": "a" } }))],
            "cloud.example/zone",
        )
        .refused(service(json!({ "annotations": { "a": 1 } })), "annotations.a"),
        change(
            &[".service.externalTrafficPolicy"],
            [
                service(json!({ "type": "NodePort" })),
                service(json!({ "type": "NodePort", "externalTrafficPolicy": "Local" })),
            ],
            "\"Local\"",
        )
        .refused(
            service(json!({ "externalTrafficPolicy": "Local" })),
            "externalTrafficPolicy is for Services of type NodePort or LoadBalancer only",
        ),
    ]
}

fn by_others() -> Vec<Row> {
    let ingress = |field: &str, values: [Value; 2], shows: &str| {
        let base = json!({ "exposure": { "type": "Ingress", "ingress": {} } });
        row(base, &format!("/exposure/ingress/{field}"), values, of("Ingress main-front", shows))
    };
    let service = |field: &str, values: [Value; 2], shows: &str| {
        let base = json!({ "exposure": { "type": "Service", "service": { "type": "NodePort" } } });
        row(base, &format!("/exposure/service/{field}"), values, of("Service main-front", shows))
    };
    vec![
        row(
            json!({}),
            "/exposure",
            [json!({ "type": "LoadBalancer" }), json!({ "type": "Ingress", "ingress": { "className": "nginx" } })],
            there("Ingress main-front"),
        )
        .changes(&["exposure.type", "exposure.ingress"])
        .refused(json!({ "type": "Service", "ingress": {} }), "ingress is for exposure of type Ingress only"),
        row(
            json!({}),
            "/exposure",
            [Null, json!({ "type": "Service", "service": { "type": "NodePort" } })],
            of("Service main-front", "NodePort"),
        )
        .changes(&["exposure.service"])
        .refused(json!({ "type": "Ingress", "service": {} }), "service is for exposure of type Service only"),
        ingress("className", [Null, json!("nginx")], "\"nginx\"").refused(json!(""), "should be at least 1 chars long"),
        ingress("annotations", [Null, json!({ "cloud.example/zone": "a" })], "cloud.example/zone")
            .refused(json!({ "a": 1 }), "annotations.a"),
        service("type", [json!("NodePort"), json!("LoadBalancer")], "\"LoadBalancer\"")
            .refused(json!("ExternalName"), "supported values: \"ClusterIP\""),
        service("annotations", [Null, json!({ "cloud.example/zone": "a" })], "cloud.example/zone")
            .refused(json!({ "a": 1 }), "annotations.a"),
        service("externalTrafficPolicy", [Null, json!("Local")], "\"Local\"")
            .refused(json!("Everywhere"), "supported values: \"Cluster\", \"Local\""),
    ]
}

fn with_tls() -> Vec<Row> {
    let secret = |name: &str| json!({ "secretName": name });
    let issued = |name: &str| json!({ "certManager": { "issuerName": name } });
    vec![
        row(
            json!({ "exposure": { "type": "Ingress" } }),
            "/exposure/tls",
            [Null, secret("one")],
            of("Ingress main-front", "\"secretName\":\"one\""),
        )
        .secure()
        .refused(secret("a b"), "tls.secretName"),
        row(
            json!({ "exposure": { "type": "LoadBalancer" } }),
            "/exposure/tls/secretName",
            [json!("one"), json!("two")],
            of(BALANCER, "\"secretName\":\"two\""),
        )
        .secure()
        .told(json!("nope"), "ResolvedRefs", "False/SecretNotFound"),
        row(
            json!({ "exposure": { "type": "LoadBalancer" } }),
            "/exposure/tls",
            [secret("one"), issued("a")],
            of("Certificate main-front", "\"name\":\"a\""),
        )
        .changes(&["exposure.tls.certManager"])
        .secure()
        // (An empty one, applied where there was one before, becomes `null`.)
        .refused(json!({ "secretName": "one", "certManager": { "issuerName": "a" } }), "tls needs either secretName"),
        row(
            json!({ "exposure": { "type": "LoadBalancer", "tls": issued("a") } }),
            "/exposure/tls/certManager/issuerName",
            [json!("a"), json!("b")],
            of("Certificate main-front", "\"name\":\"b\""),
        )
        .secure()
        .refused(json!("a b"), "certManager.issuerName"),
        row(
            json!({ "exposure": { "type": "LoadBalancer", "tls": issued("a") } }),
            "/exposure/tls/certManager/issuerKind",
            [json!("Issuer"), json!("ClusterIssuer")],
            of("Certificate main-front", "\"ClusterIssuer\""),
        )
        .secure()
        .refused(json!("Vault"), "supported values: \"Issuer\", \"ClusterIssuer\""),
    ]
}
