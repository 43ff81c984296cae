//! Random specs, with HAProxy as the judge, and random text in each field that takes text.

use fairway::{agent::protocol::MAIN_FILE, api::LoadBalancerSpec};
use proptest::prelude::*;

use crate::fixtures::{judged, load_balancer, planned, secret_configuration, world};

/// One listener with a rule of each action, and a pool with every text.
const TEXTS: &str = "
listeners:
  - name: web
    protocol: HTTP
    port: 80
    pool: app
    rules:
      - { name: to, matches: [{ type: Path, operator: Contains, value: a }], pool: app }
      - { name: url, matches: [{ type: Header, key: X, value: a }], redirect: { url: /a } }
      - { name: prefix, matches: [{ type: Host, value: a }], redirect: { prefix: /a } }
      - { name: no, matches: [{ type: FileType, value: a }], reject: {} }
pools:
  - name: app
    monitor: { type: HTTPS, path: /a, host: a }
    members: [{ address: 192.0.2.1, port: 1 }]
";

/// Puts a text into one field.
type Put = fn(&mut LoadBalancerSpec, String);

const FIELDS: [(&str, Put); 8] = [
    ("acl to.0 ", |spec, text| spec.listeners[0].rules[0].matches[0].value = text),
    ("acl url.0 ", |spec, text| spec.listeners[0].rules[1].matches[0].value = text),
    ("acl prefix.0 ", |spec, text| spec.listeners[0].rules[2].matches[0].value = text),
    ("acl no.0 ", |spec, text| spec.listeners[0].rules[3].matches[0].value = text),
    ("redirect location ", |spec, text| {
        spec.listeners[0].rules[1].redirect.as_mut().unwrap().url = Some(format!("/{text}"));
    }),
    ("redirect prefix ", |spec, text| {
        spec.listeners[0].rules[2].redirect.as_mut().unwrap().prefix = Some(format!("/{text}"));
    }),
    ("http-check send ", |spec, text| spec.pools[0].monitor.as_mut().unwrap().path = Some(format!("/{text}"))),
    ("http-check ", |spec, text| spec.pools[0].monitor.as_mut().unwrap().host = Some(format!("a{text}"))),
];

/// A member, a rule or a setting that may be there or not.
fn maybe(text: &'static str) -> impl Strategy<Value = &'static str> {
    prop_oneof![Just(""), Just(text)]
}

fn random_match() -> impl Strategy<Value = String> {
    let kind = prop_oneof![
        Just("type: Host"),
        Just("type: Path"),
        Just("type: Header, key: X-A"),
        Just("type: Cookie, key: a.b"),
    ];
    let operator = prop_oneof![Just("Equals"), Just("StartsWith"), Just("EndsWith"), Just("Contains")];
    (kind, operator, "[ -~]{1,20}", any::<bool>()).prop_map(|(kind, operator, value, invert)| {
        let value = serde_json::to_string(&value).unwrap();
        format!("{{ {kind}, operator: {operator}, invert: {invert}, value: {value} }}")
    })
}

fn random_rules() -> impl Strategy<Value = String> {
    let action = prop_oneof![
        Just("pool: other"),
        Just("reject: { statusCode: 429 }"),
        Just("redirect: { url: 'https://a/%b' }"),
        Just("redirect: { prefix: /a, statusCode: 308 }"),
    ];
    let rule = (prop::collection::vec(random_match(), 1..4), action);
    prop::collection::vec(rule, 0..6).prop_map(|rules| {
        let rules = rules.iter().enumerate().map(|(number, (matches, action))| {
            format!("{{ name: r{number}, matches: [{}], {action} }}", matches.join(", "))
        });
        format!("rules: [{}]", rules.collect::<Vec<_>>().join(", "))
    })
}

fn random_listener() -> impl Strategy<Value = String> {
    let settings = (
        maybe(", accessLog: true"),
        maybe(", proxyProtocol: true"),
        maybe(", rateLimit: { requests: 5 }"),
        maybe(", connectionLimit: 9"),
        maybe(", allowedCidrs: [10.0.0.0/8]"),
        maybe(", insertHeaders: { xForwardedFor: false }"),
    );
    (settings, random_rules()).prop_map(|((log, proxy, rate, limit, allowed, headers), rules)| {
        format!("name: web, protocol: HTTP, port: 80, pool: app{log}{proxy}{rate}{limit}{allowed}{headers}, {rules}")
    })
}

fn random_pool() -> impl Strategy<Value = String> {
    let persistence = prop_oneof![
        Just(""),
        Just(", persistence: { type: SourceAddress }"),
        Just(", persistence: { type: InsertedCookie, expirySeconds: 9 }"),
        Just(", persistence: { type: ApplicationCookie, cookieName: a }"),
    ];
    let monitor = prop_oneof![
        Just(""),
        Just(", monitor: { type: HTTP, port: 9, host: a }"),
        Just(", monitor: { type: HTTPS, method: OPTIONS }"),
        Just(", monitor: { type: TCP }"),
        Just(", monitor: { type: TLSHello, host: 'a:1' }"),
    ];
    let algorithm = prop_oneof![Just("RoundRobin"), Just("LeastConnections"), Just("Source")];
    let rest = (
        maybe(", tls: { verification: None, serverName: a }"),
        maybe(", proxyProtocol: V2"),
        maybe(", slowStartSeconds: 7"),
        maybe(", backup: true"),
        maybe(", monitorAddress: '::1', monitorPort: 7"),
    );
    (algorithm, persistence, monitor, rest).prop_map(
        |(algorithm, persistence, monitor, (tls, proxy, slow, backup, monitored))| {
            let second = format!("{{ address: '2001:db8::1', port: 2, weight: 0{backup}{monitored} }}");
            format!(
                "name: app, algorithm: {algorithm}{persistence}{monitor}{tls}{proxy}{slow}, members: [{{ address: 192.0.2.1, port: 1 }}, {second}]"
            )
        },
    )
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(40))]

    #[test]
    fn haproxy_takes_whatever_can_be_said(listener in random_listener(), pool in random_pool()) {
        judged(&format!("listeners: [{{ {listener} }}]\npools: [{{ {pool} }}, {{ name: other }}]"), &world());
    }

    #[test]
    fn no_text_changes_another_line(text in "[^\\x00-\\x1f\\x7f-\\x9f]{1,64}", field in 0..FIELDS.len()) {
        let (line, put) = FIELDS[field];
        let others = |text: &str| {
            let mut resource = load_balancer(TEXTS);
            put(&mut resource.spec, text.to_owned());
            let files = secret_configuration(&planned(&resource, &world())).unwrap().files;
            let all = files[MAIN_FILE].lines();
            (files[MAIN_FILE].lines().count(), all.filter(|other| !other.contains(line)).map(ToOwned::to_owned).collect::<Vec<_>>(), files.clone())
        };
        let (odd, plain) = (others(&text), others("a"));
        prop_assert_eq!(&odd.1, &plain.1);
        prop_assert_eq!(odd.0, plain.0);
        crate::judge::accepts(&odd.2);
    }
}
