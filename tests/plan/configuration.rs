//! From spec to `haproxy.cfg`.

use fairway::{agent::protocol::MAIN_FILE, loadbalancer::world::World};
use rstest::rstest;

use crate::fixtures::{certificate, load_balancer, planned, secret_configuration, service, settled, world};
use crate::judge;

const EVERYTHING: &str = "
listeners:
  - { name: web, protocol: HTTP, port: 80, pool: app, timeouts: { clientSeconds: 7 } }
  - name: secure
    protocol: HTTPS
    port: 443
    pool: app
    certificates: [{ secretName: shop }, { secretName: blog }]
    allowedCidrs: [192.0.2.0/24, '2001:db8::/32']
  - { name: raw, protocol: TCP, port: 5432, pool: app }
  - { name: other, protocol: TCP, port: 5433, pool: plain }
pools:
  - name: app
    algorithm: LeastConnections
    monitor: { type: HTTP, path: '/healthz?x=1', host: app.example, expectedStatus: '200,204', intervalSeconds: 2, timeoutSeconds: 1, rises: 1, falls: 2 }
    members:
      - { address: 192.0.2.10, port: 8080 }
      - { address: '2001:db8::1', port: 8080, weight: 0 }
    services: [{ name: app, port: http, weight: 50 }]
    timeouts: { connectSeconds: 1, serverSeconds: 9 }
  - { name: plain, algorithm: Source, monitor: { type: TCP }, members: [{ address: 192.0.2.11, port: 5432, weight: 256 }] }
  - { name: unused }
";

fn full_world() -> World {
    let mut world = world();
    world.services.insert(
        "app".to_owned(),
        service(&[("http", "10.0.0.9", 8080), ("http", "10.0.0.8", 8080), ("admin", "10.0.0.8", 9000)]),
    );
    world.certificates.insert("shop".to_owned(), certificate(&["shop.example"]));
    world.certificates.insert("blog".to_owned(), certificate(&["blog.example", "www.blog.example"]));
    world
}

#[test]
fn everything_that_can_be_said_is_rendered() {
    let plan = planned(&load_balancer(EVERYTHING), &full_world());
    let configuration = secret_configuration(&plan).unwrap();
    insta::assert_snapshot!(configuration.files[MAIN_FILE]);
    judge::accepts(&configuration.files);
    let names: Vec<_> = configuration.files.keys().map(String::as_str).collect();
    assert_eq!(
        names,
        [
            "allowed-secure.acl",
            "certificate-blog.pem",
            "certificate-shop.pem",
            "certificates-secure.list",
            "haproxy.cfg",
            "routes-secure.map",
            "routes-web.map"
        ],
        "nothing but what is referred to"
    );
    assert_eq!(configuration.files["allowed-secure.acl"], "192.0.2.0/24\n2001:db8::/32\n");
    assert_eq!(configuration.files["routes-web.map"], "", "there is no rule yet, and can be without a reload");
    assert_eq!(configuration.files["certificates-secure.list"], "certificate-shop.pem\ncertificate-blog.pem\n");
}

#[test]
fn the_same_input_gives_the_same_bytes() {
    let world = full_world();
    let once = secret_configuration(&planned(&load_balancer(EVERYTHING), &world)).unwrap();
    let twice = secret_configuration(&planned(&load_balancer(EVERYTHING), &world)).unwrap();
    assert_eq!(once, twice);
}

#[rstest]
#[case::no_members("{ name: app }")]
#[case::many_networks_do_not_fit_on_a_line("{ name: app, members: [{ address: 192.0.2.1, port: 1 }] }")]
fn haproxy_takes_the_edges(#[case] pool: &str) {
    let networks: Vec<String> = (0..128).map(|number| format!("10.0.{number}.0/24")).collect();
    let spec = format!(
        "listeners: [{{ name: web, protocol: HTTP, port: 80, pool: app, allowedCidrs: [{}] }}]\npools: [{pool}]",
        networks.join(", ")
    );
    let plan = planned(&load_balancer(&spec), &world());
    judge::accepts(&secret_configuration(&plan).unwrap().files);
}

#[test]
fn a_member_that_is_named_twice_counts_once() {
    let mut world = world();
    world.services.insert("app".to_owned(), service(&[("", "192.0.2.10", 8080), ("", "192.0.2.11", 8080)]));
    let spec = "
listeners: [{ name: web, protocol: HTTP, port: 80, pool: app }]
pools: [{ name: app, members: [{ address: 192.0.2.10, port: 8080, weight: 7 }], services: [{ name: app }] }]
";
    let plan = planned(&load_balancer(spec), &world);
    let configuration = secret_configuration(&plan).unwrap();
    let servers: Vec<_> =
        configuration.files[MAIN_FILE].lines().filter(|line| line.starts_with("    server ")).collect();
    assert_eq!(
        servers,
        [
            "    server 192.0.2.10:8080 192.0.2.10:8080 weight 7",
            "    server app:192.0.2.11:8080 192.0.2.11:8080 weight 100",
        ]
    );
}

#[test]
fn the_sequence_moves_with_the_content_and_only_forward() {
    let mut resource = load_balancer(crate::fixtures::ONE_MEMBER);
    let mut world = world();
    let first = settled(&mut resource, &mut world);
    assert_eq!(first.sequence, 1);
    let again = secret_configuration(&planned(&resource, &world)).unwrap();
    assert_eq!(again, first, "the same content keeps its sequence");

    resource.spec.pools[0].members[0].weight = 7;
    let second = settled(&mut resource, &mut world);
    assert_eq!(second.sequence, 2);

    resource.spec.pools[0].members[0].weight = 100;
    let third = settled(&mut resource, &mut world);
    assert_eq!((third.hash(), third.sequence), (first.hash(), 3), "what was there before is new again");

    // A status that was lost and a Secret that was restored from long ago: what agents know still counts.
    resource.status = None;
    world.configuration = None;
    resource.spec.pools[0].members[0].weight = 8;
    assert_eq!(settled(&mut resource, &mut world).sequence, 4);
}
