//! What the user reads.

use fairway::{
    agent::protocol::{MemberState, Report},
    api::{Address, AddressKind},
    loadbalancer::world::Replica,
};

use rstest::rstest;

use crate::fixtures::{ONE_MEMBER, condition, health, load_balancer, planned, replica, settled, world};

#[test]
fn a_new_load_balancer_is_on_its_way() {
    let plan = planned(&load_balancer(ONE_MEMBER), &world());
    assert_eq!(condition(&plan, "Accepted").0, "True/Accepted");
    assert_eq!(condition(&plan, "ResolvedRefs").0, "True/ResolvedRefs");
    assert_eq!(condition(&plan, "Programmed").0, "False/Pending");
    assert_eq!(plan.events, [], "nothing that somebody has to know");
    assert_eq!(plan.status.selector, "fairway.dev/loadbalancer=shop");
}

#[test]
fn a_settled_load_balancer_says_what_runs() {
    let mut resource = load_balancer(ONE_MEMBER);
    let mut world = world();
    let configuration = settled(&mut resource, &mut world);
    world.service_addresses = vec![Address { kind: AddressKind::IPAddress, value: "10.96.0.7".to_owned() }];
    let plan = planned(&resource, &world);
    assert_eq!(condition(&plan, "Programmed").0, "True/Programmed");
    assert_eq!(condition(&plan, "Ready").0, "True/Serving");
    assert_eq!((plan.status.replicas, plan.status.proven_replicas), (2, 2));
    assert_eq!(plan.status.addresses[0].value, "10.96.0.7");
    let pods: Vec<_> = plan.status.replica_statuses.iter().map(|replica| replica.proven_hash.clone()).collect();
    assert_eq!(pods, [configuration.hash(), configuration.hash()]);
    assert_eq!(plan.effects, []);
}

#[test]
fn a_member_counts_as_up_when_every_replica_sees_it_up() {
    let mut resource = load_balancer("
listeners: [{ name: web, protocol: HTTP, port: 80, pool: app }]
pools: [{ name: app, members: [{ address: 192.0.2.1, port: 1 }, { address: 192.0.2.2, port: 1 }, { address: 192.0.2.3, port: 1 }] }]
");
    let mut world = world();
    settled(&mut resource, &mut world);
    for (replica, second) in world.replicas.iter_mut().zip([MemberState::Up, MemberState::Down]) {
        let report = replica.report.as_mut().unwrap().as_mut().unwrap();
        report.pools.insert(
            "app.http".to_owned(),
            vec![
                health("192.0.2.1:1", MemberState::Up),
                health("192.0.2.2:1", second),
                health("192.0.2.3:1", MemberState::NoMonitor),
            ],
        );
    }
    let pool = &planned(&resource, &world).status.pools[0];
    assert_eq!((pool.members, pool.up), (3, 2));
    assert_eq!(pool.down, ["192.0.2.2:1"]);
}

#[rstest]
#[case::that_was_not_asked(None)]
#[case::that_does_not_answer(Some(Err("the agent at 10.244.0.9 cannot be reached".to_owned())))]
fn why_no_pod_comes_up_is_told_in_kubernetes_words(#[case] report: Option<Result<Report, String>>) {
    let mut resource = load_balancer(ONE_MEMBER);
    let mut world = world();
    world.replicas = vec![Replica {
        pod: "shop-lb-a".to_owned(),
        waiting: "ImagePullBackOff: no such image".to_owned(),
        report,
        ..Replica::default()
    }];
    let plan = planned(&resource, &world);
    let (verdict, message) = condition(&plan, "Ready");
    assert_eq!(verdict, "False/NoReplicaServes");
    assert!(message.contains("ImagePullBackOff"), "{message}");
    assert_eq!(plan.status.replica_statuses[0].message, "ImagePullBackOff: no such image");
    assert_eq!(plan.events.len(), 1);
    resource.status = Some(plan.status);
    assert_eq!(planned(&resource, &world).events, [], "told once");
}

#[test]
fn a_condition_keeps_its_time_while_it_holds() {
    let mut resource = load_balancer(ONE_MEMBER);
    let mut world = world();
    settled(&mut resource, &mut world);
    let before = resource.status.clone().unwrap();
    let later = crate::fixtures::now() + jiff::SignedDuration::from_hours(1);
    let plan = fairway::loadbalancer::plan::plan(&resource, &world, later);
    assert_eq!(plan.status.conditions, before.conditions);
}

#[test]
fn a_replica_that_has_not_answered_yet_keeps_programmed_open() {
    let mut resource = load_balancer(ONE_MEMBER);
    let mut world = world();
    settled(&mut resource, &mut world);
    world.replicas.push(replica("shop-lb-c", None));
    let plan = planned(&resource, &world);
    let (verdict, message) = condition(&plan, "Programmed");
    assert_eq!(
        (verdict.as_str(), message.as_str()),
        ("False/Pending", "2 of 3 replicas have proven the configuration")
    );
}

/// What each of the replicas says of its HAProxy.
fn runs(world: &mut fairway::loadbalancer::world::World, versions: [&str; 2]) {
    for (replica, version) in world.replicas.iter_mut().zip(versions) {
        version.clone_into(&mut replica.report.as_mut().unwrap().as_mut().unwrap().haproxy_version);
    }
}

#[rstest]
#[case(["2.6.0", "2.6.12"], "True/Supported", "run HAProxy 2.6.12")]
#[case(["2.6.12", "3.0.11"], "True/Supported", "run HAProxy 2.6.12 and 3.0.11")]
#[case(["2.6.12", ""], "True/Supported", "2.6.12")]
#[case(["3.4", "2.8.1"], "True/Supported", "2.8.1 and 3.4")]
#[case(["2.6.12", "2.4.22"], "False/TooOld", "runs HAProxy 2.4.22, which is older")]
#[case(["1.8.4", "4.0.1"], "False/TooOld", "1.8.4")]
#[case(["2.6.12", "4.0.1"], "False/TooNew", "runs HAProxy 4.0.1, which is newer")]
fn an_unsupported_version_is_told_with_what_to_do(
    #[case] versions: [&str; 2],
    #[case] expected: &str,
    #[case] said: &str,
) {
    let mut resource = load_balancer(ONE_MEMBER);
    let mut world = world();
    settled(&mut resource, &mut world);
    runs(&mut world, versions);
    let plan = planned(&resource, &world);
    let (verdict, message) = condition(&plan, "VersionSupported");
    assert_eq!(verdict, expected);
    assert!(message.contains(said), "{message}");
    assert_eq!(plan.effects, [], "nothing is done to what serves");
    assert_eq!(condition(&plan, "Ready").0, "True/Serving");
    if expected.starts_with("False") {
        assert!(message.contains("choose an image with HAProxy 2.6 to 3.x in spec.image"), "{message}");
        let told: Vec<_> = plan.events.iter().map(|event| (event.reason, event.warning)).collect();
        assert_eq!(told, [(&expected[6..], true)]);
        resource.status = Some(plan.status);
        assert_eq!(planned(&resource, &world).events, [], "told once");
    }
}

#[test]
fn the_version_is_known_also_while_nobody_answers() {
    let mut resource = load_balancer(ONE_MEMBER);
    let mut world = world();
    settled(&mut resource, &mut world);
    runs(&mut world, ["2.4.22", "2.4.22"]);
    resource.status = Some(planned(&resource, &world).status);
    for replica in &mut world.replicas {
        replica.report = None;
    }
    let plan = planned(&resource, &world);
    assert_eq!(condition(&plan, "VersionSupported").0, "False/TooOld");
    assert_eq!(plan.status.replica_statuses[0].haproxy_version, "2.4.22");
    assert_eq!(plan.events, []);
    let unknown = planned(&load_balancer(ONE_MEMBER), &world).status;
    assert!(unknown.conditions.iter().all(|condition| condition.type_ != "VersionSupported"));
}
