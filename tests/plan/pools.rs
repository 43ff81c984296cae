//! Pools, from spec to `haproxy.cfg`.

use fairway::{agent::protocol::MAIN_FILE, loadbalancer::world::World};
use rstest::rstest;

use crate::fixtures::{
    certificate, condition, judged, load_balancer, planned, secret_configuration, service, settled, world,
};

const EVERYTHING: &str = "
listeners:
  - { name: web, protocol: HTTP, port: 80, pool: inserted, rules: [{ name: a, matches: [{ type: Path, value: /a }], pool: application }] }
  - { name: raw, protocol: TCP, port: 81, pool: source }
  - { name: proxied, protocol: TCP, port: 82, pool: proxied }
  - { name: plain, protocol: HTTP, port: 83, pool: checked }
pools:
  - name: inserted
    persistence: { type: InsertedCookie, cookieName: shop.id, expirySeconds: 60 }
    monitor: { type: HTTPS, method: HEAD, path: /healthz, host: 'shop.example:443', port: 8443 }
    tls: { caConfigMapName: members, serverName: shop.example }
    proxyProtocol: V2
    slowStartSeconds: 30
    members:
      - { address: 192.0.2.10, port: 8080, monitorAddress: '2001:db8::1', monitorPort: 81 }
      - { address: 192.0.2.11, port: 8080, backup: true }
      - { address: 192.0.2.12, port: 8080, enabled: false }
  - name: application
    persistence: { type: ApplicationCookie, cookieName: JSESSIONID }
    monitor: { type: TCP }
    tls: { verification: None, serverName: a.example }
    members: [{ address: 192.0.2.20, port: 8080 }]
  - name: source
    algorithm: Source
    persistence: { type: SourceAddress, expirySeconds: 600 }
    monitor: { type: TLSHello, host: b.example }
    services: [{ name: app, backup: true }]
  - { name: proxied, proxyProtocol: V1, monitor: { type: TCP, port: 99 }, members: [{ address: 192.0.2.30, port: 1 }] }
  - { name: checked, monitor: { type: HTTPS }, members: [{ address: 192.0.2.30, port: 1, monitorPort: 5 }] }
";

fn good_world() -> World {
    let mut world = world();
    let authority = certificate(&["members"]).certificate.unwrap();
    world.authorities.insert("members".to_owned(), Some(String::from_utf8(authority).unwrap()));
    world.services.insert("app".to_owned(), service(&[("", "10.0.0.1", 8080), ("", "10.0.0.2", 8080)]));
    world
}

#[test]
fn every_field_of_a_pool_is_rendered() {
    insta::assert_snapshot!(judged(EVERYTHING, &good_world()));
}

#[test]
fn an_ending_endpoint_keeps_its_clients_and_serves_all_when_it_is_the_last() {
    let mut world = good_world();
    let endpoints = &mut world.services.get_mut("app").unwrap().endpoints;
    endpoints[0].ending = true;
    let text = judged(EVERYTHING, &world);
    assert!(text.contains("server app:10.0.0.1:8080 10.0.0.1:8080 weight 0 "), "{text}");
    assert!(text.contains("server app:10.0.0.2:8080 10.0.0.2:8080 weight 100 "), "{text}");

    world.services.get_mut("app").unwrap().endpoints.remove(1);
    let text = judged(EVERYTHING, &world);
    assert!(text.contains("server app:10.0.0.1:8080 10.0.0.1:8080 weight 100 "), "{text}");
}

#[test]
fn a_service_that_is_gone_leaves_its_members_as_they_were() {
    let mut resource = load_balancer(EVERYTHING);
    let mut world = good_world();
    let good = settled(&mut resource, &mut world);
    world.services.clear();
    world.last_good = Some(good.clone());
    let plan = planned(&resource, &world);
    assert_eq!(secret_configuration(&plan).unwrap(), good, "backup members among them");
}

#[test]
fn without_the_authorities_no_member_is_trusted() {
    let mut resource = load_balancer(EVERYTHING);
    let mut world = good_world();
    let good = settled(&mut resource, &mut world);
    world.authorities.clear();
    let plan = planned(&resource, &world);
    assert_eq!(condition(&plan, "ResolvedRefs").0, "False/ConfigMapNotFound");
    let pushed = crate::fixtures::pushes(&plan);
    assert!(!pushed[0].1.files[MAIN_FILE].contains("server 192.0.2.10:8080"));
    crate::judge::accepts(&pushed[0].1.files);

    world.last_good = Some(good.clone());
    assert_eq!(secret_configuration(&planned(&resource, &world)).unwrap(), good);
}

#[rstest]
#[case::cookie_of_tcp(
    "TCP",
    "persistence: { type: InsertedCookie }",
    "listener web passes bytes on and knows no cookies"
)]
#[case::cookie_name("HTTP", "persistence: { type: ApplicationCookie, cookieName: 'a b' }", "only letters, digits")]
#[case::no_cookie_name(
    "HTTP",
    "persistence: { type: ApplicationCookie }",
    "the name of the cookie that members set is needed"
)]
#[case::address_with_cookie("HTTP", "persistence: { type: SourceAddress, cookieName: a }", "it is for cookies only")]
#[case::server_name(
    "HTTP",
    "tls: { verification: None, serverName: 'a) verify none' }",
    "spec.pools[app].tls.serverName"
)]
#[case::nobody_to_trust("HTTP", "tls: {}", "it is needed, unless verification is None")]
#[case::outside_the_folder("HTTP", "tls: { caConfigMapName: ../etc }", "it must be an object's name")]
#[case::monitor_address(
    "HTTP",
    "members: [{ address: 192.0.2.1, port: 1, monitorAddress: a }]",
    "monitorAddress: it is not an IPv4 or IPv6 address"
)]
fn a_pool_that_makes_no_sense_is_refused(#[case] protocol: &str, #[case] field: &str, #[case] words: &str) {
    let spec = format!(
        "listeners: [{{ name: web, protocol: {protocol}, port: 80, pool: app }}]\npools: [{{ name: app, {field} }}]"
    );
    let (verdict, message) = condition(&planned(&load_balancer(&spec), &world()), "Accepted");
    assert_eq!(verdict, "False/Invalid");
    assert!(message.contains(words), "{message}");
}
