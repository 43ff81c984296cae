//! What is done beyond objects: certificates of agents, configurations pushed, and when the Secret that
//! pods boot from follows.

use fairway::{
    agent::protocol::Refused,
    loadbalancer::{plan::Effect, world::Identity},
};

use crate::fixtures::{
    ONE_MEMBER, condition, empty_world, kind, load_balancer, planned, pushes, replica, secret_configuration, settled,
    world,
};

#[test]
fn pods_come_after_their_certificate() {
    let resource = load_balancer(ONE_MEMBER);
    let mut world = empty_world();
    let plan = planned(&resource, &world);
    assert!(matches!(plan.effects.as_slice(), [Effect::IssueIdentity { .. }]));
    assert!(!plan.objects.iter().any(|object| kind(object) == "Deployment"));

    world.identity = Some(Identity { renew: None });
    let plan = planned(&resource, &world);
    assert_eq!(plan.effects, []);
    assert!(plan.objects.iter().any(|object| kind(object) == "Deployment"));

    world.identity = Some(Identity { renew: Some("it is old".to_owned()) });
    let plan = planned(&resource, &world);
    assert_eq!(plan.effects, [Effect::IssueIdentity { why: "it is old".to_owned() }]);
    assert!(plan.objects.iter().any(|object| kind(object) == "Deployment"), "once made it stays planned");
}

#[test]
fn a_lost_certificate_never_takes_the_pods_away() {
    let mut resource = load_balancer(ONE_MEMBER);
    let mut world = world();
    settled(&mut resource, &mut world);
    world.pins = Some(crate::objects::pins(&planned(&resource, &world)));
    world.identity = None;
    let plan = planned(&resource, &world);
    assert!(plan.objects.iter().any(|object| kind(object) == "Deployment"));
    assert!(matches!(plan.effects.as_slice(), [Effect::IssueIdentity { .. }]));
}

#[test]
fn replicas_that_are_behind_are_pushed_to() {
    let mut resource = load_balancer(ONE_MEMBER);
    let mut world = world();
    let before = settled(&mut resource, &mut world);
    resource.spec.pools[0].members[0].weight = 7;
    let plan = planned(&resource, &world);
    let pushed: Vec<_> = pushes(&plan).into_iter().map(|(pod, configuration)| (pod, configuration.sequence)).collect();
    assert_eq!(pushed, [("shop-lb-a", 2), ("shop-lb-b", 2)]);
    let Effect::Push { why, .. } = &plan.effects[0] else { panic!("a push") };
    assert!(why.contains(&before.hash()[..8]), "{why}");
    assert_eq!(condition(&plan, "Programmed").0, "False/Pending");
}

#[test]
fn the_secret_follows_when_a_replica_has_proven_what_is_new() {
    let mut resource = load_balancer(ONE_MEMBER);
    let mut world = world();
    let before = settled(&mut resource, &mut world);
    resource.spec.pools[0].members[0].weight = 7;
    let plan = planned(&resource, &world);
    assert_eq!(secret_configuration(&plan), None, "nobody has proven it yet: what works stays");
    let wanted = pushes(&plan)[0].1.clone();

    world.replicas[1] = replica("shop-lb-b", Some(&wanted));
    assert_eq!(secret_configuration(&planned(&resource, &world)), Some(wanted.clone()));

    world.replicas = vec![replica("shop-lb-a", Some(&before))];
    world.replicas[0].report = Some(Err("no route".to_owned()));
    let plan = planned(&resource, &world);
    assert_eq!(secret_configuration(&plan), Some(wanted), "no agent answers: the mounted file is the way");
    assert_eq!(condition(&plan, "Programmed").0, "False/AgentUnreachable");
}

#[test]
fn what_haproxy_refuses_never_replaces_what_works() {
    let mut resource = load_balancer(ONE_MEMBER);
    let mut world = world();
    let before = settled(&mut resource, &mut world);
    resource.spec.listeners[0].port = 81;
    let wanted = pushes(&planned(&resource, &world))[0].1.clone();
    for name in ["shop-lb-a", "shop-lb-b"] {
        let mut refusing = replica(name, Some(&before));
        let report = refusing.report.as_mut().unwrap().as_mut().unwrap();
        report.refused =
            Some(Refused { hash: wanted.hash(), sequence: wanted.sequence, message: "port 81 is taken".to_owned() });
        world.replicas.retain(|replica| replica.pod != name);
        world.replicas.push(refusing);
    }
    let plan = planned(&resource, &world);
    assert_eq!(secret_configuration(&plan), None);
    let (verdict, message) = condition(&plan, "Programmed");
    assert_eq!(verdict, "False/Refused");
    assert!(message.contains("port 81 is taken"), "{message}");
    assert_eq!(condition(&plan, "Ready").0, "True/Serving");
    assert!(plan.again >= std::time::Duration::from_secs(5), "it is asked again, but not in a hurry");
}

#[test]
fn a_pod_that_goes_is_left_alone() {
    let mut resource = load_balancer(ONE_MEMBER);
    let mut world = world();
    settled(&mut resource, &mut world);
    resource.spec.pools[0].members[0].weight = 7;
    world.replicas[0].deleting = true;
    let plan = planned(&resource, &world);
    assert_eq!(pushes(&plan).len(), 1);
    assert_eq!(plan.status.replicas, 1);
}

#[test]
fn what_was_refused_is_remembered_when_nobody_is_left_to_say_so() {
    let mut resource = load_balancer(ONE_MEMBER);
    let mut world = world();
    let before = settled(&mut resource, &mut world);
    resource.spec.listeners[0].port = 81;
    let wanted = pushes(&planned(&resource, &world))[0].1.clone();
    let mut refusing = replica("shop-lb-a", Some(&before));
    refusing.report.as_mut().unwrap().as_mut().unwrap().refused =
        Some(Refused { hash: wanted.hash(), sequence: wanted.sequence, message: "port 81 is taken".to_owned() });
    world.replicas = vec![refusing];
    resource.status = Some(planned(&resource, &world).status);

    // Out of reach, gone, and back as a pod that was not asked yet.
    let mut unreachable = replica("shop-lb-a", None);
    unreachable.report = Some(Err("no route".to_owned()));
    for replicas in [vec![unreachable], vec![], vec![replica("shop-lb-b", Some(&before))], vec![]] {
        world.replicas = replicas;
        let plan = planned(&resource, &world);
        assert_eq!(secret_configuration(&plan), None, "new pods boot with what works");
        assert_eq!(condition(&plan, "Programmed").0, "False/Refused");
        resource.status = Some(plan.status);
    }

    // Whoever proves it says otherwise, and something else is another matter.
    world.replicas = vec![replica("shop-lb-b", Some(&wanted))];
    let plan = planned(&resource, &world);
    assert_eq!(secret_configuration(&plan), Some(wanted));
    assert_eq!(condition(&plan, "Programmed").0, "True/Programmed");
    world.replicas = vec![];
    resource.spec.listeners[0].port = 82;
    let plan = planned(&resource, &world);
    assert!(secret_configuration(&plan).is_some());
    assert_eq!(condition(&plan, "Programmed").0, "False/Pending");
}
