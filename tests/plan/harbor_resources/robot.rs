//! Robots: their secret is chosen, kept, set and moved, in this order, and nothing that comes between loses it.

use fairway::{
    api::{HarborRobot, HarborRobotStatus},
    clients::harbor::{Access, Robot},
    harbor::{
        robot::{
            plan::{Effect, Plan, plan},
            secret::{Hidden, Mark, PullSecret},
            wanted::{mended, new_robot, owned, same},
            world::{Seen, World},
        },
        world::Problem,
    },
    reconcile::family::{Effect as _, Finalizer, Retained},
};
use jiff::{SignedDuration, Timestamp};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use rstest::rstest;

use super::{condition, registry};
use crate::fixtures::now;

const PASSWORD: &str = "Some-Secret-0";
const PULL: &str = "permissions: [{ project: team, access: [{ resource: repository, actions: [pull] }] }]\n";

fn robot(spec: &str) -> HarborRobot {
    let spec = format!("harborName: main\n{PULL}{spec}");
    let mut resource = HarborRobot::new("ci", serde_saphyr::from_str(&spec).unwrap());
    resource.metadata.namespace = Some("customer".to_owned());
    resource.metadata.generation = Some(1);
    resource
}

/// As Harbor tells it when it was made as the resource says.
fn made(resource: &HarborRobot) -> Robot {
    let new = new_robot(resource);
    let expires = if new.duration == -1 { -1 } else { now().as_second() + new.duration * 86_400 };
    Robot {
        id: 7,
        name: "robot$team+ci".to_owned(),
        description: new.description,
        level: new.level,
        duration: new.duration,
        disable: false,
        expires_at: expires,
        permissions: new.permissions,
        creation_time: now().to_string(),
    }
}

fn secret(robot: i64, at: Timestamp) -> PullSecret {
    PullSecret {
        name: "ci-pull".to_owned(),
        password: Some(Hidden(PASSWORD.to_owned())),
        next: None,
        mark: Some(Mark::new(robot, at, PASSWORD)),
    }
}

fn chosen() -> PullSecret {
    PullSecret { name: "ci-pull".to_owned(), next: Some(Hidden("Next-Secret-0".to_owned())), ..PullSecret::default() }
}

fn world(robot: Option<Robot>, secret: Option<PullSecret>) -> World {
    let accepted = robot.as_ref().zip(secret.as_ref()).and(Some(true));
    let seen = Seen { robot, accepted, ..Seen::default() };
    World { registry: Some(registry()), secret, asked: Some(Ok(seen)) }
}

fn refused(resource: &HarborRobot) -> World {
    let seen = Seen { robot: Some(made(resource)), accepted: Some(false), ..Seen::default() };
    World { asked: Some(Ok(seen)), ..world(None, Some(secret(7, now()))) }
}

/// A resource whose robot is as it says.
fn settled(spec: &str) -> HarborRobot {
    let mut resource = robot(spec);
    let plan = plan(&resource, &world(Some(made(&resource)), Some(secret(7, now()))), now());
    assert_eq!(condition(&plan.status.conditions, "Synced").0, "True/Synced");
    assert_eq!(condition(&plan.status.conditions, "Ready").0, "True/Ready");
    resource.status = Some(plan.status);
    resource
}

fn names(plan: &Plan) -> Vec<&'static str> {
    plan.effects.iter().map(fairway::reconcile::Effect::name).collect()
}

#[rstest]
#[case::nothing(false, None, &["CreateRobot", "ChooseSecret"])]
#[case::killed_after_the_choice(false, Some(chosen()), &["CreateRobot"])]
#[case::killed_after_the_making(true, None, &["ChooseSecret"])]
#[case::killed_after_both(true, Some(chosen()), &["SetSecret"])]
#[case::killed_when_harbor_has_it(true, Some(chosen()), &["SetSecret"])]
#[case::done(true, Some(secret(7, now())), &[])]
#[case::of_a_robot_that_is_no_more(true, Some(secret(6, now())), &["ChooseSecret"])]
#[case::not_what_was_set(true, Some(PullSecret { password: Some(Hidden("By-Hand-0".to_owned())), ..secret(7, now()) }), &["ChooseSecret"])]
#[case::without_its_mark(true, Some(PullSecret { mark: None, ..secret(7, now()) }), &["ChooseSecret"])]
#[case::without_its_password(true, Some(PullSecret { password: None, ..secret(7, now()) }), &["ChooseSecret"])]
fn each_step_follows_from_what_is_there(
    #[case] there: bool,
    #[case] secret: Option<PullSecret>,
    #[case] expected: &[&str],
) {
    let resource = robot("");
    let known = there.then(|| made(&resource));
    let plan = plan(&resource, &world(known, secret), now());
    assert_eq!(names(&plan), expected);
    assert_eq!((plan.retained, plan.finalizer), (Retained::All, Finalizer::Held));
    // What pods read is written only when Harbor knows it.
    assert_eq!(plan.objects.len(), usize::from(expected.is_empty()));
    assert_eq!(condition(&plan.status.conditions, "Ready").0.starts_with("True"), expected.is_empty());
}

#[test]
fn what_is_told_holds_no_secret() {
    let resource = robot("");
    let world = world(Some(made(&resource)), Some(secret(7, now())));
    let planned = plan(&resource, &world, now());
    let told = format!("{world:?} {:?} {:?} {:?}", planned.effects, planned.events, planned.status);
    assert!(!told.contains(PASSWORD), "{told}");
    assert!(planned.objects[0].data["data"]["password"].is_string());
}

#[test]
fn a_secret_is_made_anew_when_its_time_has_come() {
    let resource = settled("rotation: { after: 30 }\nduration: 90\n");
    let world = world(Some(made(&resource)), Some(secret(7, now())));
    let later = |hours: i64| now() + SignedDuration::from_hours(hours);
    let before = plan(&resource, &world, later(24 * 30 - 1));
    assert!(before.effects.is_empty());
    assert_eq!(before.status.next_rotation_at, Some(Time(later(24 * 30))));
    let soon = plan(&resource, &world, later(24 * 30) - SignedDuration::from_secs(5));
    assert_eq!(soon.again.as_secs(), 5, "it is looked at when it is due");
    let due = plan(&resource, &world, later(24 * 30));
    assert_eq!(names(&due), ["ChooseSecret"]);
    assert!(due.effects[0].why().contains("made 30 days ago"), "{}", due.effects[0].why());
    assert_eq!(condition(&due.status.conditions, "Ready").0, "True/Ready", "until Harbor has the next one");
}

#[test]
fn a_robot_lives_as_long_from_its_secret_on() {
    let resource = settled("rotation: { after: 30 }\nduration: 90\n");
    let known = made(&resource);
    let at = |minutes: i64| Mark::new(7, now() + SignedDuration::from_mins(minutes), PASSWORD);
    let days = |days: i64| 24 * 60 * days;
    assert_eq!(mended(&resource, &known, Some(&at(59))), (known.clone(), vec![]), "they were made together");
    for (minutes, duration) in [(60, 91), (days(30), 120), (days(30) + 1, 121), (days(31) - 1, 121)] {
        let (wanted, fields) = mended(&resource, &known, Some(&at(minutes)));
        assert_eq!((wanted.duration, fields), (duration, vec!["duration".to_owned()]));
        assert!(days(duration) >= minutes + days(90), "it expires early");
    }
    let other = Mark { robot: 6, ..at(days(30)) };
    assert_eq!(mended(&resource, &known, Some(&other)).0.duration, 90);
}

/// After Harbor's database was made anew, the number in the status may be another's.
#[rstest]
#[case::as_it_was(|_: &mut Robot| {}, true)]
#[case::another_prefix(|robot: &mut Robot| robot.name = "bot-team+ci".into(), true)]
#[case::described_by_hand(|robot: &mut Robot| robot.description = "mine".into(), true)]
#[case::of_another_project(|robot: &mut Robot| { robot.name = "robot$dev-team+ci".into(); robot.description = "[fairway: HarborRobot customer/dev]".into(); }, false)]
#[case::of_nobody(|robot: &mut Robot| { robot.name = "bot-team+ci".into(); robot.description = String::new(); }, false)]
#[case::of_another_level(|robot: &mut Robot| robot.level = "system".into(), false)]
fn a_number_alone_makes_no_robot_ours(#[case] change: fn(&mut Robot), #[case] expected: bool) {
    let resource = settled("");
    let mut known = made(&resource);
    assert!(owned(&resource, &known));
    change(&mut known);
    assert_eq!(same(&resource, &known), expected, "{known:?}");
}

#[rstest]
#[case::description(|robot: &mut Robot| robot.description = "mine".into(), "description")]
#[case::disabled(|robot: &mut Robot| robot.disable = true, "disabled")]
#[case::duration(|robot: &mut Robot| robot.duration = 5, "duration")]
#[case::less(|robot: &mut Robot| robot.permissions[0].access.clear(), "permissions")]
#[case::elsewhere(|robot: &mut Robot| robot.permissions[0].namespace = "other".into(), "permissions")]
#[case::denied(|robot: &mut Robot| robot.permissions[0].access[0].effect = "deny".into(), "permissions")]
#[case::more(|robot: &mut Robot| robot.permissions[0].access.push(Access { resource: "repository".into(), action: "push".into(), effect: String::new() }), "permissions")]
fn what_is_changed_by_hand_is_told_first_and_then_mended_or_left(
    #[case] change: fn(&mut Robot),
    #[case] field: &str,
    #[values("Mend", "Report")] policy: &str,
) {
    let mut resource = settled(&format!("drift: {policy}\n"));
    let good = made(&resource);
    let mut known = good.clone();
    change(&mut known);
    let world = world(Some(known), Some(secret(7, now())));
    let told = plan(&resource, &world, now());
    assert!(told.effects.is_empty(), "{:?}", told.effects);
    assert_eq!(condition(&told.status.conditions, "Synced").0, "False/Drifted");
    assert_eq!((told.status.drift.as_slice(), told.events[0].reason), ([field.to_owned()].as_slice(), "Drifted"));
    resource.status = Some(told.status);
    let then = plan(&resource, &world, now());
    match (policy, then.effects.as_slice()) {
        ("Mend", [Effect::Update { robot, why, routine: false }]) => {
            let (_, left) = mended(&resource, robot, None);
            assert!(left.is_empty() && why.contains(field), "{why}");
        }
        ("Report", []) => {}
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_secret_that_was_changed_in_harbor_is_set_anew_or_told() {
    let mut resource = settled("");
    let world = refused(&resource);
    let told = plan(&resource, &world, now());
    assert!(told.effects.is_empty());
    assert_eq!(told.status.drift, ["secret"]);
    assert_eq!(condition(&told.status.conditions, "Ready").0, "False/SecretRefused");
    resource.status = Some(told.status);
    assert_eq!(names(&plan(&resource, &world, now())), ["ChooseSecret"]);

    let mut resource = settled("drift: Report\n");
    for _ in 0..2 {
        let told = plan(&resource, &refused(&resource), now());
        assert!(told.effects.is_empty(), "it is left");
        resource.status = Some(told.status);
    }
}

#[test]
fn a_robot_that_was_deleted_by_hand_is_told_and_made_anew() {
    let mut resource = settled("");
    let world = world(None, Some(secret(7, now())));
    let told = plan(&resource, &world, now());
    assert!(told.effects.is_empty());
    assert_eq!(condition(&told.status.conditions, "Synced").0, "False/Drifted");
    resource.status = Some(told.status);
    assert_eq!(names(&plan(&resource, &world, now())), ["CreateRobot", "ChooseSecret"]);
}

#[rstest]
#[case::taken(Seen { taken: true, ..Seen::default() }, "Accepted", "False/NameTaken")]
#[case::missing(Seen { missing: vec!["team".to_owned()], ..Seen::default() }, "ResolvedRefs", "False/ProjectNotFound")]
fn what_keeps_it_from_being_made_is_told(#[case] seen: Seen, #[case] kind: &str, #[case] verdict: &str) {
    let world = World { asked: Some(Ok(seen)), ..world(None, None) };
    let plan = plan(&robot(""), &world, now());
    assert!(plan.effects.is_empty());
    assert_eq!(condition(&plan.status.conditions, kind).0, verdict);
    assert_eq!(condition(&plan.status.conditions, "Ready").0, verdict);
}

#[test]
fn one_that_cannot_log_in_is_not_ready() {
    let resource = settled("duration: 30\n");
    let known = made(&resource);
    let world = world(Some(known), Some(secret(7, now())));
    let later = plan(&resource, &world, now() + SignedDuration::from_hours(24 * 31));
    let (verdict, message) = condition(&later.status.conditions, "Ready");
    assert_eq!(verdict, "False/Expired");
    assert!(message.contains("delete Secret ci-pull"), "{message}");
}

#[test]
fn it_goes_with_its_resource_as_long_as_there_is_a_registry() {
    let mut resource = settled("");
    resource.metadata.deletion_timestamp = Some(Time(now()));
    let there = world(Some(made(&resource)), Some(secret(7, now())));
    let leaving = plan(&resource, &there, now());
    assert_eq!((leaving.finalizer, leaving.effects), (Finalizer::Held, vec![Effect::Delete { id: 7 }]));
    assert_eq!(plan(&resource, &world(None, None), now()).finalizer, Finalizer::Released);
    assert_eq!(plan(&resource, &World::default(), now()).finalizer, Finalizer::Released);
    let silent = World { asked: Some(Err(Problem::new("HarborUnreachable", "nobody listens"))), ..world(None, None) };
    let waiting = plan(&resource, &silent, now());
    assert_eq!(waiting.finalizer, Finalizer::Held);
    assert!(condition(&waiting.status.conditions, "Ready").1.contains("nobody listens; the robot is deleted before"));
    let never = HarborRobot { status: Some(HarborRobotStatus::default()), ..resource };
    assert_eq!(plan(&never, &world(None, None), now()).finalizer, Finalizer::Released);
}
