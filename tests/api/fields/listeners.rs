//! The fields of listeners, but for their rules.

use serde_json::{Value::Null, json};

use super::{
    case::{Case, change, listening, with},
    effect::{any_text, both, file, no, object, text},
};

pub(super) fn cases() -> Vec<Case> {
    [listener(), traffic(), timeouts(), headers(), tls(), https()].into_iter().flatten().collect()
}

fn listener() -> Vec<Case> {
    let two_pools = with(listening("HTTP"), "/pools/1", json!({ "name": "api" }));
    let redirected = with(listening("HTTP"), "/listeners/0/redirectToHttps", json!({}));
    let redirected = with(redirected, "/listeners/0/pool", Null);
    let ruled = json!([{ "name": "a", "matches": [{ "type": "Path", "value": "/a" }], "reject": {} }]);
    vec![
        change(
            &["spec.listeners"],
            listening("HTTP"),
            "/listeners/1",
            [Null, json!({ "name": "two", "protocol": "TCP", "port": 81, "pool": "app" })],
            both(text("frontend two"), object("Service", "/spec/ports/1/port", json!(81))),
        )
        .refused(
            json!({ "name": "two", "protocol": "TCP", "port": 80, "pool": "app" }),
            "two listeners have the same port",
        ),
        change(
            &["spec.listeners[].name"],
            listening("HTTP"),
            "/listeners/0/name",
            [json!("web"), json!("www")],
            both(text("frontend www"), object("Service", "/spec/ports/0/name", json!("www"))),
        )
        .refused(json!("Web 1"), "spec.listeners[0].name"),
        change(
            &["spec.listeners[].enabled"],
            listening("HTTP"),
            "/listeners/0/enabled",
            [json!(true), json!(false)],
            no(text("frontend web")),
        )
        .refused(json!("no"), "spec.listeners[0].enabled"),
        change(
            &["spec.listeners[].protocol"],
            listening("HTTP"),
            "/listeners/0/protocol",
            [json!("HTTP"), json!("TCP")],
            text("mode tcp"),
        )
        .refused(json!("UDP"), "UDP and SCTP are not HAProxy's"),
        change(
            &["spec.listeners[].port"],
            listening("HTTP"),
            "/listeners/0/port",
            [json!(80), json!(8000)],
            both(
                both(text("bind :8000"), object("Service", "/spec/ports/0/port", json!(8000))),
                object("NetworkPolicy", "/spec/ingress/0/ports/0/port", json!(8000)),
            ),
        )
        .refused(json!(9443), "ports 9101, 9102 and 9443 belong to the agent"),
        change(
            &["spec.listeners[].pool"],
            two_pools,
            "/listeners/0/pool",
            [json!("app"), json!("api")],
            text("default_backend api"),
        )
        .refused(json!("nope"), "a listener names a pool that is not in spec.pools"),
        change(
            &["spec.listeners[].rules"],
            listening("HTTP"),
            "/listeners/0/rules",
            [Null, ruled],
            text("deny_status 403"),
        )
        .refused(json!([{ "name": "a", "matches": [], "reject": {} }]), "should have at least 1 items"),
        change(
            &["spec.listeners[].redirectToHttps"],
            with(
                listening("HTTP"),
                "/listeners/0",
                json!({
                    "name": "web", "protocol": "HTTP", "port": 80,
                    "rules": [{ "name": "a", "matches": [{ "type": "Path", "value": "/a" }], "reject": {} }],
                }),
            ),
            "/listeners/0/redirectToHttps",
            [Null, json!({})],
            text("code 301"),
        )
        .refused(json!({ "statusCode": 300 }), "statusCode of a redirect must be"),
        change(
            &["spec.listeners[].redirectToHttps.statusCode"],
            redirected.clone(),
            "/listeners/0/redirectToHttps/statusCode",
            [json!(301), json!(308)],
            text("code 308"),
        )
        .refused(json!(300), "statusCode of a redirect must be 301, 302, 303, 307 or 308"),
        change(
            &["spec.listeners[].redirectToHttps.port"],
            redirected,
            "/listeners/0/redirectToHttps/port",
            [json!(443), json!(8443)],
            text(":8443%[pathq]"),
        )
        .refused(json!(0), "should be greater than or equal to 1"),
    ]
}

fn traffic() -> Vec<Case> {
    let web = || listening("HTTP");
    let limited = || with(web(), "/listeners/0/rateLimit", json!({ "requests": 600 }));
    vec![
        change(
            &["spec.listeners[].allowedCidrs"],
            web(),
            "/listeners/0/allowedCidrs",
            [json!(["192.0.2.0/24"]), json!(["192.0.2.0/24", "2001:db8::/32"])],
            text("2001:db8::/32"),
        )
        .refused(json!(["10.0.0.0/33"]), "allowedCidrs must be networks in CIDR notation"),
        change(
            &["spec.listeners[].connectionLimit"],
            web(),
            "/listeners/0/connectionLimit",
            [Null, json!(5000)],
            text("maxconn 5000"),
        )
        .refused(json!(0), "should be greater than or equal to 1"),
        change(
            &["spec.listeners[].rateLimit"],
            web(),
            "/listeners/0/rateLimit",
            [Null, json!({ "requests": 600 })],
            text("deny_status 429"),
        )
        .refused(json!({}), "spec.listeners[0].rateLimit.requests: Required value"),
        change(
            &["spec.listeners[].rateLimit.requests"],
            limited(),
            "/listeners/0/rateLimit/requests",
            [json!(600), json!(700)],
            text("gt 700"),
        )
        .refused(json!(0), "should be greater than or equal to 1"),
        change(
            &["spec.listeners[].rateLimit.periodSeconds"],
            limited(),
            "/listeners/0/rateLimit/periodSeconds",
            [json!(60), json!(10)],
            text("http_req_rate(10s)"),
        )
        .refused(json!(3601), "should be less than or equal to 3600"),
        change(
            &["spec.listeners[].proxyProtocol"],
            web(),
            "/listeners/0/proxyProtocol",
            [json!(false), json!(true)],
            text("accept-proxy"),
        )
        .refused(json!("v1"), "spec.listeners[0].proxyProtocol"),
        change(
            &["spec.listeners[].accessLog"],
            web(),
            "/listeners/0/accessLog",
            [json!(false), json!(true)],
            text("log-format"),
        )
        .refused(json!(1), "spec.listeners[0].accessLog"),
    ]
}

fn timeouts() -> Vec<Case> {
    let timed = |protocol: &str| with(listening(protocol), "/listeners/0/timeouts", json!({}));
    vec![
        change(
            &["spec.listeners[].timeouts"],
            listening("HTTP"),
            "/listeners/0/timeouts",
            [Null, json!({ "clientSeconds": 7 })],
            text("timeout client 7s"),
        )
        .refused(json!({ "inspectSeconds": 1 }), "timeouts.inspectSeconds is for listeners of protocol TLS only"),
        change(
            &["spec.listeners[].timeouts.clientSeconds"],
            timed("HTTP"),
            "/listeners/0/timeouts/clientSeconds",
            [Null, json!(8)],
            text("timeout client 8s"),
        )
        .refused(json!(0), "should be greater than or equal to 1"),
        change(
            &["spec.listeners[].timeouts.inspectSeconds"],
            timed("TLS"),
            "/listeners/0/timeouts/inspectSeconds",
            [json!(5), json!(9)],
            text("inspect-delay 9s"),
        )
        .refused(json!(61), "should be less than or equal to 60"),
    ]
}

fn headers() -> Vec<Case> {
    let told = || with(listening("HTTP"), "/listeners/0/insertHeaders", json!({}));
    let off = || [json!(true), json!(false)];
    vec![
        change(
            &["spec.listeners[].insertHeaders"],
            listening("HTTP"),
            "/listeners/0/insertHeaders",
            [Null, json!({ "xForwardedFor": false })],
            no(text("forwardfor")),
        )
        .refused(json!([]), "spec.listeners[0].insertHeaders"),
        change(
            &["spec.listeners[].insertHeaders.xForwardedFor"],
            told(),
            "/listeners/0/insertHeaders/xForwardedFor",
            off(),
            no(text("forwardfor")),
        )
        .refused(json!("no"), "xForwardedFor"),
        change(
            &["spec.listeners[].insertHeaders.xForwardedProto"],
            told(),
            "/listeners/0/insertHeaders/xForwardedProto",
            off(),
            no(text("X-Forwarded-Proto")),
        )
        .refused(json!("no"), "xForwardedProto"),
        change(
            &["spec.listeners[].insertHeaders.xForwardedPort"],
            told(),
            "/listeners/0/insertHeaders/xForwardedPort",
            off(),
            no(text("X-Forwarded-Port")),
        )
        .refused(json!("no"), "xForwardedPort"),
    ]
}

fn tls() -> Vec<Case> {
    let with_tls = || with(listening("HTTPS"), "/listeners/0/tls", json!({}));
    vec![
        change(
            &["spec.listeners[].tls"],
            listening("HTTPS"),
            "/listeners/0/tls",
            [Null, json!({ "alpn": ["h2"] })],
            text("alpn h2"),
        )
        .refused(json!({ "alpn": ["h3"] }), "supported values: \"h2\", \"http/1.1\""),
        change(
            &["spec.listeners[].tls.minimumVersion"],
            with_tls(),
            "/listeners/0/tls/minimumVersion",
            [json!("TLSv1.2"), json!("TLSv1.3")],
            text("ssl-min-ver TLSv1.3"),
        )
        .refused(json!("SSLv3"), "supported values: \"TLSv1.2\", \"TLSv1.3\""),
        change(
            &["spec.listeners[].tls.ciphers"],
            with_tls(),
            "/listeners/0/tls/ciphers",
            [Null, json!(["ECDHE-RSA-AES128-GCM-SHA256"])],
            text("ciphers ECDHE-RSA-AES128-GCM-SHA256"),
        )
        .refused(json!(["RSA verify none"]), "spec.listeners[0].tls.ciphers[0]"),
        change(
            &["spec.listeners[].tls.cipherSuites"],
            with_tls(),
            "/listeners/0/tls/cipherSuites",
            [Null, json!(["TLS_AES_256_GCM_SHA384"])],
            text("ciphersuites TLS_AES_256_GCM_SHA384"),
        )
        .refused(json!(["AES"]), "supported values: \"TLS_AES_128_GCM_SHA256\""),
        change(
            &["spec.listeners[].tls.alpn"],
            with_tls(),
            "/listeners/0/tls/alpn",
            [json!(["http/1.1"]), json!(["h2", "http/1.1"])],
            text("alpn h2,http/1.1"),
        )
        .refused(json!(["h2", "http/1.1", "h2"]), "must have at most 2 items"),
    ]
}

fn https() -> Vec<Case> {
    let authenticated =
        || with(listening("HTTPS"), "/listeners/0/clientAuthentication", json!({ "caConfigMapName": "partners" }));
    let strict = || with(listening("HTTPS"), "/listeners/0/hsts", json!({}));
    vec![
        change(
            &["spec.listeners[].certificates"],
            listening("HTTPS"),
            "/listeners/0/certificates",
            [json!([{ "secretName": "shop" }]), json!([{ "secretName": "shop" }, { "secretName": "blog" }])],
            file("certificate-blog.pem"),
        )
        .told(
            json!([{ "secretName": "shop" }, { "secretName": "nope" }]),
            "ResolvedRefs",
            "False/SecretNotFound",
        ),
        change(
            &["spec.listeners[].certificates[].secretName"],
            listening("HTTPS"),
            "/listeners/0/certificates/0/secretName",
            [json!("shop"), json!("blog")],
            both(file("certificate-blog.pem"), no(file("certificate-shop.pem"))),
        )
        .told(json!("nope"), "ResolvedRefs", "False/SecretNotFound"),
        change(
            &["spec.listeners[].clientAuthentication"],
            listening("HTTPS"),
            "/listeners/0/clientAuthentication",
            [Null, json!({ "caConfigMapName": "partners" })],
            both(any_text(&["verify required"]), file("authorities-partners.pem")),
        )
        .refused(json!({}), "caConfigMapName: Required value"),
        change(
            &["spec.listeners[].clientAuthentication.mode"],
            authenticated(),
            "/listeners/0/clientAuthentication/mode",
            [json!("Required"), json!("Optional")],
            text("verify optional"),
        )
        .refused(json!("None"), "supported values: \"Required\", \"Optional\""),
        change(
            &["spec.listeners[].clientAuthentication.caConfigMapName"],
            authenticated(),
            "/listeners/0/clientAuthentication/caConfigMapName",
            [json!("partners"), json!("others")],
            both(file("authorities-others.pem"), no(file("authorities-partners.pem"))),
        )
        .told(json!("nope"), "ResolvedRefs", "False/ConfigMapNotFound"),
        change(
            &["spec.listeners[].hsts"],
            listening("HTTPS"),
            "/listeners/0/hsts",
            [Null, json!({})],
            text("max-age=31536000"),
        )
        .refused(json!({ "maxAgeSeconds": -1 }), "should be greater than or equal to 0"),
        change(
            &["spec.listeners[].hsts.maxAgeSeconds"],
            strict(),
            "/listeners/0/hsts/maxAgeSeconds",
            [json!(31_536_000), json!(60)],
            text("max-age=60"),
        )
        .refused(json!(-1), "should be greater than or equal to 0"),
        change(
            &["spec.listeners[].hsts.includeSubdomains"],
            strict(),
            "/listeners/0/hsts/includeSubdomains",
            [json!(false), json!(true)],
            text("includeSubDomains"),
        )
        .refused(json!("yes"), "includeSubdomains"),
        change(
            &["spec.listeners[].hsts.preload"],
            strict(),
            "/listeners/0/hsts/preload",
            [json!(false), json!(true)],
            text("; preload"),
        )
        .refused(json!("yes"), "preload"),
    ]
}
