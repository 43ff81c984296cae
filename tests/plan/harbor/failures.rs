//! What fails under a registry that runs: it is told in words that say what to do, and nothing is taken away.

use fairway::{
    clients::postgresql::{DatabaseState, Schema},
    harbor::{Component, Fact, world::Problem},
    reconcile::family::Retained,
};
use rstest::rstest;

use super::fixtures::{SMALLEST, condition, harbor, installed, made, names, object, planned, settled, world};

const S3: &str = "
externalURL: http://registry.example.com
storage: { type: S3, s3: { bucket: images, endpoint: 'http://s3.example.com', credentialsSecretName: keys } }
";

fn refused(reason: &'static str) -> Problem {
    Problem::new(reason, "the registry can't write to its storage: {}")
}

#[rstest]
#[case::volume(SMALLEST, "StorageFull", &["volume main-registry-data is full", "raise storage.filesystem.volume.size"])]
#[case::bucket(
    S3,
    "StorageRefuses",
    &["bucket \"images\" exists at http://s3.example.com", "Secret \"keys\"", "the log of the registry's pod"]
)]
#[case::away(SMALLEST, "RegistryUnreachable", &["can't write to its storage"])]
fn storage_that_takes_nothing_is_told(#[case] spec: &str, #[case] reason: &'static str, #[case] words: &[&str]) {
    let (mut resource, mut world, before) = settled(SMALLEST);
    assert_eq!(condition(&before, "StorageReady").0, "False/NotAsked");
    assert_eq!(condition(&before, "Ready").0, "True/Ready", "it is not known to be bad");
    resource.spec = harbor(spec).spec;
    let keys = ["accessKey", "secretKey"].map(|key| (key.to_owned(), b"value".to_vec()));
    world.secrets.insert("keys".to_owned(), keys.into());
    world.storage = Some(Ok(()));
    let well = planned(&resource, &world);
    assert_eq!(condition(&well, "StorageReady").0, "True/StorageReady");

    world.storage = Some(Err(refused(reason)));
    let plan = planned(&resource, &world);
    for kind in ["StorageReady", "Ready"] {
        let (verdict, message) = condition(&plan, kind);
        assert_eq!(verdict, format!("False/{reason}"));
        assert!(words.iter().all(|word| message.contains(word)), "{message}");
    }
    assert_eq!(names(&plan), names(&well), "what runs runs on");
    assert!(plan.events.iter().any(|event| event.reason == reason && event.warning));
}

#[test]
fn a_registry_that_swift_does_not_let_in_says_why() {
    let spec = "
externalURL: http://registry.example.com
storage: { type: Swift, swift: { authURL: 'http://keystone.example.com/v3', container: images, credentialsSecretName: keys } }
";
    let (resource, mut world) = (installed(spec, "2.15.2"), world());
    let keys = ["username", "password"].map(|key| (key.to_owned(), b"value".to_vec()));
    world.secrets.insert("keys".to_owned(), keys.into());
    let plan = planned(&resource, &world);
    made(&mut world, &plan);
    let registry = ("Deployment".to_owned(), "main-registry".to_owned());
    world.children.insert(registry, Fact::Pods { wanted: 1, ready: 0, current: true, pins: None });
    let why = "pod main-registry-0, registry: ended with 2: panic: swift authentication failed: Authorization Failed";
    world.pods.insert(Component::Registry, why.to_owned());
    let (verdict, message) = condition(&planned(&resource, &world), "StorageReady");
    assert_eq!(verdict, "False/StorageRefuses");
    let words =
        ["container \"images\" exists at http://keystone.example.com/v3", "Secret \"keys\"", "Authorization Failed"];
    assert!(words.iter().all(|word| message.contains(word)), "{message}");
}

#[test]
fn a_database_that_was_left_dirty_is_told_of_a_registry_that_ran() {
    let (resource, mut world, before) = settled(SMALLEST);
    world.children.retain(|(kind, _), _| kind != "Job");
    let state = |dirty| DatabaseState {
        version: 150_018,
        max_connections: 100,
        reserved_connections: 3,
        connection_limit: None,
        read_only: false,
        schema: Some(Schema { version: 180, dirty }),
        size: 1 << 20,
    };
    world.database = Some(Ok(state(true)));
    let core = ("Deployment".to_owned(), "main-core".to_owned());
    world.children.insert(core.clone(), Fact::Pods { wanted: 1, ready: 0, current: true, pins: None });
    world.health = Some(Err(Problem::new("HarborUnreachable", "nobody listens")));
    let plan = planned(&resource, &world);
    for kind in ["Migrated", "Ready"] {
        let (verdict, message) = condition(&plan, kind);
        assert_eq!(verdict, "False/MigrationDirty");
        assert!(message.contains("set dirty to false in schema_migrations"), "{message}");
    }
    assert!(!names(&plan).iter().any(|name| name.starts_with("Job")), "{:?}", names(&plan));
    assert!(names(&before).iter().filter(|name| !name.starts_with("Job")).all(|name| names(&plan).contains(name)));
    world.database = Some(Ok(state(false)));
    assert_eq!(condition(&planned(&resource, &world), "Migrated").0, "True/Migrated");
}

#[rstest]
#[case::full(
    "pod main-database-0, postgresql: ended with 1: could not write: No space left on device",
    "False/VolumeFull",
    "enlarge volume main-database-data"
)]
#[case::lost("pod main-database-0 is on node a, which is not heard of", "False/Starting", "is not heard of")]
fn a_server_that_does_not_run_says_why(#[case] why: &str, #[case] verdict: &str, #[case] words: &str) {
    let (resource, mut world) = (installed(SMALLEST, "2.15.2"), world());
    let plan = planned(&resource, &world);
    made(&mut world, &plan);
    let database = ("StatefulSet".to_owned(), "main-database".to_owned());
    world.children.insert(database, Fact::Pods { wanted: 1, ready: 0, current: true, pins: None });
    world.pods.insert(Component::Database, why.to_owned());
    let plan = planned(&resource, &world);
    for kind in ["DatabaseReady", "Ready"] {
        let (seen, message) = condition(&plan, kind);
        assert_eq!(seen, verdict, "{message}");
        assert!(message.contains(words), "{message}");
    }
}

#[rstest]
#[case::full(
    "the Redis server 10.96.0.10:6379 takes no writes, since it can't save them: Errors writing to the AOF file: No space left on device",
    "CacheCannotSave",
    "VolumeFull",
    &["cache takes no writes", "enlarge volume main-cache-data by cache.managed.volume.size"]
)]
#[case::broken("it can't save them: Input/output error", "CacheCannotSave", "CacheCannotSave", &["Input/output error"])]
#[case::not_reached("nobody listens", "CacheUnreachable", "", &[])]
fn a_cache_that_takes_no_writes_is_told(
    #[case] why: &str,
    #[case] seen: &'static str,
    #[case] reason: &str,
    #[case] words: &[&str],
) {
    let (resource, mut world, before) = settled(SMALLEST);
    world.cache = Some(Err(Problem::new(seen, why)));
    let plan = planned(&resource, &world);
    assert_eq!(names(&plan), names(&before), "what runs runs on");
    for kind in ["CacheReady", "Ready"] {
        let (verdict, message) = condition(&plan, kind);
        let expected = if reason.is_empty() { format!("True/{kind}") } else { format!("False/{reason}") };
        assert_eq!(verdict, expected);
        assert!(words.iter().all(|word| message.contains(word)), "{message}");
    }
    assert_eq!(plan.events.iter().any(|event| event.reason == reason && event.warning), !reason.is_empty());
    world.cache = None;
    assert_eq!(condition(&planned(&resource, &world), "Ready").0, "True/Ready");
}

#[test]
fn a_program_without_a_pod_is_told_before_harbor_says_so() {
    let (resource, mut world, before) = settled(SMALLEST);
    assert_eq!(condition(&before, "Ready").0, "True/Ready");
    let registry = ("Deployment".to_owned(), "main-registry".to_owned());
    world.children.insert(registry, Fact::Pods { wanted: 1, ready: 0, current: true, pins: None });
    world.pods.insert(Component::Registry, "pod main-registry-1 is on node a, which is not heard of".to_owned());
    let (verdict, message) = condition(&planned(&resource, &world), "Ready");
    assert_eq!(verdict, "False/Starting");
    assert!(message.contains("not heard of"), "{message}");
}

const CLAIM: &str = "PersistentVolumeClaim";

#[rstest]
#[case::database("main-database-data", Some("DatabaseReady"))]
#[case::images("main-registry-data", Some("StorageReady"))]
#[case::what_is_made_again("main-cache-data", None)]
fn nothing_empty_is_made_in_place_of_data(#[case] name: &str, #[case] told_in: Option<&str>) {
    let (mut resource, mut world, whole) = settled(SMALLEST);
    let place = (CLAIM.to_owned(), name.to_owned());
    world.children.remove(&place).unwrap();
    world.ending.insert(place.clone());
    let ending = planned(&resource, &world);
    assert!(!names(&ending).contains(&format!("{CLAIM} {name}")), "it might be made anew at its very end");
    assert!(ending.retained.holds(CLAIM, name) && !names(&ending).is_empty(), "its end is waited for");
    resource.status = Some(ending.status);
    world.ending.clear();
    for _ in 0..3 {
        let plan = planned(&resource, &world);
        let Some(told_in) = told_in else {
            assert!(names(&plan).contains(&format!("{CLAIM} {name}")), "it is made again");
            return;
        };
        assert_eq!((plan.objects.len(), plan.effects.len(), &plan.retained), (0, 0, &Retained::All));
        for kind in [told_in, "Ready"] {
            let (verdict, message) = condition(&plan, kind);
            assert_eq!(verdict, "False/VolumeLost");
            assert!(message.contains(name) && message.contains("app.kubernetes.io/instance=main"), "{message}");
        }
        assert_eq!(plan.status.conditions.iter().filter(|one| one.type_ == told_in).count(), 1);
        resource.status = Some(plan.status);
    }
    let uid = "its own".into();
    world.children.insert(place, Fact::Volume { requested: 5 << 30, capacity: None, class: None, uid });
    let plan = planned(&resource, &world);
    let claim = object(&plan, &format!("{CLAIM} {name}"));
    assert_eq!(claim.metadata.uid.as_deref(), Some("its own"), "were it gone now, none would be made");
    assert_eq!(names(&plan), names(&whole), "with a claim of that name it goes on");
    assert_ne!(condition(&plan, "Ready").0, "False/VolumeLost");
}

#[test]
fn a_volume_that_never_was_is_made() {
    let claim = format!("{CLAIM} main-registry-data");
    // The version was not reached yet.
    let (mut resource, mut world, _) = settled(SMALLEST);
    world.children.remove(&(CLAIM.to_owned(), "main-database-data".to_owned()));
    resource.status.as_mut().unwrap().version = String::new();
    assert!(names(&planned(&resource, &world)).contains(&format!("{CLAIM} main-database-data")));

    // Images were in a bucket, before or after they were on a volume.
    let (mut resource, mut world, plan) = settled(SMALLEST);
    assert!(names(&plan).contains(&claim));
    let keys = ["accessKey", "secretKey"].map(|key| (key.to_owned(), b"key".to_vec()));
    world.secrets.insert("keys".to_owned(), keys.into());
    resource.spec = serde_saphyr::from_str(S3).unwrap();
    world.children.remove(&(CLAIM.to_owned(), "main-registry-data".to_owned()));
    let plan = planned(&resource, &world);
    assert!(!names(&plan).contains(&claim) && !names(&plan).is_empty(), "{:?}", plan.status.conditions);
    resource.status = Some(plan.status);
    resource.spec = serde_saphyr::from_str(SMALLEST).unwrap();
    assert!(names(&planned(&resource, &world)).contains(&claim));
}
