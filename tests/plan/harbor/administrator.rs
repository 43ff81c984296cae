//! The administrator's password: which one is asked for, and what is told and done about it.

use fairway::harbor::{
    plan::{Effect, Plan, administrator},
    world::{LoggedIn, Problem, World},
};
use rstest::rstest;

use super::fixtures::{SMALLEST, condition, credentials, harbor, names, planned, settled, template, world};

const NAMED: &str = "
externalURL: http://registry.example.com
administrator: { passwordSecretName: admin }
";
const WANTED: &str = "A-better-1";

fn put(world: &mut World, password: &str) {
    world.secrets.insert("admin".to_owned(), [("password".to_owned(), password.as_bytes().to_vec())].into());
}

/// A registry that runs, with its administrator logged in.
fn running(spec: &str, changed: bool) -> (fairway::api::Harbor, World, Plan) {
    let (resource, mut world, _) = settled(spec);
    world.core = Some("http://10.96.0.10:80".to_owned());
    world.administrator = Some(Ok(LoggedIn { changed, used: 0 }));
    let plan = planned(&resource, &world);
    (resource, world, plan)
}

#[test]
fn without_a_named_secret_the_one_that_was_made_up_stays() {
    let (_, _, plan) = running(SMALLEST, false);
    assert!(plan.effects.is_empty(), "{:?}", plan.effects);
    let (verdict, message) = condition(&plan, "AdministratorReady");
    assert_eq!(verdict, "True/AdministratorReady");
    assert!(message.contains("Secret main-credentials"), "{message}");
}

#[rstest]
#[case::harbor_has_the_old_one(false)]
#[case::harbor_has_the_new_one_and_it_was_not_noted(true)]
fn a_password_is_changed_and_then_noted(#[case] has_it: bool) {
    let (resource, mut world, before) = running(NAMED, has_it);
    assert_eq!(condition(&before, "AdministratorReady").0, "False/SecretNotFound");
    put(&mut world, WANTED);
    let plan = planned(&resource, &world);
    let [Effect::ChangePassword { before: old, after, changed, .. }] = &plan.effects[..] else {
        panic!("{:?}", plan.effects)
    };
    assert_eq!((old.get("adminPassword"), after.get("adminPassword")), ("adminPassword", WANTED));
    assert_eq!((*changed, old.get("secretKey")), (has_it, after.get("secretKey")));
    assert!(!format!("{:?}", plan.effects).contains(WANTED), "no password in a log");
    assert_eq!(condition(&plan, "AdministratorReady").0, "False/ChangingPassword");
    assert_eq!(condition(&plan, "Ready").0, "True/Ready", "it serves on");
    for name in names(&plan).iter().filter(|name| name.starts_with("Deployment")) {
        assert_eq!(template(&plan, name), template(&before, name), "no pod is replaced");
    }
    // The Secret of credentials tells the new one.
    world.credentials = Some(credentials().with("adminPassword", WANTED));
    world.administrator = Some(Ok(LoggedIn { changed: false, used: 0 }));
    let plan = planned(&resource, &world);
    assert!(plan.effects.is_empty(), "{:?}", plan.effects);
    assert_eq!(condition(&plan, "AdministratorReady").0, "True/AdministratorReady");
    for name in names(&plan).iter().filter(|name| name.starts_with("Deployment")) {
        assert_eq!(template(&plan, name), template(&before, name), "nor then");
    }
}

#[rstest]
#[case::short("Short1", "WeakPassword", "it has 6 characters; give it 8 to 128")]
#[case::plain("verysecret", "WeakPassword", "it lacks a capital and a digit; add what is missing")]
#[case::line_break("A-better-1\n", "WeakPassword", "line break")]
#[case::nothing("", "InvalidSecret", "has no text in its key \"password\"; add it")]
fn a_password_that_harbor_would_refuse_is_told(#[case] password: &str, #[case] reason: &str, #[case] words: &str) {
    let (resource, mut world, _) = running(NAMED, false);
    put(&mut world, password);
    let plan = planned(&resource, &world);
    let (verdict, message) = condition(&plan, "AdministratorReady");
    assert_eq!(verdict, format!("False/{reason}"));
    assert!(message.contains(words) && message.contains("until then the password stays"), "{message}");
    assert!(password.is_empty() || !message.contains(password.trim()), "{message}");
    assert!(plan.effects.is_empty());
    assert!(plan.events.iter().any(|event| event.reason == reason && event.warning));
    assert_eq!(condition(&plan, "Ready").0, "True/Ready", "it serves on");
}

#[test]
fn a_named_secret_that_is_missing_does_not_hold_up_an_install() {
    let plan = planned(&harbor(NAMED), &world());
    assert_eq!(condition(&plan, "AdministratorReady").0, "False/SecretNotFound");
    assert!(names(&plan).contains(&"StatefulSet main-database".to_owned()), "{:?}", names(&plan));
}

#[rstest]
#[case::made_up(SMALLEST, &["main-credentials", "name a Secret"])]
#[case::named(NAMED, &["admin and that of Secret main-credentials"])]
fn a_change_by_hand_is_told_with_what_to_do(#[case] spec: &str, #[case] words: &[&str]) {
    let (resource, mut world, _) = running(spec, false);
    put(&mut world, WANTED);
    let settings = fairway::harbor::plan::merged(&resource, &world).unwrap();
    let refused = Problem::new(administrator::REFUSED, "Harbor does not accept the password");
    world.administrator = Some(Err(administrator::explained(refused, "main", &settings)));
    let plan = planned(&resource, &world);
    let (verdict, message) = condition(&plan, "AdministratorReady");
    assert_eq!(verdict, "False/HarborPasswordRefused");
    assert!(words.iter().all(|words| message.contains(words)) && message.contains("changed by hand"), "{message}");
    assert!(plan.effects.is_empty());
    assert_eq!(condition(&plan, "Ready").0, "True/Ready", "it serves on");
}

#[test]
fn what_images_take_is_told_and_rests() {
    let (mut resource, mut world, plan) = running(SMALLEST, false);
    let storage = plan.status.storage.clone().unwrap();
    assert_eq!(storage.used_bytes, Some(0));
    let volumes: Vec<_> = storage.volumes.iter().map(|one| (one.name.as_str(), one.requested_bytes)).collect();
    let size = 5 << 30;
    assert_eq!(volumes, [("main-registry-data", size), ("main-database-data", size), ("main-cache-data", size)]);

    let mut told = |used: u64| {
        world.administrator = Some(Ok(LoggedIn { changed: false, used }));
        let plan = planned(&resource, &world);
        resource.status = Some(plan.status.clone());
        plan.status.storage.unwrap().used_bytes.unwrap()
    };
    assert_eq!(told(4096), 4096);
    assert_eq!(told(300 << 20), 300 << 20);
    assert_eq!(told((300 << 20) + 5000), 300 << 20, "no write for a layer of text");
    assert_eq!(told(400 << 20), 400 << 20);
    world.administrator = None;
    let plan = planned(&resource, &world);
    assert_eq!(plan.status.storage.unwrap().used_bytes, Some(400 << 20), "as it was while nobody answers");
}

#[test]
fn a_bucket_has_no_size() {
    let spec = format!("{SMALLEST}storage: {{ type: S3, s3: {{ bucket: images, credentialsSecretName: keys }} }}\n");
    let mut world = world();
    let keys = ["accessKey", "secretKey"].map(|key| (key.to_owned(), b"value".to_vec()));
    world.secrets.insert("keys".to_owned(), keys.into());
    let plan = planned(&harbor(&spec), &world);
    super::fixtures::made(&mut world, &plan);
    let storage = planned(&harbor(&spec), &world).status.storage.unwrap();
    assert_eq!((serde_json::to_value(&storage).unwrap()["type"].as_str(), storage.used_bytes), (Some("S3"), None));
    assert!(!storage.volumes.iter().any(|volume| volume.name == "main-registry-data"));
}
