//! Pools, from spec to `haproxy.cfg`.

use fairway::{agent::protocol::MAIN_FILE, loadbalancer::world::World};
use rstest::rstest;

use crate::fixtures::{
    certificate, condition, judged, load_balancer, planned, secret_configuration, selected, service, settled, world,
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

const PODS: &str = "
listeners: [{ name: raw, protocol: TCP, port: 81, pool: app }]
pools:
  - name: app
    pods:
      - { name: web, selector: { matchLabels: { app: web } }, port: http, weight: 7, backup: true }
      - { name: old, selector: { matchExpressions: [{ key: app, operator: In, values: [old] }] }, port: 8081 }
    services: [{ name: app }]
";

fn world_with_pods() -> World {
    let mut world = good_world();
    // Each pod has its own number for the name; one is known by a Service already, one has no such port.
    let web = vec![
        selected("10.0.1.2", "http", 8080),
        selected("10.0.1.1", "http", 9090),
        selected("10.0.0.2", "http", 8080),
        selected("10.0.1.3", "metrics", 9100),
        selected("2001:db8::1", "http", 8080),
    ];
    world.selected.insert("app=web".to_owned(), web);
    world.selected.insert("app in (old)".to_owned(), vec![selected("10.0.1.1", "http", 80)]);
    world
}

/// The names and options of the servers in a configuration.
fn servers(text: &str) -> Vec<(&str, &str)> {
    let lines = text.lines().filter_map(|line| line.trim_start().strip_prefix("server "));
    lines.filter_map(|line| Some((line.split_once(' ')?.0, line.splitn(3, ' ').nth(2)?))).collect()
}

#[test]
fn selected_pods_are_members() {
    let text = judged(PODS, &world_with_pods());
    let expected = [
        ("app:10.0.0.1:8080", "weight 100"),
        ("app:10.0.0.2:8080", "weight 100"),
        ("pods.web:10.0.1.1:9090", "weight 7 backup"),
        ("pods.web:10.0.1.2:8080", "weight 7 backup"),
        ("pods.web:2001:db8::1:8080", "weight 7 backup"),
        ("pods.old:10.0.1.1:8081", "weight 100"),
    ];
    assert_eq!(servers(&text), expected);
}

#[test]
fn an_ending_pod_keeps_its_clients_and_one_that_is_not_ready_has_none() {
    let mut world = world_with_pods();
    world.services.get_mut("app").unwrap().endpoints.clear();
    let web = world.selected.get_mut("app=web").unwrap();
    web[0].ending = true;
    web[1].ready = false;
    (web[2].ending, web[2].ready) = (true, false);
    web[4].address = None;
    web.push(selected("10.0.1.4", "http", 8080));
    world.selected.remove("app in (old)");
    let expected = [("pods.web:10.0.1.2:8080", "weight 0 backup"), ("pods.web:10.0.1.4:8080", "weight 7 backup")];
    assert_eq!(servers(&judged(PODS, &world)), expected);

    // The last one serves all, ending or not.
    world.selected.get_mut("app=web").unwrap().pop();
    assert_eq!(servers(&judged(PODS, &world)), [("pods.web:10.0.1.2:8080", "weight 7 backup")]);
}

#[test]
fn a_rolled_pod_changes_no_other_member() {
    let mut world = world_with_pods();
    let before = judged(PODS, &world);
    let web = world.selected.get_mut("app=web").unwrap();
    web[0].ending = true;
    web.insert(0, selected("10.0.1.9", "http", 8080));
    web.reverse();
    let after = judged(PODS, &world);
    let (before, after) = (servers(&before), servers(&after));
    let kept: Vec<_> = before.iter().filter(|server| after.contains(server)).collect();
    assert_eq!(kept.len(), before.len() - 1, "all but the one that is ending: {after:?}");
    assert_eq!(after.len(), before.len() + 1);
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
#[case::empty_selector("HTTP", "pods: [{ name: a, port: 1, selector: {} }]", "it needs at least one label")]
#[case::label(
    "HTTP",
    "pods: [{ name: a, port: 1, selector: { matchLabels: { 'a b': c } } }]",
    "spec.pools[app].pods[a].selector: \"a b\" is not the name of a label"
)]
#[case::selector_name(
    "HTTP",
    "pods: [{ name: 'a b', port: 1, selector: { matchLabels: { a: b } } }]",
    "pods[a b].name"
)]
#[case::selector_port(
    "HTTP",
    "pods: [{ name: a, port: 0, selector: { matchLabels: { a: b } } }]",
    "pods[a].port: 0 is not between 1 and 65535"
)]
#[case::selectors_of_one_name(
    "HTTP",
    "pods: [{ name: a, port: 1, selector: { matchLabels: { a: b } } }, { name: a, port: 1, selector: { matchLabels: { a: b } } }]",
    "two entries have the name a"
)]
fn a_pool_that_makes_no_sense_is_refused(#[case] protocol: &str, #[case] field: &str, #[case] words: &str) {
    let spec = format!(
        "listeners: [{{ name: web, protocol: {protocol}, port: 80, pool: app }}]\npools: [{{ name: app, {field} }}]"
    );
    let (verdict, message) = condition(&planned(&load_balancer(&spec), &world()), "Accepted");
    assert_eq!(verdict, "False/Invalid");
    assert!(message.contains(words), "{message}");
}
