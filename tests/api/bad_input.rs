//! What `kubectl apply` answers to a wrong input: at once, and with what to do.

use fairway::api::{LoadBalancer, LoadBalancerClass};
use kube::{
    Api,
    api::{DynamicObject, Patch, PatchParams},
    core::ApiResource,
};
use rstest::rstest;
use serde_json::{Value, json};

use crate::server::{client, namespace};

fn good() -> Value {
    json!({
        "listeners": [{ "name": "web", "protocol": "HTTP", "port": 80, "pool": "app" }],
        "pools": [{
            "name": "app",
            "monitor": { "type": "HTTP" },
            "members": [{ "address": "192.0.2.10", "port": 8080 }],
            "services": [{ "name": "app", "port": "http" }],
            "pods": [{ "name": "app", "selector": { "matchLabels": { "app": "web" } }, "port": "http" }],
        }],
    })
}

/// Applies a spec as `kubectl apply --server-side` does; what the server says of it when it says no.
async fn apply(name: &str, spec: &Value) -> Result<DynamicObject, String> {
    let (client, namespace) = namespace().await;
    let kind = ApiResource::erase::<LoadBalancer>(&());
    let object = json!({
        "apiVersion": "fairway.dev/v1alpha1", "kind": "LoadBalancer", "metadata": { "name": name }, "spec": spec,
    });
    let parameters =
        PatchParams { field_validation: Some(kube::api::ValidationDirective::Strict), ..PatchParams::apply("test") };
    let api: Api<DynamicObject> = Api::namespaced_with(client, &namespace, &kind);
    api.patch(name, &parameters, &Patch::Apply(&object)).await.map_err(|error| error.to_string())
}

/// Puts a value at a JSON pointer, or takes it away where the value is null.
fn changed(pointer: &str, value: Value) -> Value {
    let mut spec = good();
    let (parent, key) = pointer.rsplit_once('/').unwrap();
    match spec.pointer_mut(parent).unwrap_or_else(|| panic!("nothing at {parent}")) {
        Value::Array(list) if key == "-" => list.push(value),
        Value::Array(list) => list[key.parse::<usize>().unwrap()] = value,
        Value::Object(object) if value.is_null() => {
            object.remove(key);
        }
        Value::Object(object) => {
            object.insert(key.to_owned(), value);
        }
        _ => panic!("nothing can be put at {pointer}"),
    }
    spec
}

/// A rule that rejects.
fn rule(kind: &str, key: Value, operator: &str, value: &str) -> Value {
    let mut matched = json!({ "type": kind, "operator": operator, "value": value });
    if !key.is_null() {
        matched["key"] = key;
    }
    json!({ "name": "a", "matches": [matched], "reject": {} })
}

#[tokio::test]
async fn a_good_one_is_taken_and_completed() {
    let taken = apply("shop", &good()).await.unwrap();
    assert_eq!(taken.data["spec"]["pools"][0]["members"][0]["weight"], 100);
    assert_eq!(taken.data["spec"]["pools"][0]["algorithm"], "RoundRobin");
    assert_eq!(taken.data["spec"]["pools"][0]["monitor"]["intervalSeconds"], 5);
    assert_eq!(taken.data["spec"]["replicas"], Value::Null, "left open for the class");
}

#[rstest]
#[case::no_listener("/listeners", json!([]), "should have at least 1 items")]
#[case::no_pool("/pools", Value::Null, "spec.pools: Required value")]
#[case::doubled_listener("/listeners/-", json!({ "name": "web", "protocol": "HTTP", "port": 81, "pool": "app" }), "duplicate entries for key [name=\"web\"]")]
#[case::doubled_port("/listeners/-", json!({ "name": "two", "protocol": "TCP", "port": 80, "pool": "app" }), "two listeners have the same port: give each listener a port of its own")]
#[case::doubled_pool("/pools/-", json!({ "name": "app" }), "duplicate entries for key [name=\"app\"]")]
#[case::doubled_member("/pools/0/members/-", json!({ "address": "192.0.2.10", "port": 8080 }), "duplicate entries for key")]
#[case::unknown_pool("/listeners/0/pool", json!("nope"), "a listener names a pool that is not in spec.pools: add the pool or correct the name")]
#[case::https_without_certificate("/listeners/0/protocol", json!("HTTPS"), "a listener of protocol HTTPS needs at least one entry in certificates")]
#[case::certificate_without_https("/listeners/0/certificates", json!([{ "secretName": "shop" }]), "certificates are for listeners of protocol HTTPS only")]
#[case::bad_secret_name("/listeners/0/certificates", json!([{ "secretName": "../etc" }]), "spec.listeners[0].certificates[0].secretName")]
#[case::udp("/listeners/0/protocol", json!("UDP"), "protocol must be HTTP, HTTPS, TCP or TLS; UDP and SCTP are not HAProxy's")]
#[case::sctp("/listeners/0/protocol", json!("SCTP"), "protocol must be HTTP, HTTPS, TCP or TLS; UDP and SCTP are not HAProxy's")]
#[case::port_zero("/listeners/0/port", json!(0), "should be greater than or equal to 1")]
#[case::port_too_high("/listeners/0/port", json!(65536), "should be less than or equal to 65535")]
#[case::port_taken("/listeners/0/port", json!(9443), "ports 9101, 9102 and 9443 belong to the agent and to health checks")]
#[case::bad_listener_name("/listeners/0/name", json!("Web 1"), "spec.listeners[0].name")]
#[case::bad_cidr("/listeners/0/allowedCidrs", json!(["10.0.0.0/33"]), "allowedCidrs must be networks in CIDR notation, such as 192.0.2.0/24")]
#[case::client_timeout("/listeners/0/timeouts", json!({ "clientSeconds": 0 }), "clientSeconds")]
#[case::inspect_timeout("/listeners/0/timeouts", json!({ "inspectSeconds": 1 }), "timeouts.inspectSeconds is for listeners of protocol TLS only")]
#[case::tls_without_https("/listeners/0/tls", json!({}), "tls, hsts and clientAuthentication are for listeners of protocol HTTPS only")]
#[case::tls_version("/listeners/0/tls", json!({ "minimumVersion": "SSLv3" }), "supported values: \"TLSv1.2\", \"TLSv1.3\"")]
#[case::cipher("/listeners/0/tls", json!({ "ciphers": ["RSA verify none"] }), "spec.listeners[0].tls.ciphers[0]")]
#[case::cipher_suite("/listeners/0/tls", json!({ "cipherSuites": ["AES"] }), "supported values: \"TLS_AES_128_GCM_SHA256\"")]
#[case::alpn("/listeners/0/tls", json!({ "alpn": ["h3"] }), "supported values: \"h2\", \"http/1.1\"")]
#[case::client_authentication_without_authorities("/listeners/0/clientAuthentication", json!({}), "caConfigMapName: Required value")]
#[case::client_authentication_mode("/listeners/0/clientAuthentication", json!({ "caConfigMapName": "a", "mode": "None" }), "supported values: \"Required\", \"Optional\"")]
#[case::hsts("/listeners/0/hsts", json!({ "maxAgeSeconds": -1 }), "should be greater than or equal to 0")]
#[case::hsts_without_https("/listeners/0/hsts", json!({}), "tls, hsts and clientAuthentication are for listeners of protocol HTTPS only")]
#[case::redirect_with_pool("/listeners/0/redirectToHttps", json!({}), "sends everything that no rule decides to HTTPS: leave out pool")]
#[case::redirect_status("/listeners/0/redirectToHttps", json!({ "statusCode": 300 }), "statusCode of a redirect must be 301, 302, 303, 307 or 308")]
#[case::headers_of_tcp("/listeners/0", json!({ "name": "web", "protocol": "TCP", "port": 80, "pool": "app", "insertHeaders": {} }), "insertHeaders is for listeners of protocol HTTP or HTTPS only")]
#[case::tcp_without_pool("/listeners/0", json!({ "name": "web", "protocol": "TCP", "port": 80 }), "a listener of protocol TCP needs a pool")]
#[case::nowhere(
    "/listeners/0/pool",
    Value::Null,
    "a listener needs a pool, rules or redirectToHttps: say where its traffic goes"
)]
#[case::connection_limit("/listeners/0/connectionLimit", json!(0), "should be greater than or equal to 1")]
#[case::rate_limit("/listeners/0/rateLimit", json!({ "requests": 0 }), "should be greater than or equal to 1")]
#[case::rate_limit_period("/listeners/0/rateLimit", json!({ "requests": 1, "periodSeconds": 3601 }), "should be less than or equal to 3600")]
#[case::proxy_protocol("/listeners/0/proxyProtocol", json!("v1"), "expected boolean")]
#[case::rule_without_action("/listeners/0/rules", json!([{ "name": "a", "matches": [{ "type": "Path", "value": "/" }] }]), "a rule needs exactly one of pool, redirect and reject")]
#[case::rule_with_two_actions("/listeners/0/rules", json!([{ "name": "a", "matches": [{ "type": "Path", "value": "/" }], "pool": "app", "reject": {} }]), "a rule needs exactly one of pool, redirect and reject")]
#[case::rule_without_match("/listeners/0/rules", json!([{ "name": "a", "matches": [], "reject": {} }]), "should have at least 1 items")]
#[case::rule_pool("/listeners/0/rules", json!([{ "name": "a", "matches": [{ "type": "Path", "value": "/" }], "pool": "b" }]), "a rule names a pool that is not in spec.pools")]
#[case::rule_twice("/listeners/0/rules", json!([rule("Path", Value::Null, "Equals", "/"), rule("Path", Value::Null, "Equals", "/")]), "duplicate entries for key [name=\"a\"]")]
#[case::rule_status("/listeners/0/rules", json!([{ "name": "a", "matches": [{ "type": "Path", "value": "/" }], "reject": { "statusCode": 200 } }]), "statusCode of a rejection must be one of 400, 401")]
#[case::rule_redirect("/listeners/0/rules", json!([{ "name": "a", "matches": [{ "type": "Path", "value": "/" }], "redirect": {} }]), "a redirect needs either url (the whole place) or prefix")]
#[case::rule_redirect_url("/listeners/0/rules", json!([{ "name": "a", "matches": [{ "type": "Path", "value": "/" }], "redirect": { "url": "javascript:x" } }]), "rules[0].redirect.url")]
#[case::rule_header_without_key("/listeners/0/rules", json!([rule("Header", Value::Null, "Equals", "a")]), "a match of type Header or Cookie needs the name in key")]
#[case::rule_path_with_key("/listeners/0/rules", json!([rule("Path", json!("a"), "Equals", "a")]), "a match of type Header or Cookie needs the name in key")]
#[case::rule_key("/listeners/0/rules", json!([rule("Header", json!("a),src"), "Equals", "a")]), "matches[0].key")]
#[case::rule_value("/listeners/0/rules", json!([rule("Path", Value::Null, "Equals", "a\nb")]), "matches[0].value")]
#[case::rule_expression("/listeners/0/rules", json!([rule("Path", Value::Null, "Regex", "a(b")]), "missing closing )")]
#[case::rule_file_type("/listeners/0/rules", json!([rule("FileType", Value::Null, "Regex", "a")]), "a match of type FileType can only be Equals")]
#[case::rule_operator("/listeners/0/rules", json!([rule("Path", Value::Null, "Like", "a")]), "supported values: \"Equals\"")]
#[case::rule_of_tcp("/listeners/0", json!({ "name": "web", "protocol": "TCP", "port": 80, "pool": "app", "rules": [rule("Host", Value::Null, "Equals", "a")] }), "rules are for listeners of protocol HTTP, HTTPS or TLS only")]
#[case::rule_of_tls("/listeners/0", json!({ "name": "web", "protocol": "TLS", "port": 80, "pool": "app", "rules": [rule("Path", Value::Null, "Equals", "a")] }), "rules of a listener of protocol TLS can match Host only")]
#[case::weight("/pools/0/members/0/weight", json!(300), "should be less than or equal to 256")]
#[case::negative_weight("/pools/0/services/0/weight", json!(-1), "should be greater than or equal to 0")]
#[case::host_name("/pools/0/members/0/address", json!("app.example"), "address must be an IPv4 or IPv6 address, such as 192.0.2.10; host names are not looked up")]
#[case::bad_address("/pools/0/members/0/address", json!("192.0.2.256"), "address must be an IPv4 or IPv6 address")]
#[case::algorithm("/pools/0/algorithm", json!("Random"), "supported values")]
#[case::monitor_interval("/pools/0/monitor/intervalSeconds", json!(0), "should be greater than or equal to 1")]
#[case::monitor_timeout("/pools/0/monitor/timeoutSeconds", json!(60), "timeoutSeconds must not be longer than intervalSeconds")]
#[case::monitor_rises("/pools/0/monitor/rises", json!(11), "should be less than or equal to 10")]
#[case::monitor_path("/pools/0/monitor/path", json!("healthz"), "spec.pools[0].monitor.path")]
#[case::monitor_path_breaks_out("/pools/0/monitor/path", json!("/\nlisten evil"), "spec.pools[0].monitor.path")]
#[case::monitor_status("/pools/0/monitor/expectedStatus", json!("2xx"), "spec.pools[0].monitor.expectedStatus")]
#[case::tcp_monitor_with_path("/pools/0/monitor", json!({ "type": "TCP", "path": "/" }), "method, path and expectedStatus are for monitors of type HTTP or HTTPS only")]
#[case::tcp_monitor_with_host("/pools/0/monitor", json!({ "type": "TCP", "host": "a" }), "host is for monitors of type HTTP, HTTPS or TLSHello only")]
#[case::tls_monitor_with_method("/pools/0/monitor", json!({ "type": "TLSHello", "method": "GET" }), "method, path and expectedStatus are for monitors of type HTTP or HTTPS only")]
#[case::monitor_kind("/pools/0/monitor/type", json!("PING"), "supported values: \"HTTP\", \"HTTPS\", \"TCP\", \"TLSHello\"")]
#[case::monitor_method("/pools/0/monitor/method", json!("DELETE"), "supported values: \"GET\"")]
#[case::monitor_port("/pools/0/monitor/port", json!(0), "should be greater than or equal to 1")]
#[case::persistence_kind("/pools/0/persistence", json!({ "type": "Cookie" }), "supported values: \"SourceAddress\"")]
#[case::persistence_without_cookie("/pools/0/persistence", json!({ "type": "ApplicationCookie" }), "persistence of type ApplicationCookie needs cookieName")]
#[case::persistence_with_cookie("/pools/0/persistence", json!({ "type": "SourceAddress", "cookieName": "a" }), "persistence of type SourceAddress has no cookieName")]
#[case::persistence_cookie("/pools/0/persistence", json!({ "type": "InsertedCookie", "cookieName": "a;b" }), "spec.pools[0].persistence.cookieName")]
#[case::persistence_expiry("/pools/0/persistence", json!({ "type": "InsertedCookie", "expirySeconds": 0 }), "should be greater than or equal to 1")]
#[case::pool_tls_without_authorities("/pools/0/tls", json!({}), "tls of a pool needs caConfigMapName, or verification: None to trust whoever answers")]
#[case::pool_tls_name("/pools/0/tls", json!({ "verification": "None", "serverName": "a b" }), "spec.pools[0].tls.serverName")]
#[case::pool_tls_verification("/pools/0/tls", json!({ "verification": "Some" }), "supported values: \"Required\", \"None\"")]
#[case::pool_proxy_protocol("/pools/0/proxyProtocol", json!("V3"), "supported values: \"V1\", \"V2\"")]
#[case::slow_start("/pools/0/slowStartSeconds", json!(0), "should be greater than or equal to 1")]
#[case::monitor_address("/pools/0/members/0/monitorAddress", json!("app"), "monitorAddress must be an IPv4 or IPv6 address")]
#[case::monitor_port_of_member("/pools/0/members/0/monitorPort", json!(65536), "should be less than or equal to 65535")]
#[case::backup("/pools/0/members/0/backup", json!("yes"), "expected boolean")]
#[case::connect_timeout("/pools/0/timeouts", json!({ "connectSeconds": 3601 }), "should be less than or equal to 3600")]
#[case::bad_service_name("/pools/0/services/0/name", json!("App_1"), "spec.pools[0].services[0].name")]
#[case::pods_without_port("/pools/0/pods/0/port", Value::Null, "spec.pools[0].pods[0].port: Required value")]
#[case::pods_port("/pools/0/pods/0/port", json!(65536), "should be less than or equal to 65535")]
#[case::pods_port_zero("/pools/0/pods/0/port", json!(0), "should be greater than or equal to 1")]
#[case::pods_port_name("/pools/0/pods/0/port", json!("HTTP port"), "spec.pools[0].pods[0].port")]
#[case::pods_port_name_too_long("/pools/0/pods/0/port", json!("a-name-too-long1"), "spec.pools[0].pods[0].port")]
#[case::pods_weight("/pools/0/pods/0/weight", json!(257), "should be less than or equal to 256")]
#[case::pods_backup("/pools/0/pods/0/backup", json!("yes"), "expected boolean")]
#[case::pods_name("/pools/0/pods/0/name", json!("a:b"), "spec.pools[0].pods[0].name")]
#[case::pods_twice("/pools/0/pods/-", json!({ "name": "app", "selector": { "matchLabels": { "app": "api" } }, "port": 1 }), "duplicate entries for key [name=\"app\"]")]
#[case::selector_missing("/pools/0/pods/0/selector", Value::Null, "spec.pools[0].pods[0].selector: Required value")]
#[case::selector_empty("/pools/0/pods/0/selector", json!({}), "a selector of pods needs at least one entry in matchLabels or matchExpressions: an empty one would take every pod of the namespace")]
#[case::selector_of_nothing("/pools/0/pods/0/selector", json!({ "matchLabels": {}, "matchExpressions": [] }), "a selector of pods needs at least one entry")]
#[case::selector_key("/pools/0/pods/0/selector", json!({ "matchLabels": { "a,b": "1" } }), "the keys of matchLabels must be names of labels, such as app or app.kubernetes.io/name")]
#[case::selector_value("/pools/0/pods/0/selector", json!({ "matchLabels": { "app": "a b" } }), "spec.pools[0].pods[0].selector.matchLabels")]
#[case::requirement_key("/pools/0/pods/0/selector", json!({ "matchExpressions": [{ "key": "a b", "operator": "Exists" }] }), "selector.matchExpressions[0].key")]
#[case::requirement_operator("/pools/0/pods/0/selector", json!({ "matchExpressions": [{ "key": "a", "operator": "Equals" }] }), "supported values: \"In\", \"NotIn\"")]
#[case::requirement_without_values("/pools/0/pods/0/selector", json!({ "matchExpressions": [{ "key": "a", "operator": "NotIn" }] }), "a requirement with the operator In or NotIn needs values")]
#[case::requirement_with_values("/pools/0/pods/0/selector", json!({ "matchExpressions": [{ "key": "a", "operator": "Exists", "values": ["b"] }] }), "one with Exists or DoesNotExist has none")]
#[case::requirement_value("/pools/0/pods/0/selector", json!({ "matchExpressions": [{ "key": "a", "operator": "In", "values": ["b)"] }] }), "selector.matchExpressions[0].values[0]")]
#[case::replicas("/replicas", json!(-1), "should be greater than or equal to 0")]
#[case::quantity("/resources", json!({ "limits": { "cpu": "much" } }), "cpu must be a quantity above 0, such as 500m or 2")]
#[case::little_memory("/resources", json!({ "limits": { "memory": "1Mi" } }), "memory must be a quantity of at least 32Mi")]
#[case::requests_above_limits("/resources", json!({ "requests": { "cpu": "2" }, "limits": { "cpu": "1" } }), "requests.cpu must not be more than limits.cpu")]
#[case::service_on_host_network("/exposure", json!({ "type": "HostNetwork", "service": { "type": "NodePort" } }), "service is for exposure of type Service only")]
#[case::policy_of_cluster_ip("/exposure", json!({ "service": { "externalTrafficPolicy": "Local" } }), "externalTrafficPolicy is for Services of type NodePort or LoadBalancer only")]
#[case::image("/image", json!("two words"), "spec.image")]
#[case::unknown_field("/replica", json!(2), "field not declared in schema")]
#[tokio::test]
async fn a_wrong_one_is_refused_at_once(#[case] pointer: &str, #[case] value: Value, #[case] words: &str) {
    let message = apply("shop", &changed(pointer, value)).await.expect_err("it is refused");
    assert!(message.contains(words), "{message}");
}

#[tokio::test]
async fn every_documented_example_is_taken() {
    let page = include_str!("../../docs/load-balancer.md");
    for example in page.split("```yaml\n").skip(1).map(|rest| rest.split("```").next().unwrap()) {
        let spec: Value = serde_saphyr::from_str(example).unwrap();
        apply("shop", &spec).await.unwrap_or_else(|message| panic!("{message}\n{example}"));
    }
}

#[tokio::test]
async fn cookies_are_for_http() {
    let mut spec = changed("/pools/0/persistence", json!({ "type": "InsertedCookie" }));
    assert!(apply("shop", &spec).await.is_ok());
    spec["listeners"][0]["protocol"] = json!("TCP");
    let message = apply("shop", &spec).await.expect_err("it is refused");
    let words = "a listener of protocol TCP or TLS uses a pool with persistence by cookie: choose persistence of type SourceAddress, or another pool";
    assert!(message.contains(words), "{message}");
}

#[rstest]
#[case("1shop")]
#[case("a.b")]
#[case("a-name-that-is-longer-than-forty-characters")]
#[tokio::test]
async fn a_name_that_nothing_can_be_named_after_is_refused(#[case] name: &str) {
    let message = apply(name, &good()).await.expect_err("it is refused");
    assert!(message.contains("metadata.name must start with a letter"), "{message}");
}

#[tokio::test]
async fn a_class_has_the_same_bounds() {
    let api: Api<LoadBalancerClass> = Api::all(client().await);
    let class = |spec: Value| json!({ "apiVersion": "fairway.dev/v1alpha1", "kind": "LoadBalancerClass", "metadata": { "name": "gold" }, "spec": spec });
    let apply = async |spec| api.patch("gold", &PatchParams::apply("test"), &Patch::Apply(class(spec))).await;
    let message = apply(json!({ "replicas": 101 })).await.unwrap_err().to_string();
    assert!(message.contains("should be less than or equal to 100"), "{message}");
    let taken =
        apply(json!({ "replicas": 3, "resources": { "limits": { "cpu": "2", "memory": "1Gi" } } })).await.unwrap();
    assert_eq!(taken.spec.replicas, Some(3));
}
