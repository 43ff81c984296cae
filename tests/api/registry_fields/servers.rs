//! Database and cache: run by Fairway, shared, or of the user's own.

use serde_json::{Value, Value::Null, json};

use super::{
    case::{Row, of, row, text},
    components::sized,
};

pub(super) fn rows() -> Vec<Row> {
    let mut rows = vec![];
    rows.extend(managed("database", "StatefulSet main-database"));
    rows.extend(managed("cache", "StatefulSet main-cache"));
    rows.extend(["database", "cache"].map(shared));
    rows
}

/// What only a class may say, or may not.
pub(super) fn class_rows() -> Vec<Row> {
    let change = |server: &str, shows: &str| {
        row(json!({}), &format!("/{server}"), [Null, json!({ "type": "Shared", "serverName": "other" })], text(shows))
            .changes(&[server, &format!("{server}.type")])
            .refused(json!({ "type": "External" }), "supported values: \"Managed\", \"Shared\"")
    };
    vec![change("database", "other-db.example.com"), change("cache", "other-redis.example.com")]
}

/// What a registry says for itself alone, since it is the customer's.
pub(super) fn own_rows() -> Vec<Row> {
    [database(), external_database(), cache(), external_cache()].into_iter().flatten().collect()
}

/// One of the servers of the class.
fn shared(server: &str) -> Row {
    let shows = if server == "database" { "other-db.example.com" } else { "other-redis.example.com" };
    let at = format!("/{server}/serverName");
    row(json!({ server: { "type": "Shared" } }), &at, [json!("main"), json!("other")], text(shows)).told(
        json!("nope"),
        "Accepted",
        "False/UnknownServer",
    )
}

/// What Fairway runs on a volume.
fn managed(server: &str, pods: &str) -> Vec<Row> {
    let at = |field: &str| format!("/{server}/managed/{field}");
    let named = |part: &str| format!("{server}{part}");
    let volume = format!("PersistentVolumeClaim main-{server}-data");
    let sized_volume = |size: &str| json!({ server: { "managed": { "volume": { "size": size } } } });
    let mut rows = vec![
        row(
            json!({}),
            &format!("/{server}"),
            [Null, json!({ "managed": { "image": "registry.example/server:9", "volume": { "size": "7Gi" } } })],
            of(pods, "registry.example/server:9"),
        )
        .changes(&[server, &named(".managed"), &named(".managed.volume")])
        .refused(json!({ "type": "Nowhere" }), "supported values: \"Managed\", \"Shared\""),
        row(
            json!({}),
            &at("image"),
            [json!("registry.example/server:1"), json!("registry.example/server:2")],
            of(pods, "registry.example/server:2"),
        )
        .refused(json!("two words"), "managed.image"),
        row(sized_volume("2Gi"), &at("volume/size"), [json!("2Gi"), json!("7Gi")], of(&volume, "7Gi"))
            .refused(json!("1Mi"), "size must be a quantity of at least 64Mi"),
        row(sized_volume("2Gi"), &at("volume/className"), [Null, json!("fast")], of(&volume, "\"fast\""))
            .refused(json!(""), "should be at least 1 chars long"),
    ];
    rows.extend(sized(&json!({}), &at("resources"), pods));
    rows
}

fn database() -> Vec<Row> {
    let external = json!({
        "type": "External",
        "external": { "host": "db.customer.example", "username": "harbor", "passwordSecretName": "one" },
    });
    vec![
        row(json!({}), "/database", [Null, external], text("db.customer.example"))
            .changes(&["database.type", "database.external"])
            .refused(json!({ "type": "External" }), "a database of type External needs external"),
    ]
}

fn external_database() -> Vec<Row> {
    let base = |mode: &str| {
        let external = json!({
            "host": "db.customer.example", "username": "harbor", "passwordSecretName": "one", "sslMode": mode,
        });
        json!({ "database": { "type": "External", "external": external } })
    };
    let at = |field: &str| format!("/database/external/{field}");
    let change = |field: &str, values: [Value; 2], shows: &str| row(base("require"), &at(field), values, text(shows));
    vec![
        change("host", [json!("a.example"), json!("b.example")], "b.example").refused(json!("a b"), "external.host"),
        change("port", [Null, json!(5433)], "5433").refused(json!(0), "should be greater than or equal to 1"),
        change("database", [Null, json!("images")], "\"POSTGRESQL_DATABASE\",\"value\":\"images\"")
            .refused(json!("a b"), "external.database"),
        change("username", [json!("harbor"), json!("captain")], "captain").refused(json!("a b"), "external.username"),
        change("passwordSecretName", [json!("one"), json!("two")], "password-in-two").told(
            json!("nope"),
            "ResolvedRefs",
            "False/SecretNotFound",
        ),
        change("sslMode", [json!("require"), json!("verify-ca")], "verify-ca")
            .refused(json!("prefer"), "supported values: \"disable\", \"require\""),
        row(base("verify-ca"), &at("caConfigMapName"), [Null, json!("ca")], text("SSL_CERT_DIR")).told(
            json!("nope"),
            "ResolvedRefs",
            "False/ConfigMapNotFound",
        ),
        row(base("verify-ca"), &at("sslMode"), [json!("verify-ca"), json!("require")], text("\"require\""))
            .refused(json!(1), "sslMode"),
    ]
}

fn cache() -> Vec<Row> {
    let external = json!({ "type": "External", "external": { "host": "redis.customer.example" } });
    vec![
        row(json!({}), "/cache", [Null, external], text("redis.customer.example"))
            .changes(&["cache.type", "cache.external"])
            .refused(json!({ "type": "Shared" }), "a cache of type Shared needs serverName"),
    ]
}

fn external_cache() -> Vec<Row> {
    let base = |more: Value| {
        let mut external = json!({ "host": "redis.customer.example", "passwordSecretName": "one" });
        for (key, value) in more.as_object().unwrap() {
            external[key] = value.clone();
        }
        json!({ "cache": { "type": "External", "external": external } })
    };
    let at = |field: &str| format!("/cache/external/{field}");
    let change = |field: &str, values: [Value; 2], shows: &str| row(base(json!({})), &at(field), values, text(shows));
    vec![
        change("host", [json!("a.example"), json!("b.example")], "b.example").refused(json!("a b"), "external.host"),
        change("port", [Null, json!(6380)], "6380").refused(json!(65536), "should be less than or equal to 65535"),
        change("username", [Null, json!("captain")], "captain").refused(json!("a b"), "external.username"),
        change("passwordSecretName", [json!("one"), json!("two")], "in%2Dtwo").told(
            json!("nope"),
            "ResolvedRefs",
            "False/SecretNotFound",
        ),
        change("tls", [json!(false), json!(true)], "rediss://").refused(json!("yes"), "external.tls"),
        change("firstDatabase", [Null, json!(70)], "/70").refused(json!(-1), "should be greater than or equal to 0"),
        row(base(json!({ "tls": true })), &at("caConfigMapName"), [Null, json!("ca")], text("SSL_CERT_DIR")).told(
            json!("nope"),
            "ResolvedRefs",
            "False/ConfigMapNotFound",
        ),
    ]
}
