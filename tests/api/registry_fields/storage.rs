//! Where images are kept.

use serde_json::{Value, Value::Null, json};

use super::case::{Row, of, row, text};

const VOLUME: &str = "PersistentVolumeClaim main-registry-data";

pub(super) fn rows() -> Vec<Row> {
    let mut rows = of_a_volume();
    rows.extend(of_s3());
    rows.extend(of_swift());
    rows
}

fn of_a_volume() -> Vec<Row> {
    let base = || json!({ "storage": { "filesystem": { "volume": { "size": "2Gi" } } } });
    vec![
        row(json!({}), "/storage", [Null, json!({ "filesystem": { "volume": { "size": "7Gi" } } })], of(VOLUME, "7Gi"))
            .changes(&["storage", "storage.filesystem", "storage.filesystem.volume"])
            .refused(
                json!({ "filesystem": {}, "s3": { "bucket": "images", "credentialsSecretName": "one" } }),
                "no other type has it: a registry has one storage",
            ),
        row(base(), "/storage/filesystem/volume/size", [json!("2Gi"), json!("7Gi")], of(VOLUME, "7Gi"))
            .refused(json!("large"), "size must be a quantity of at least 64Mi"),
        row(base(), "/storage/filesystem/volume/className", [Null, json!("fast")], of(VOLUME, "\"fast\""))
            .refused(json!(""), "should be at least 1 chars long"),
        row(
            json!({}),
            "/storage",
            [json!({ "type": "Filesystem" }), json!({ "type": "S3", "s3": s3() })],
            text("REGISTRY_STORAGE_S3_ACCESSKEY"),
        )
        .changes(&["storage.type", "storage.s3"])
        .refused(
            json!({ "type": "S3", "s3": s3(), "filesystem": {} }),
            "filesystem is for storage of type Filesystem only",
        ),
    ]
}

fn s3() -> Value {
    json!({ "bucket": "images", "credentialsSecretName": "one" })
}

fn of_s3() -> Vec<Row> {
    let base = || json!({ "storage": { "type": "S3", "s3": s3() } });
    let change = |field: &str, values: [Value; 2], shows: &str| {
        row(base(), &format!("/storage/s3/{field}"), values, text(shows))
    };
    vec![
        change("bucket", [json!("images"), json!("pictures")], "pictures").refused(json!("A"), "s3.bucket"),
        change("region", [Null, json!("eu-north-1")], "eu-north-1").refused(json!("a b"), "s3.region"),
        change("endpoint", [Null, json!("https://s3.example.com")], "https://s3.example.com")
            .refused(json!("s3.example.com"), "s3.endpoint"),
        change("pathStyle", [Null, json!(true)], "forcepathstyle\\\": true").refused(json!("yes"), "s3.pathStyle"),
        change("prefix", [Null, json!("customers/one")], "/customers/one").refused(json!("/a"), "s3.prefix"),
        change("redirect", [json!(false), json!(true)], "\\\"disable\\\": false").refused(json!("yes"), "s3.redirect"),
        change("credentialsSecretName", [json!("one"), json!("two")], "\"key\":\"accessKey\",\"name\":\"two\"").told(
            json!("nope"),
            "ResolvedRefs",
            "False/SecretNotFound",
        ),
        change("caConfigMapName", [Null, json!("ca")], "SSL_CERT_DIR").told(
            json!("nope"),
            "ResolvedRefs",
            "False/ConfigMapNotFound",
        ),
    ]
}

fn of_swift() -> Vec<Row> {
    let swift = || json!({ "authURL": "https://a.example/v3", "container": "images", "credentialsSecretName": "one" });
    let base = || json!({ "storage": { "type": "Swift", "swift": swift() } });
    let change = |field: &str, values: [Value; 2], shows: &str| {
        row(base(), &format!("/storage/swift/{field}"), values, text(shows))
    };
    vec![
        row(
            json!({}),
            "/storage",
            [Null, json!({ "type": "Swift", "swift": swift() })],
            text("REGISTRY_STORAGE_SWIFT"),
        )
        .changes(&["storage.swift"])
        .refused(json!({ "type": "Swift" }), "storage of type Swift needs swift"),
        change("authURL", [json!("https://a.example/v3"), json!("https://b.example/v3")], "https://b.example/v3")
            .refused(json!("https://a.example:5000"), "swift.authURL"),
        change("container", [json!("images"), json!("pictures")], "pictures").refused(json!("a b"), "swift.container"),
        change("prefix", [Null, json!("customers/one")], "customers/one").refused(json!("/a"), "swift.prefix"),
        change("tenant", [Null, json!("harbour")], "harbour").refused(json!(""), "should be at least 1 chars long"),
        change("domain", [Null, json!("harbour")], "harbour").refused(json!(""), "should be at least 1 chars long"),
        change("region", [Null, json!("north")], "\\\"north\\\"").refused(json!(""), "should be at least 1 chars long"),
        change("credentialsSecretName", [json!("one"), json!("two")], "\"key\":\"username\",\"name\":\"two\"").told(
            json!("nope"),
            "ResolvedRefs",
            "False/SecretNotFound",
        ),
        change("caConfigMapName", [Null, json!("ca")], "SSL_CERT_DIR").told(
            json!("nope"),
            "ResolvedRefs",
            "False/ConfigMapNotFound",
        ),
    ]
}
