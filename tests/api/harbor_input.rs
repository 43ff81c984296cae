//! What `kubectl apply` answers to a registry that makes no sense: at once, and with what to do.

use fairway::api::{Harbor, HarborClass};
use kube::{
    Api,
    api::{DynamicObject, Patch, PatchParams, ValidationDirective},
    core::ApiResource,
};
use rstest::rstest;
use serde_json::{Value, json};

use crate::server::{client, namespace};

fn strict() -> PatchParams {
    PatchParams { field_validation: Some(ValidationDirective::Strict), ..PatchParams::apply("test") }
}

async fn apply_in(namespace: &str, name: &str, spec: &Value) -> Result<DynamicObject, String> {
    let kind = ApiResource::erase::<Harbor>(&());
    let object =
        json!({ "apiVersion": "fairway.dev/v1alpha1", "kind": "Harbor", "metadata": { "name": name }, "spec": spec });
    let api: Api<DynamicObject> = Api::namespaced_with(client().await, namespace, &kind);
    api.patch(name, &strict(), &Patch::Apply(&object)).await.map_err(|error| error.to_string())
}

/// Applies a spec as `kubectl apply --server-side` does.
async fn apply(name: &str, spec: &Value) -> Result<DynamicObject, String> {
    let (_, namespace) = namespace().await;
    apply_in(&namespace, name, spec).await
}

/// The smallest spec, with these besides or in place.
fn with(more: &str) -> Value {
    let mut spec = json!({ "externalURL": "http://registry.example.com" });
    let more: Value = serde_saphyr::from_str(more).unwrap();
    for (key, value) in more.as_object().unwrap() {
        spec[key] = value.clone();
    }
    spec
}

#[tokio::test]
async fn a_good_one_is_taken_and_completed() {
    let taken = apply("main", &with("{}")).await.unwrap();
    assert_eq!(taken.data["spec"]["deletionPolicy"], "Retain");
    assert_eq!(taken.data["spec"]["version"], Value::Null, "left open for class and operator");
    let spec = "
externalURL: https://registry.example.com:8443
version: 2.15.2
exposure: { tls: { secretName: front }, loadBalancer: { replicas: 1, exposure: { service: { type: NodePort } } } }
database: { type: External, external: { host: db.example.com, username: harbor, passwordSecretName: db } }
cache: { type: Managed, managed: { volume: { size: 2Gi } } }
storage: { type: S3, s3: { bucket: images, endpoint: 'https://s3:9000', credentialsSecretName: keys } }
components: { core: { replicas: 2 }, registry: { replicas: 2 }, trivy: { cacheSize: 2Gi }, exporter: {} }
proxy: { https: 'http://proxy:3128' }
logLevel: Debug
internalTLS: { enabled: true }
";
    let taken = apply("main", &with(spec)).await.unwrap();
    assert_eq!(taken.data["spec"]["internalTLS"]["enabled"], true);
    assert_eq!(taken.data["spec"]["database"]["external"]["sslMode"], "verify-full");
    assert_eq!(taken.data["spec"]["database"]["external"]["port"], 5432);
    let issued = "{ externalURL: 'https://a.example.com', exposure: { tls: { certManager: { issuerName: a } } } }";
    let taken = apply("main", &with(issued)).await.unwrap();
    assert_eq!(taken.data["spec"]["exposure"]["tls"]["certManager"]["issuerKind"], "Issuer");
}

#[rstest]
#[case::no_url("{ externalURL: null }", "spec.externalURL: Required value")]
#[case::a_path("{ externalURL: 'http://registry.example.com/harbor' }", "externalURL must be http:// or https://")]
#[case::a_slash("{ externalURL: 'http://registry.example.com/' }", "without a path or a slash at its end")]
#[case::no_scheme("{ externalURL: registry.example.com }", "externalURL must be http:// or https://")]
#[case::capitals("{ externalURL: 'http://Registry.example.com' }", "a host in lower case")]
#[case::two_storages(
    "{ storage: { type: Filesystem, s3: { bucket: images, credentialsSecretName: keys } } }",
    "a registry has one storage"
)]
#[case::no_bucket("{ storage: { type: S3 } }", "storage of type S3 needs s3")]
#[case::no_container("{ storage: { type: Swift } }", "storage of type Swift needs swift")]
#[case::shared_volume("{ components: { registry: { replicas: 2 } } }", "choose storage of type S3 or Swift")]
#[case::no_certificate("{ externalURL: 'https://registry.example.com' }", "needs exposure.tls, which says where")]
#[case::certificate_for_nothing("{ exposure: { tls: { secretName: a } } }", "change the URL or leave tls out")]
#[case::two_certificates(
    "{ externalURL: 'https://a.example.com', exposure: { tls: { secretName: a, certManager: { issuerName: a } } } }",
    "give one of them"
)]
#[case::neither_certificate(
    "{ externalURL: 'https://a.example.com', exposure: { tls: {} } }",
    "tls needs either secretName"
)]
#[case::no_issuer(
    "{ externalURL: 'https://a.example.com', exposure: { tls: { certManager: {} } } }",
    "issuerName: Required value"
)]
#[case::no_kind_of_issuer(
    "{ externalURL: 'https://a.example.com', exposure: { tls: { certManager: { issuerName: a, issuerKind: Vault } } } }",
    "supported values: \"Issuer\", \"ClusterIssuer\""
)]
#[case::issued_for_nothing(
    "{ exposure: { tls: { certManager: { issuerName: a } } } }",
    "change the URL or leave tls out"
)]
#[case::unknown_tls("{ internalTLS: { secretName: a } }", "field not declared in schema")]
#[case::two_databases(
    "{ database: { type: Managed, external: { host: a, username: a, passwordSecretName: a } } }",
    "a registry has one database"
)]
#[case::no_database("{ database: { type: External } }", "a database of type External needs external")]
#[case::no_server("{ database: { type: Shared } }", "a database of type Shared needs serverName")]
#[case::ca_for_nothing(
    "{ database: { type: External, external: { host: a, username: a, passwordSecretName: a, sslMode: require, caConfigMapName: a } } }",
    "caConfigMapName is for sslMode verify-ca or verify-full only"
)]
#[case::wrong_ssl_mode(
    "{ database: { type: External, external: { host: a, username: a, passwordSecretName: a, sslMode: prefer } } }",
    "supported values: \"disable\", \"require\", \"verify-ca\", \"verify-full\""
)]
#[case::user_without_password(
    "{ cache: { type: External, external: { host: a, username: a } } }",
    "username needs passwordSecretName"
)]
#[case::ca_of_a_cache_for_nothing(
    "{ cache: { type: External, external: { host: a, caConfigMapName: a } } }",
    "caConfigMapName is for tls: true only"
)]
#[case::two_caches(
    "{ cache: { type: External, external: { host: a }, managed: {} } }",
    "managed is for a cache of type Managed only"
)]
#[case::no_cache("{ cache: { type: External } }", "a cache of type External needs external")]
#[case::certificate_for_a_service(
    "{ externalURL: 'https://registry.example.com', exposure: { type: Service, tls: { secretName: a } } }",
    "tls is for exposure of type LoadBalancer or Ingress"
)]
#[case::two_front_doors("{ exposure: { type: Service, ingress: {} } }", "ingress is for exposure of type Ingress only")]
#[case::no_version("{ version: latest }", "spec.version")]
#[case::too_small("{ cache: { managed: { volume: { size: 1Mi } } } }", "size must be a quantity of at least 64Mi")]
#[case::no_quantity("{ storage: { filesystem: { volume: { size: large } } } }", "size must be a quantity")]
#[case::no_proxy("{ proxy: {} }", "proxy needs http, https or both")]
#[case::no_secret_named("{ administrator: {} }", "spec.administrator.passwordSecretName: Required value")]
#[case::no_name_of_a_secret(
    "{ administrator: { passwordSecretName: 'Not a name' } }",
    "spec.administrator.passwordSecretName"
)]
#[case::unknown_field("{ adminPassword: secret }", "adminPassword: field not declared in schema")]
#[case::unknown_policy("{ deletionPolicy: Keep }", "supported values: \"Retain\", \"Delete\"")]
#[case::too_many("{ components: { core: { replicas: 21 } } }", "should be less than or equal to 20")]
#[tokio::test]
async fn a_wrong_one_is_refused_with_what_to_do(#[case] more: &str, #[case] expected: &str) {
    let mut spec = with(more);
    if spec["externalURL"].is_null() {
        spec.as_object_mut().unwrap().remove("externalURL");
    }
    let answer = apply("main", &spec).await.expect_err("a refusal").replace("Supported", "supported");
    assert!(answer.contains(expected), "{answer}");
}

#[rstest]
#[case("a-name-that-is-longer-than-thirty")]
#[case("1st")]
#[tokio::test]
async fn a_name_that_objects_cannot_be_named_after_is_refused(#[case] name: &str) {
    let answer = apply(name, &with("{}")).await.expect_err("a refusal");
    assert!(answer.contains("at most 30 characters long"), "{answer}");
}

#[tokio::test]
async fn the_type_of_a_database_stays() {
    let (_, namespace) = namespace().await;
    apply_in(&namespace, "main", &with("{ database: { type: Managed } }")).await.unwrap();
    let other = "{ database: { type: External, external: { host: a, username: a, passwordSecretName: a } } }";
    let answer = apply_in(&namespace, "main", &with(other)).await.expect_err("a refusal");
    assert!(answer.contains("the type of a database can't be changed"), "{answer}");
}

#[rstest]
#[case("{ versions: [2.14.3], version: 2.15.2 }", "version must be one of versions")]
#[case(
    "{ databaseServers: [{ name: a, host: a, administratorSecretName: a }, { name: a, host: b, administratorSecretName: b }] }",
    "duplicate entries for key [name=\"a\"]"
)]
#[case(
    "{ cacheServers: [{ name: a, host: a, administratorSecretName: a, databases: 4 }] }",
    "greater than or equal to 5"
)]
#[tokio::test]
async fn a_wrong_class_is_refused(#[case] spec: &str, #[case] expected: &str) {
    let spec: Value = serde_saphyr::from_str(spec).unwrap();
    let object = json!({
        "apiVersion": "fairway.dev/v1alpha1", "kind": "HarborClass", "metadata": { "name": "wrong" }, "spec": spec,
    });
    let api: Api<DynamicObject> = Api::all_with(client().await, &ApiResource::erase::<HarborClass>(&()));
    let answer = api.patch("wrong", &strict(), &Patch::Apply(&object)).await.expect_err("a refusal").to_string();
    assert!(answer.contains(expected), "{answer}");
}
