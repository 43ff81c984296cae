//! Listeners and their rules, from spec to `haproxy.cfg`.

use fairway::{agent::protocol::MAIN_FILE, loadbalancer::world::World};
use rstest::rstest;

use crate::fixtures::{certificate, condition, judged, load_balancer, planned, secret_configuration, settled, world};

const EVERYTHING: &str = "
listeners:
  - name: web
    protocol: HTTP
    port: 80
    redirectToHttps: { port: 8443, statusCode: 308 }
    rules:
      - { name: challenge, matches: [{ type: Path, operator: StartsWith, value: /.well-known/acme-challenge/ }], pool: app }
  - name: secure
    protocol: HTTPS
    port: 8443
    pool: app
    certificates: [{ secretName: shop }]
    clientAuthentication: { caConfigMapName: partners, mode: Optional }
    tls:
      minimumVersion: TLSv1.3
      ciphers: [ECDHE-ECDSA-AES128-GCM-SHA256, ECDHE-RSA-AES128-GCM-SHA256]
      cipherSuites: [TLS_AES_256_GCM_SHA384, TLS_CHACHA20_POLY1305_SHA256]
      alpn: [h2, http/1.1]
    hsts: { includeSubdomains: true, preload: true }
    insertHeaders: { xForwardedFor: false, xForwardedPort: false }
    connectionLimit: 2000
    rateLimit: { requests: 600 }
    proxyProtocol: true
    accessLog: true
    allowedCidrs: [192.0.2.0/24]
    rules:
      - name: internal
        matches:
          - { type: Path, operator: StartsWith, value: /admin }
          - { type: Header, key: X-Office, value: '1', invert: true }
        reject: { statusCode: 404 }
      - name: api
        matches: [{ type: Host, value: api.shop.example }]
        pool: api
      - name: old-shop
        matches: [{ type: Host, operator: EndsWith, value: .old.example }]
        redirect: { prefix: 'https://shop.example/100%', statusCode: 301 }
      - name: beta
        matches: [{ type: Cookie, key: beta, operator: Regex, value: '^(yes|on) }$' }]
        redirect: { url: 'https://beta.shop.example/' }
      - name: pictures
        matches: [{ type: FileType, value: jpg }, { type: Path, operator: Contains, value: '-i' }]
        reject: {}
  - name: database
    protocol: TCP
    port: 5432
    pool: api
    accessLog: true
    rateLimit: { requests: 10, periodSeconds: 1 }
  - name: passed
    protocol: TLS
    port: 8444
    timeouts: { inspectSeconds: 3, clientSeconds: 9 }
    rules:
      - { name: closed, matches: [{ type: Host, value: closed.example }], reject: {} }
      - { name: shop, matches: [{ type: Host, value: shop.example }], pool: app }
      - { name: rest, matches: [{ type: Host, operator: StartsWith, value: x }], reject: {} }
  - { name: closed, enabled: false, protocol: TCP, port: 1, pool: unused }
pools:
  - { name: app, members: [{ address: 192.0.2.10, port: 8080 }] }
  - { name: api, members: [{ address: 192.0.2.11, port: 8080 }] }
  - { name: unused }
";

fn good_world() -> World {
    let mut world = world();
    world.certificates.insert("shop".to_owned(), certificate(&["shop.example"]));
    world.authorities.insert("partners".to_owned(), Some(authority()));
    world
}

fn authority() -> String {
    String::from_utf8(certificate(&["partners"]).certificate.unwrap()).unwrap()
}

#[test]
fn every_field_of_a_listener_is_rendered() {
    insta::assert_snapshot!(judged(EVERYTHING, &good_world()));
}

#[test]
fn a_balancer_that_is_not_enabled_listens_nowhere_and_keeps_its_pods() {
    let resource = load_balancer(&format!("enabled: false\n{EVERYTHING}"));
    let plan = planned(&resource, &good_world());
    let files = secret_configuration(&plan).unwrap().files;
    crate::judge::accepts(&files);
    assert!(!files[MAIN_FILE].contains("\nfrontend "), "{}", files[MAIN_FILE]);
    let enabled = planned(&load_balancer(EVERYTHING), &good_world());
    let others = |plan: &fairway::loadbalancer::plan::Plan| {
        let objects = plan.objects.iter().filter(|object| crate::fixtures::kind(object) != "Secret");
        objects.map(|object| serde_json::to_value(object).unwrap()).collect::<Vec<_>>()
    };
    assert_eq!(others(&plan), others(&enabled));
}

#[rstest]
#[case::gone(|world: &mut World| world.authorities.clear(), "False/ConfigMapNotFound", "there is no ConfigMap \"partners\"")]
#[case::without_its_key(|world: &mut World| { world.authorities.insert("partners".to_owned(), None); }, "False/InvalidAuthorities", "has no ca.crt")]
#[case::malformed(|world: &mut World| { world.authorities.insert("partners".to_owned(), Some("global".to_owned())); }, "False/InvalidAuthorities", "no PEM certificates")]
fn clients_are_checked_as_before_while_the_authorities_are_missing(
    #[case] breakage: fn(&mut World),
    #[case] verdict: &str,
    #[case] words: &str,
) {
    let mut resource = load_balancer(EVERYTHING);
    let mut world = good_world();
    let good = settled(&mut resource, &mut world);
    breakage(&mut world);
    world.last_good = Some(good.clone());
    let plan = planned(&resource, &world);
    let (told, message) = condition(&plan, "ResolvedRefs");
    assert_eq!(told, verdict);
    assert!(message.contains(words), "{message}");
    assert_eq!(secret_configuration(&plan).unwrap(), good);
}

#[test]
fn without_the_authorities_that_never_were_a_listener_stays_closed() {
    let mut world = good_world();
    world.authorities.clear();
    let files = secret_configuration(&planned(&load_balancer(EVERYTHING), &world)).unwrap().files;
    assert!(!files[MAIN_FILE].contains("frontend secure\n"), "it must not serve everybody");
    crate::judge::accepts(&files);
}

/// A listener with one rule.
fn with_rule(rule: &str) -> String {
    format!(
        "listeners: [{{ name: web, protocol: HTTP, port: 80, pool: app, rules: [{rule}] }}]\npools: [{{ name: app }}]"
    )
}

#[rstest]
#[case::none_of_them("{ name: a, matches: [{ type: Path, value: / }] }", "exactly one of pool, redirect and reject")]
#[case::two_of_them("{ name: a, matches: [{ type: Path, value: / }], pool: app, reject: {} }", "exactly one")]
#[case::unknown_pool("{ name: a, matches: [{ type: Path, value: / }], pool: b }", "there is no pool \"b\"")]
#[case::no_match("{ name: a, matches: [], reject: {} }", "1 to 8 are needed")]
#[case::no_key("{ name: a, matches: [{ type: Header, value: a }], reject: {} }", "the name of the header or cookie")]
#[case::hostile_key(
    "{ name: a, matches: [{ type: Header, key: 'a),src', value: a }], reject: {} }",
    "only letters, digits"
)]
#[case::key_without_use(
    "{ name: a, matches: [{ type: Path, key: a, value: a }], reject: {} }",
    "for Header and Cookie only"
)]
#[case::line_end("{ name: a, matches: [{ type: Path, value: \"a\\nb\" }], reject: {} }", "control character")]
#[case::status("{ name: a, matches: [{ type: Path, value: / }], reject: { statusCode: 200 } }", "200 is not one of")]
#[case::redirect(
    "{ name: a, matches: [{ type: Path, value: / }], redirect: { url: 'javascript:x' } }",
    "must start with https://"
)]
#[case::both(
    "{ name: a, matches: [{ type: Path, value: / }], redirect: { url: /a, prefix: /b } }",
    "either url or prefix"
)]
fn a_rule_that_makes_no_sense_is_refused(#[case] rule: &str, #[case] words: &str) {
    let (verdict, message) = condition(&planned(&load_balancer(&with_rule(rule)), &world()), "Accepted");
    assert_eq!(verdict, "False/Invalid");
    assert!(message.contains(words), "{message}");
}
