//! In which order a registry comes to be, and what stays.

use fairway::{
    api::Harbor,
    clients::postgresql::{DatabaseState, Schema},
    harbor::{
        Component, Fact, JobState,
        credentials::Credentials,
        plan::{Effect, Plan},
        world::{Claim, Problem, World},
    },
    reconcile::{
        self,
        family::{Finalizer, Retained},
    },
};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use rstest::rstest;

use super::fixtures::{
    SMALLEST, VERSION, condition, credentials, empty_world, harbor, health, installed, made, names, planned, settled,
    world,
};
use crate::fixtures::now;

fn has(names: &[String], name: &str) -> bool {
    names.iter().any(|known| known == name)
}

#[test]
fn it_comes_stage_by_stage() {
    let (mut resource, mut world) = (harbor(SMALLEST), empty_world());
    let plan = planned(&resource, &world);
    assert!(matches!(&plan.effects[..], [Effect::MakeCredentials { .. }]));
    assert_eq!(names(&plan), [] as [&str; 0], "nothing before its secrets");

    world.credentials = super::fixtures::world().credentials;
    let plan = planned(&resource, &world);
    let first = names(&plan);
    assert!(has(&first, "StatefulSet main-database") && has(&first, "StatefulSet main-cache"), "{first:?}");
    assert!(!first.iter().any(|name| name.starts_with("Job") || name.starts_with("Deployment")), "{first:?}");
    assert_eq!(plan.status.waiting_for, "database has no ready pod yet");

    made(&mut world, &plan);
    let plan = planned(&resource, &world);
    let second = names(&plan);
    let job = second.iter().find(|name| name.starts_with("Job main-migrate-")).expect("a migration").clone();
    assert!(!has(&second, "Deployment main-core"));

    // It runs, while the database has to be waited for: it goes on.
    let key = ("Job".to_owned(), job.replace("Job ", ""));
    world.children.insert(key.clone(), Fact::Job(JobState::Running));
    let down = Fact::Pods { wanted: 1, ready: 0, current: true, pins: None };
    world.children.insert(("StatefulSet".to_owned(), "main-database".to_owned()), down);
    assert!(has(&names(&planned(&resource, &world)), &job));
    made(&mut world, &plan);

    let plan = planned(&resource, &world);
    let third = names(&plan);
    assert!(has(&third, "Deployment main-core") && has(&third, &job) && !has(&third, "Deployment main-registry"));
    assert_eq!(plan.status.version, VERSION);
    resource.status = Some(plan.status.clone());
    made(&mut world, &plan);

    let plan = planned(&resource, &world);
    let last = names(&plan);
    for component in ["registry", "jobservice", "portal"] {
        assert!(has(&last, &format!("Deployment main-{component}")), "{last:?}");
    }
    assert!(
        has(&last, "LoadBalancer main-front") && !has(&last, &job),
        "the migration's end is written down: {last:?}"
    );
    made(&mut world, &plan);
    world.health = Some(Ok(health(&[])));
    let plan = planned(&resource, &world);
    assert_eq!(condition(&plan, "Ready").0, "True/Ready");
    assert_eq!(plan.status.waiting_for, "");
}

#[rstest]
#[case("StatefulSet", "main-database")]
#[case("StatefulSet", "main-cache")]
#[case("Deployment", "main-core")]
fn what_is_made_stays_when_an_earlier_stage_falls_ill(#[case] kind: &str, #[case] name: &str) {
    let (resource, mut world, plan) = settled(SMALLEST);
    let before = names(&plan);
    world
        .children
        .insert((kind.to_owned(), name.to_owned()), Fact::Pods { wanted: 1, ready: 0, current: true, pins: None });
    assert_eq!(names(&planned(&resource, &world)), before);
    world.children.remove(&(kind.to_owned(), name.to_owned()));
    assert_eq!(names(&planned(&resource, &world)), before);
}

#[test]
fn a_lost_status_takes_nothing_away() {
    let (mut resource, mut world, _) = settled(SMALLEST);
    world.children.retain(|(kind, _), _| kind != "Job");
    resource.status = None;
    let plan = planned(&resource, &world);
    assert_eq!(plan.retained, Retained::All);
}

#[test]
fn data_and_secrets_are_never_pruned() {
    let (resource, world, _) = settled(SMALLEST);
    let plan = planned(&resource, &world);
    for name in ["main-database-data", "main-cache-data", "main-registry-data"] {
        assert!(plan.retained.holds("PersistentVolumeClaim", name), "{name}");
    }
    assert!(plan.retained.holds("Secret", "main-credentials"));
    assert!(!plan.retained.holds("Secret", "main-connections"));
}

#[test]
fn an_upgrade_migrates_before_it_replaces_anything() {
    let (mut resource, mut world, _) = settled("externalURL: http://registry.example.com\nversion: 2.14.3\n");
    world.children.retain(|(kind, _), _| kind != "Job");
    resource.spec.version = Some(VERSION.to_owned());
    let plan = planned(&resource, &world);
    let image = |plan, name: &str| {
        let template = super::fixtures::template(plan, name);
        template["spec"]["containers"][0]["image"].as_str().unwrap().to_owned()
    };
    let job = names(&plan).into_iter().find(|name| name.starts_with("Job")).expect("a migration");
    assert_eq!(image(&plan, &job), "docker.io/goharbor/harbor-core:v2.15.2");
    assert_eq!(image(&plan, "Deployment main-core"), "docker.io/goharbor/harbor-core:v2.14.3");
    assert_eq!(condition(&plan, "Ready").0, "True/Ready", "it serves on");
    made(&mut world, &plan);
    let plan = planned(&resource, &world);
    assert_eq!(image(&plan, "Deployment main-core"), "docker.io/goharbor/harbor-core:v2.15.2");
    assert_eq!(image(&plan, "Deployment main-portal"), "docker.io/goharbor/harbor-portal:v2.15.2");
    assert_eq!(plan.status.version, VERSION);
}

#[rstest]
#[case::unknown("2.15.9", "", "UnknownVersion")]
#[case::older("2.14.3", "2.15.2", "DowngradeRefused")]
#[case::too_far("2.15.2", "2.9.1", "NoUpgradePath")]
fn a_version_that_cannot_be_had_touches_nothing(#[case] wanted: &str, #[case] runs: &str, #[case] reason: &str) {
    let spec = format!("{SMALLEST}version: {wanted}\n");
    let plan = planned(&installed(&spec, runs), &world());
    assert_eq!(condition(&plan, "Accepted").0, format!("False/{reason}"));
    assert_eq!((plan.retained, plan.objects.len(), plan.status.version.as_str()), (Retained::All, 0, runs));
}

#[test]
fn a_failed_migration_is_tried_again_after_a_minute() {
    let (resource, mut world) = (harbor(SMALLEST), world());
    let plan = planned(&resource, &world);
    made(&mut world, &plan);
    let plan = planned(&resource, &world);
    let job = names(&plan).into_iter().find(|name| name.starts_with("Job")).expect("a migration");
    let failed = |seconds: i64| {
        let at = Some(now() - jiff::SignedDuration::from_secs(seconds));
        Fact::Job(JobState::Failed { at, message: "BackoffLimitExceeded".to_owned() })
    };
    let key = ("Job".to_owned(), job.replace("Job ", ""));
    world.children.insert(key.clone(), failed(10));
    let plan = planned(&resource, &world);
    assert!(has(&names(&plan), &job), "its logs stay for a while");
    assert_eq!(condition(&plan, "Migrated").0, "False/MigrationFailed");
    assert!(plan.events.iter().any(|event| event.reason == "MigrationFailed" && event.warning));
    world.children.insert(key, failed(60));
    let plan = planned(&resource, &world);
    assert!(!has(&names(&plan), &job) && !plan.retained.holds("Job", &job.replace("Job ", "")), "it makes room");
}

fn state(version: i64, dirty: bool) -> DatabaseState {
    DatabaseState {
        version: 150_018,
        max_connections: 100,
        reserved_connections: 3,
        connection_limit: None,
        read_only: false,
        schema: Some(Schema { version, dirty }),
        size: 1 << 20,
    }
}

#[rstest]
#[case::dirty(state(171, true), "MigrationDirty", "set dirty to false")]
#[case::newer(state(190, false), "SchemaTooNew", "newer than version 2.15.2 knows (180)")]
fn what_a_migration_would_make_worse_is_left_alone(
    #[case] database: DatabaseState,
    #[case] reason: &str,
    #[case] words: &str,
) {
    let (resource, mut world) = (harbor(SMALLEST), world());
    let plan = planned(&resource, &world);
    made(&mut world, &plan);
    world.database = Some(Ok(database));
    let plan = planned(&resource, &world);
    assert!(!names(&plan).iter().any(|name| name.starts_with("Job")), "{:?}", names(&plan));
    let (verdict, message) = condition(&plan, "Migrated");
    assert_eq!(verdict, format!("False/{reason}"));
    assert!(message.contains(words), "{message}");
}

#[test]
fn a_paused_one_is_left_as_it_is() {
    let (mut resource, world, _) = settled(SMALLEST);
    resource.spec.paused = true;
    let plan = planned(&resource, &world);
    assert_eq!((plan.objects.len(), plan.effects.len(), plan.retained), (0, 0, Retained::All));
}

/// A database on a server of somebody's, as it answers.
pub(super) fn answers(schema: Option<Schema>) -> DatabaseState {
    DatabaseState {
        version: 150_018,
        max_connections: 100,
        reserved_connections: 3,
        connection_limit: None,
        read_only: false,
        schema,
        size: 1 << 20,
    }
}

#[test]
fn a_registry_moves_to_another_database_only_with_its_data() {
    let external = |host: &str| {
        format!(
            "{SMALLEST}database: {{ type: External, external: {{ host: {host}, username: harbor, passwordSecretName: db, sslMode: disable }} }}\n"
        )
    };
    let schema = Some(Schema { version: 180, dirty: false });
    let mut resource = installed(&external("one.example.com"), "2.15.2");
    let mut world = world();
    world.secrets.insert("db".to_owned(), [("password".to_owned(), b"secret".to_vec())].into());
    world.database = Some(Ok(answers(schema)));
    for _ in 0..3 {
        let plan = planned(&resource, &world);
        made(&mut world, &plan);
        resource.status = Some(plan.status);
    }
    assert_eq!(resource.status.as_ref().unwrap().database, "one.example.com:5432/registry");

    // Another server, which knows nothing of it, or can't be asked; and none of Fairway's own.
    let other: Harbor = harbor(&external("two.example.com"));
    resource.spec = other.spec;
    for told in [Some(Ok(answers(None))), Some(Err(Problem::new("Unreachable", "nobody listens"))), None] {
        world.database = told;
        let plan = planned(&resource, &world);
        let (verdict, message) = condition(&plan, "Accepted");
        assert_eq!(verdict, "False/DatabaseMoved");
        assert!(message.contains("one.example.com:5432/registry") && message.contains("pg_dump"), "{message}");
        assert_eq!((plan.objects.len(), plan.retained), (0, Retained::All), "nothing is touched");
        assert_eq!(plan.status.database, "one.example.com:5432/registry");
    }

    // With its data there: core first, then jobservice, which asks core where the database is.
    world.database = Some(Ok(answers(schema)));
    let plan = planned(&resource, &world);
    assert_eq!(condition(&plan, "Accepted").0, "True/Accepted");
    assert!(plan.retained.holds("Deployment", "main-jobservice"));
    assert!(!names(&plan).contains(&"Deployment main-jobservice".to_owned()));
    assert_eq!(plan.status.database, "one.example.com:5432/registry", "until core is there");
    made(&mut world, &plan);
    let plan = planned(&resource, &world);
    assert!(names(&plan).contains(&"Deployment main-jobservice".to_owned()));
    assert_eq!(plan.status.database, "two.example.com:5432/registry");
    assert_eq!(condition(&plan, "RolledOut").0, "False/RollingOut", "jobservice is behind");
}

#[test]
fn a_database_that_lost_its_schema_is_told() {
    let (resource, mut world, _) = settled(SMALLEST);
    world.database = Some(Ok(answers(None)));
    let plan = planned(&resource, &world);
    assert_eq!(condition(&plan, "Migrated").0, "False/DatabaseEmpty");
    assert_eq!(condition(&plan, "Ready").0, "False/DatabaseEmpty");
    assert!(!names(&plan).iter().any(|name| name.starts_with("Job")), "nothing is migrated into it");
}

#[test]
fn what_was_lost_of_credentials_is_not_made_up() {
    let (resource, mut world, _) = settled(SMALLEST);
    let all = credentials();
    let left = ["csrfKey", "coreSecret", "jobserviceSecret", "registrySecret", "tokenKey", "databasePassword"];
    let left = left.map(|key| (key.to_owned(), all.get(key).as_bytes().to_vec()));
    world.credentials = Some(Credentials::read(left.into()));
    let plan = planned(&resource, &world);
    assert_eq!(condition(&plan, "ResolvedRefs").0, "False/CredentialsIncomplete");
    assert!(plan.effects.is_empty() && plan.objects.is_empty());
}

#[test]
fn databases_of_another_server_are_never_emptied() {
    let spec =
        format!("{SMALLEST}className: small\ncache: {{ type: Shared, serverName: main }}\ndeletionPolicy: Delete\n");
    let mut resource = installed(&spec, "2.15.2");
    resource.metadata.deletion_timestamp = Some(Time(now()));
    resource.metadata.finalizers = Some(vec![reconcile::finalizer("harbor")]);
    let class = "cacheServers: [{ name: main, host: b.example.com, administratorSecretName: root }]\n";
    let mut world = world();
    world.class = Some(serde_saphyr::from_str(class).unwrap());
    let dropped = |world: &World| match &planned(&resource, world).effects[..] {
        [Effect::DropShared { cache, .. }] => cache.as_ref().map(|(_, databases)| *databases),
        other => panic!("{other:?}"),
    };
    world.claim = Some(Claim { server: "b.example.com:6379".to_owned(), databases: [1, 2, 3, 4] });
    assert_eq!(dropped(&world), Some([1, 2, 3, 4]));
    world.claim = Some(Claim { server: "a.example.com:6379".to_owned(), databases: [1, 2, 3, 4] });
    assert_eq!(dropped(&world), None, "they are somebody else's");

    // Without its class nobody knows where its parts are: it stays until somebody says.
    world.class = None;
    let plan = planned(&resource, &world);
    assert_eq!((plan.finalizer, condition(&plan, "Accepted").0.as_str()), (Finalizer::Held, "False/ClassNotFound"));
}

#[rstest]
#[case("Retain", Finalizer::Released, &[])]
#[case("Delete", Finalizer::Held, &[
    "PersistentVolumeClaim main-database-data", "PersistentVolumeClaim main-cache-data",
    "PersistentVolumeClaim main-registry-data", "Secret main-credentials",
])]
fn the_policy_decides_what_outlives_it(#[case] policy: &str, #[case] finalizer: Finalizer, #[case] goes: &[&str]) {
    let (mut resource, world, plan) = settled(&format!("{SMALLEST}deletionPolicy: {policy}\n"));
    let keep = |plan: &Plan, name: &str| {
        let labels = super::fixtures::object(plan, name).metadata.labels.clone().unwrap_or_default();
        labels.get("fairway.dev/keep").is_some_and(|keep| keep == "true")
    };
    for name in ["Secret main-credentials", "PersistentVolumeClaim main-database-data"] {
        assert!(keep(&plan, name), "{name} is nobody's while the registry lives");
    }
    assert_eq!(plan.finalizer, finalizer);
    resource.metadata.deletion_timestamp = Some(Time(now()));
    let end = planned(&resource, &world);
    assert_eq!((end.finalizer, names(&end)), (Finalizer::Released, goes.iter().map(ToString::to_string).collect()));
    assert!(goes.iter().all(|name| !keep(&end, name)), "they go with it");
}

/// What can't be told to be on no shared server is waited with; all else may go.
#[rstest]
#[case::its_own("", "Managed", Finalizer::Released)]
#[case::external(
    "database: { type: External, external: { host: db, username: u, passwordSecretName: p } }\n",
    "",
    Finalizer::Released
)]
#[case::unknown("", "db.shared:5432/harbor_main", Finalizer::Held)]
fn one_without_its_class_goes_if_it_shares_nothing(#[case] spec: &str, #[case] runs_on: &str, #[case] end: Finalizer) {
    let (mut resource, world, _) = settled(&format!("{SMALLEST}deletionPolicy: Delete\n"));
    resource.spec =
        serde_saphyr::from_str(&format!("{SMALLEST}{spec}deletionPolicy: Delete\nclassName: gone\n")).unwrap();
    resource.status.as_mut().unwrap().database = runs_on.to_owned();
    assert_eq!(planned(&resource, &world).finalizer, Finalizer::Held, "it has data");
    assert_eq!(planned(&resource, &empty_world()).finalizer, Finalizer::Released, "it never had any");
    resource.metadata.deletion_timestamp = Some(Time(now()));
    resource.metadata.finalizers = Some(vec![reconcile::finalizer("harbor")]);
    let plan = planned(&resource, &world);
    assert_eq!((plan.finalizer, plan.objects.is_empty()), (end, end == Finalizer::Held));
}

#[test]
fn a_migration_that_cannot_start_is_made_anew_when_its_cause_is_mended() {
    let (mut resource, mut world) = (harbor(SMALLEST), world());
    let plan = planned(&resource, &world);
    made(&mut world, &plan);
    let job = |plan: &_| names(plan).into_iter().find(|name| name.starts_with("Job")).expect("a migration");
    let plan = planned(&resource, &world);
    let stuck = job(&plan).replace("Job ", "");
    world.children.insert(("Job".to_owned(), stuck.clone()), Fact::Job(JobState::Running));
    let smaller = "components: { core: { resources: { requests: { cpu: 10m, memory: 64Mi } } } }";
    resource.spec = serde_saphyr::from_str(&format!("{SMALLEST}{smaller}\n")).unwrap();
    let plan = planned(&resource, &world);
    let fresh = job(&plan).replace("Job ", "");
    assert_ne!(fresh, stuck, "a template can't be changed");
    assert!(plan.retained.holds("Job", &stuck), "it may be at work");
    world.children.insert(("Job".to_owned(), fresh), Fact::Job(JobState::Complete));
    resource.status = Some(planned(&resource, &world).status);
    assert!(planned(&resource, &world).retained.holds("Job", &stuck), "one that is at work is not cut off");
    world.pods.insert(Component::Migrate, "pod main-migrate finds no node".to_owned());
    assert!(!planned(&resource, &world).retained.holds("Job", &stuck), "what it was for is done");
}
