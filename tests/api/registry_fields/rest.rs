//! What is left: proxy and log level of both, what only a registry says, and what only a class does.

use serde_json::{Value, Value::Null, json};

use super::case::{Case, OF_THE_CASE, On, Row, done, of, row, text};

/// What programs with TLS between them are told.
const ENCRYPTED: &str = "\"INTERNAL_TLS_ENABLED\",\"value\":\"true\"";

/// Of both.
pub(super) fn rows() -> Vec<Row> {
    let proxied = || json!({ "proxy": { "http": "http://a.example:3128", "https": "http://a.example:3128" } });
    vec![
        row(json!({}), "/proxy", [Null, json!({ "http": "http://a.example:3128" })], text("http://a.example:3128"))
            .refused(json!({}), "proxy needs http, https or both"),
        row(
            proxied(),
            "/proxy/http",
            [json!("http://a.example:3128"), json!("http://b.example:3128")],
            text("\"HTTP_PROXY\",\"value\":\"http://b.example:3128\""),
        )
        .refused(json!("b.example"), "proxy.http"),
        row(
            proxied(),
            "/proxy/https",
            [json!("http://a.example:3128"), json!("http://b.example:3128")],
            text("\"HTTPS_PROXY\",\"value\":\"http://b.example:3128\""),
        )
        .refused(json!("b.example"), "proxy.https"),
        row(proxied(), "/proxy/noProxy", [Null, json!([".inside.example"])], text(".inside.example"))
            .refused(json!(["a,b"]), "proxy.noProxy[0]"),
        row(json!({}), "/internalTLS", [Null, json!({ "enabled": true })], text(ENCRYPTED))
            .refused(json!({ "enabled": "yes" }), "internalTLS.enabled"),
        row(
            json!({ "internalTLS": { "enabled": false } }),
            "/internalTLS/enabled",
            [json!(false), json!(true)],
            text(ENCRYPTED),
        )
        .refused(json!("yes"), "internalTLS.enabled"),
        row(json!({}), "/logLevel", [Null, json!("Warning")], text("\"LOG_LEVEL\",\"value\":\"warning\""))
            .refused(json!("Loud"), "supported values: \"Debug\""),
    ]
}

/// Of one of them.
pub(super) fn cases() -> Vec<Case> {
    let mut cases: Vec<Case> = of_a_registry().into_iter().map(|row| row.on(On::Harbor)).collect();
    cases.extend(of_a_class().into_iter().map(|row| row.on(On::Class)));
    cases.extend(shared_databases());
    cases.extend(shared_caches());
    cases
}

fn of_a_registry() -> Vec<Row> {
    vec![
        row(
            json!({}),
            "/externalURL",
            [json!("http://a.example.com"), json!("http://b.example.com")],
            of("Deployment main-core", "http://b.example.com"),
        )
        .refused(json!("b.example.com/harbor"), "externalURL must be http:// or https://"),
        row(
            json!({}),
            "/externalURL",
            [json!("http://a.example.com"), json!("http://a.example.com:8080")],
            text("a.example.com:8080"),
        )
        .told(json!("http://a.example.com:9101"), "Accepted", "False/InvalidExternalURL"),
        row(json!({}), "/version", [json!("2.14.3"), json!("2.15.2")], text("harbor-core:v2.15.2")).told(
            json!("1.2.3"),
            "Accepted",
            "False/UnknownVersion",
        ),
        row(json!({}), "/version", [Null, json!("2.14.3")], text("harbor-core:v2.14.3")).told(
            json!("2.14.3"),
            "Accepted",
            "False/DowngradeRefused",
        ),
        row(json!({}), "/version", [Null, json!("2.14.3")], text("harbor-core:v2.14.3"))
            .refused(json!("latest"), "spec.version"),
        row(json!({}), "/className", [Null, json!(OF_THE_CASE)], text("the-class")).told(
            json!("nope"),
            "Accepted",
            "False/ClassNotFound",
        ),
        row(json!({}), "/configuration", [Null, json!({ "robot_token_duration": "77" })], done("77")).told(
            json!({ "robot_token_duration": "a lot" }),
            "Accepted",
            "False/InvalidConfiguration",
        ),
        row(
            json!({}),
            "/administrator",
            [Null, json!({ "passwordSecretName": "strong-1" })],
            done("password Strong-1"),
        )
        .refused(json!({}), "administrator.passwordSecretName"),
        row(
            json!({ "administrator": {} }),
            "/administrator/passwordSecretName",
            [json!("strong-1"), json!("strong-2")],
            done("password Strong-2"),
        )
        .told(json!("nope"), "AdministratorReady", "False/SecretNotFound"),
        row(json!({}), "/deletionPolicy", [json!("Retain"), json!("Delete")], Box::new(|planned| planned.held))
            .refused(json!("Keep"), "supported values: \"Retain\", \"Delete\""),
        row(json!({}), "/paused", [json!(false), json!(true)], Box::new(|planned| planned.objects.is_empty()))
            .refused(json!("yes"), "spec.paused"),
    ]
}

fn of_a_class() -> Vec<Row> {
    vec![
        row(json!({}), "/version", [Null, json!("2.14.3")], text("harbor-core:v2.14.3"))
            .refused(json!("latest"), "spec.version"),
        row(
            json!({ "versions": ["2.14.3", "2.15.2"] }),
            "/version",
            [json!("2.15.2"), json!("2.14.3")],
            text("harbor-core:v2.14.3"),
        )
        .refused(json!("2.13.0"), "version must be one of versions"),
        row(json!({}), "/versions", [json!(["2.14.3", "2.15.2"]), json!(["2.14.3"])], text("harbor-core:v2.14.3"))
            .refused(json!(["latest"]), "spec.versions[0]"),
        row(
            json!({}),
            "/imageRepository",
            [Null, json!("mirror.example/harbor")],
            text("mirror.example/harbor/harbor-core"),
        )
        .refused(json!("two words"), "spec.imageRepository"),
        row(
            json!({}),
            "/nodeSelector",
            [Null, json!({ "pool": "edge" })],
            of("Deployment main-core", "\"pool\":\"edge\""),
        )
        .refused(json!({ "pool": 1 }), "spec.nodeSelector.pool"),
    ]
}

/// Two servers of a class by these names.
fn servers(names: [&str; 2]) -> Value {
    let server = |name, host| json!({ "name": name, "host": host, "administratorSecretName": "root" });
    json!([server(names[0], "a.example"), server(names[1], "b.example")])
}

/// The list, and what its servers are called.
fn listed(at: &str, registry: &Value) -> [Case; 2] {
    let name = format!("{}[].name", &at[1..]);
    let more = row(json!({}), at, [server("port", &Null), servers(["other", "main"])], text("b.example"))
        .changes(&[&at[1..]])
        .refused(json!([{ "name": "main" }]), "Required value");
    let renamed = row(json!({}), at, [servers(["main", "other"]), servers(["other", "main"])], text("b.example"))
        .changes(&[&name])
        .refused(servers(["main", "main"]), "duplicate entries for key [name=\"main\"]");
    [more, renamed].map(|row| row.of_class_with(registry))
}

/// One server of a class, with this field in it.
fn server(field: &str, value: &Value) -> Value {
    let mut server = json!({ "name": "main", "host": "a.example", "administratorSecretName": "root" });
    match value {
        Null => drop(server.as_object_mut().unwrap().remove(field)),
        value => server[field] = value.clone(),
    }
    json!([server])
}

fn shared_databases() -> Vec<Case> {
    let registry = json!({ "database": { "type": "Shared", "serverName": "main" } });
    let change = |field: &str, values: [Value; 2], effect, wrong: Value, words| {
        let of_it = format!("databaseServers[].{field}");
        let values = values.each_ref().map(|value| server(field, value));
        let row = row(json!({}), "/databaseServers", values, effect).changes(&[&of_it]);
        row.refused(server(field, &wrong), words).of_class_with(&registry)
    };
    let mut cases = vec![
        change("host", [json!("a.example"), json!("b.example")], text("b.example"), json!("a b"), "host"),
        change("port", [Null, json!(5433)], text("5433"), json!(0), "should be greater than or equal to 1"),
        change("administratorSecretName", [json!("root"), json!("captain")], done("captain"), json!("a b"), "Secret"),
        change("sslMode", [Null, json!("disable")], text("\"disable\""), json!("prefer"), "supported values"),
        change(
            "connectionsPerRegistry",
            [Null, json!(20)],
            text("\"POSTGRESQL_MAX_OPEN_CONNS\",\"value\":\"5\""),
            json!(11),
            "should be greater than or equal to 12",
        ),
    ];
    cases.extend(listed("/databaseServers", &registry));
    cases
}

fn shared_caches() -> Vec<Case> {
    let registry = json!({ "cache": { "type": "Shared", "serverName": "main" } });
    let change = |field: &str, values: [Value; 2], effect, wrong: Value, words| {
        let of_it = format!("cacheServers[].{field}");
        let values = values.each_ref().map(|value| server(field, value));
        let row = row(json!({}), "/cacheServers", values, effect).changes(&[&of_it]);
        row.refused(server(field, &wrong), words).of_class_with(&registry)
    };
    let mut cases = vec![
        change("host", [json!("a.example"), json!("b.example")], text("b.example"), json!("a b"), "host"),
        change("port", [Null, json!(6380)], text("6380"), json!(0), "should be greater than or equal to 1"),
        change("administratorSecretName", [json!("root"), json!("captain")], done("captain"), json!("a b"), "Secret"),
        change("tls", [json!(false), json!(true)], text("rediss://"), json!("yes"), "tls"),
        change("databases", [Null, json!(77)], done("databases: 77"), json!(4), "should be greater than or equal to 5"),
    ];
    cases.extend(listed("/cacheServers", &registry));
    cases
}
