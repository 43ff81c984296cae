//! How listeners, pools and certificates fare, as HAProxy in the replicas says.

use fairway::{
    agent::protocol::{CertificateHealth, ListenerHealth, ListenerState as Told, MemberHealth, MemberState, Report},
    api::{ListenerState, ListenerStatus, LoadBalancer, OperatingStatus},
    loadbalancer::{plan, world::World},
};
use jiff::{SignedDuration, Timestamp};
use rstest::rstest;

use crate::fixtures::{certificate, condition, health, load_balancer, now, planned, settled, world};

const TWO_LISTENERS: &str = "
listeners:
  - { name: web, protocol: HTTP, port: 80, pool: app }
  - { name: secure, protocol: HTTPS, port: 443, pool: app, certificates: [{ secretName: shop }] }
pools:
  - { name: app, monitor: { type: TCP }, members: [{ address: 192.0.2.1, port: 1 }, { address: 192.0.2.2, port: 1 }] }
  - { name: unused, members: [{ address: 192.0.2.3, port: 1 }] }
";
const FIRST: &str = "192.0.2.1:1";
const SECOND: &str = "192.0.2.2:1";

fn reports(world: &mut World) -> impl Iterator<Item = &mut Report> {
    world.replicas.iter_mut().filter_map(|replica| replica.report.as_mut()?.as_mut().ok())
}

fn tell(report: &mut Report, listeners: &[(&str, Told)], members: &[(&str, MemberState)]) {
    let listener = |state| ListenerHealth { state, certificate: None };
    report.listeners = listeners.iter().map(|(name, state)| ((*name).to_owned(), listener(*state))).collect();
    let members: Vec<MemberHealth> = members.iter().map(|(name, state)| health(name, *state)).collect();
    report.pools = [("app.http".to_owned(), members)].into();
}

const OPEN: [(&str, Told); 2] = [("web", Told::Open), ("secure", Told::Open)];
const UP: [(&str, MemberState); 2] = [(FIRST, MemberState::Up), (SECOND, MemberState::Up)];

/// Both replicas run what is wanted, and all is well.
fn well() -> (LoadBalancer, World) {
    let mut resource = load_balancer(TWO_LISTENERS);
    let mut world = world();
    world.certificates.insert("shop".to_owned(), certificate(&["shop.example"]));
    settled(&mut resource, &mut world);
    reports(&mut world).for_each(|report| tell(report, &OPEN, &UP));
    resource.status = Some(planned(&resource, &world).status);
    (resource, world)
}

fn web(resource: &LoadBalancer, world: &World) -> ListenerStatus {
    planned(resource, world).status.listeners[0].clone()
}

#[test]
fn all_is_well() {
    let (resource, world) = well();
    let status = planned(&resource, &world).status;
    let listeners: Vec<_> =
        status.listeners.iter().map(|it| (it.name.as_str(), it.state, it.operating_status)).collect();
    let serving = (ListenerState::Serving, OperatingStatus::Online);
    assert_eq!(listeners, [("web", serving.0, serving.1), ("secure", serving.0, serving.1)]);
    assert_eq!(status.listeners[0].message, "");
    let pools: Vec<_> = status.pools.iter().map(|pool| (pool.name.as_str(), pool.operating_status, pool.up)).collect();
    assert_eq!(pools, [("app", OperatingStatus::Online, 2), ("unused", OperatingStatus::Offline, 0)]);
    assert_eq!(status.pools[1].down, Vec::<String>::new(), "nothing is wrong with what nobody uses");
    assert_eq!(status.operating_status, OperatingStatus::Online);
    assert_eq!(Some(status), resource.status, "and nothing is written again");
}

#[rstest]
#[case::one([Told::Open, Told::Stopped], ListenerState::Serving, OperatingStatus::Degraded, "1 of 2 replicas listen")]
#[case::none([Told::Stopped, Told::Stopped], ListenerState::Closed, OperatingStatus::Error, "no replica listens")]
#[case::new([Told::Unknown, Told::Open], ListenerState::Serving, OperatingStatus::Degraded, "1 of 2 replicas listen")]
fn a_listener_is_open_where_haproxy_says_so(
    #[case] states: [Told; 2],
    #[case] state: ListenerState,
    #[case] operating: OperatingStatus,
    #[case] message: &str,
) {
    let (resource, mut world) = well();
    for (report, state) in reports(&mut world).zip(states) {
        tell(report, &[("web", state), ("secure", Told::Open)], &UP);
    }
    let status = planned(&resource, &world).status;
    assert_eq!((status.listeners[0].state, status.listeners[0].operating_status), (state, operating));
    assert!(status.listeners[0].message.contains(message), "{}", status.listeners[0].message);
    assert_eq!(status.operating_status, OperatingStatus::Degraded);
}

#[test]
fn a_listener_that_is_disabled_is_so_once_haproxy_has_closed_it() {
    let (mut resource, mut world) = well();
    resource.spec.listeners[0].enabled = false;
    let status = web(&resource, &world);
    assert_eq!((status.state, status.operating_status), (ListenerState::Serving, OperatingStatus::Offline));
    assert!(status.message.starts_with("2 of 2 replicas listen"), "{}", status.message);
    reports(&mut world).for_each(|report| tell(report, &[("secure", Told::Open)], &UP));
    let status = web(&resource, &world);
    assert_eq!((status.state, status.message.as_str()), (ListenerState::Disabled, "enabled is false"));
    assert_eq!(planned(&resource, &world).status.operating_status, OperatingStatus::Online, "of what shall serve");
    resource.spec.enabled = false;
    assert_eq!(web(&resource, &world).message, "spec.enabled is false");
    assert_eq!(planned(&resource, &world).status.operating_status, OperatingStatus::Offline);
}

#[test]
fn a_listener_without_its_certificate_is_closed_and_says_why() {
    let (mut resource, mut world) = well();
    resource.spec.listeners[1].certificates[0].secret_name = "other".to_owned();
    reports(&mut world).for_each(|report| tell(report, &[("web", Told::Open)], &UP));
    let status = planned(&resource, &world).status;
    assert_eq!(
        (status.listeners[1].state, status.listeners[1].operating_status),
        (ListenerState::Closed, OperatingStatus::Error)
    );
    assert!(status.listeners[1].message.contains("ResolvedRefs"), "{}", status.listeners[1].message);
    assert_eq!(status.operating_status, OperatingStatus::Degraded);
}

#[test]
fn what_nobody_says_for_a_moment_is_told_on() {
    let (resource, mut world) = well();
    reports(&mut world).for_each(|report| {
        report.listeners.clear();
        report.pools.clear();
    });
    let status = planned(&resource, &world).status;
    assert_eq!(Some(&status.listeners), resource.status.as_ref().map(|before| &before.listeners));
    assert_eq!(Some(&status.pools), resource.status.as_ref().map(|before| &before.pools));
    // Nor is anything made up where nothing was ever said, as by agents of before.
    let never = LoadBalancer { status: None, ..resource.clone() };
    let status = planned(&never, &world).status;
    assert_eq!(
        (status.listeners[0].state, status.operating_status),
        (ListenerState::Unknown, OperatingStatus::Unknown)
    );
    // Without replicas that serve it is plain.
    world.replicas.iter_mut().for_each(|replica| replica.ready = false);
    let status = web(&resource, &world);
    assert_eq!((status.state, status.message.as_str()), (ListenerState::Closed, "no replica serves: see Ready"));
    world.replicas.clear();
    assert_eq!(planned(&resource, &world).status.operating_status, OperatingStatus::Offline);
}

#[rstest]
#[case::up([MemberState::Up; 2], [100; 2], OperatingStatus::Online, OperatingStatus::Online)]
#[case::some([MemberState::Up, MemberState::Down], [100; 2], OperatingStatus::Degraded, OperatingStatus::Degraded)]
#[case::down([MemberState::Down; 2], [100; 2], OperatingStatus::Error, OperatingStatus::Error)]
#[case::draining([MemberState::Up; 2], [0; 2], OperatingStatus::Draining, OperatingStatus::Error)]
#[case::one_drains([MemberState::Up; 2], [0, 1], OperatingStatus::Online, OperatingStatus::Online)]
#[case::by_hand([MemberState::Maintenance, MemberState::Drain], [1; 2], OperatingStatus::Error, OperatingStatus::Error)]
fn a_pool_fares_as_its_members_do_and_a_listener_as_its_pools(
    #[case] states: [MemberState; 2],
    #[case] weights: [u32; 2],
    #[case] pool: OperatingStatus,
    #[case] listener: OperatingStatus,
) {
    let (resource, mut world) = well();
    reports(&mut world).for_each(|report| {
        tell(report, &OPEN, &[(FIRST, states[0]), (SECOND, states[1])]);
        for (member, weight) in report.pools.values_mut().flatten().zip(weights) {
            member.weight = weight;
        }
    });
    let status = planned(&resource, &world).status;
    assert_eq!((status.pools[0].operating_status, status.listeners[0].operating_status), (pool, listener));
    assert_eq!(status.operating_status, listener);
}

#[test]
fn a_pool_that_nothing_checks_says_so_and_an_empty_one_is_an_error() {
    let (mut resource, mut world) = well();
    resource.spec.pools[0].monitor = None;
    reports(&mut world)
        .for_each(|report| tell(report, &OPEN, &[(FIRST, MemberState::NoMonitor), (SECOND, MemberState::NoMonitor)]));
    let status = planned(&resource, &world).status;
    assert_eq!(status.pools[0].operating_status, OperatingStatus::NoMonitor);
    assert_eq!(status.operating_status, OperatingStatus::Online);
    resource.spec.pools[0].members.clear();
    assert_eq!(planned(&resource, &world).status.pools[0].operating_status, OperatingStatus::Error);
}

/// What is told at each of these times, in hours before the certificate of `secure` ends.
fn told(resource: &mut LoadBalancer, world: &World, end: Timestamp, hours: &[i64]) -> Vec<Vec<&'static str>> {
    let at = |hours: &i64| {
        let plan = plan::plan(resource, world, end - SignedDuration::from_hours(*hours));
        resource.status = Some(plan.status);
        plan.events.iter().map(|event| event.reason).collect()
    };
    hours.iter().map(at).collect()
}

fn serve(world: &mut World, ends: [Timestamp; 2]) {
    for (report, end) in reports(world).zip(ends) {
        let served = CertificateHealth { file: "certificate-shop.pem".to_owned(), not_after: end.as_second() };
        report.listeners.get_mut("secure").expect("a listener").certificate = Some(served);
    }
}

#[test]
fn a_certificate_that_ends_soon_is_told_of_once_at_each_threshold() {
    let (mut resource, mut world) = well();
    let end: Timestamp = "2027-01-23T00:00:00Z".parse().unwrap();
    serve(&mut world, [end, end + SignedDuration::from_hours(9_000)]);
    let days = [90, 22, 21, 20, 8, 7, 1, 0, -1].map(|days| days * 24);
    let expected: [&[&str]; 9] = [&[], &[], &["ExpiresSoon"], &[], &[], &["ExpiresThisWeek"], &[], &["Expired"], &[]];
    assert_eq!(told(&mut resource, &world, end, &days), expected);
    let (verdict, message) = condition(&planned(&resource, &world), "CertificatesCurrent");
    assert_eq!(verdict, "True/Current", "{message}: it is only {}", now());
    let plan = plan::plan(&resource, &world, end);
    let (verdict, message) = condition(&plan, "CertificatesCurrent");
    assert_eq!(verdict, "False/Expired");
    assert!(message.contains("Secret \"shop\" on listener secure has ended at 2027-01-23T00:00:00Z"), "{message}");
    let status = plan.status.listeners[1].certificate.clone().expect("a certificate");
    assert_eq!((status.secret_name.as_str(), status.not_after.0), ("shop", end));
    // A replica that still serves the old one keeps it open; then it is told that all is well.
    let renewed = end + SignedDuration::from_hours(9_000);
    assert_eq!(told(&mut resource, &world, end, &[0]), [Vec::<&str>::new()]);
    serve(&mut world, [renewed, renewed]);
    assert_eq!(told(&mut resource, &world, end, &[0, 0]), [vec!["Current"], vec![]]);
}

#[test]
fn without_certificates_there_is_no_word_of_them() {
    let (resource, world) = well();
    let status = planned(&resource, &world).status;
    assert!(status.conditions.iter().all(|condition| condition.type_ != "CertificatesCurrent"));
}

#[test]
fn what_is_told_of_listeners_and_pools_is_small() {
    let (mut resource, mut world) = well();
    let end: Timestamp = "2027-01-23T00:00:00Z".parse().unwrap();
    serve(&mut world, [end, end]);
    resource.status = Some(planned(&resource, &world).status);
    let status = resource.status.unwrap();
    let bytes = |value: serde_json::Value| value.to_string().len();
    let sizes = (
        bytes(serde_json::to_value(&status.listeners).unwrap()),
        bytes(serde_json::to_value(&status.pools).unwrap()),
        bytes(serde_json::to_value(&status).unwrap()),
    );
    assert!(sizes.0 < 250 && sizes.1 < 200 && sizes.2 < 3_000, "{sizes:?}");
}
