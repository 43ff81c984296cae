//! What is said of what can't be used, and what to do about it.

use fairway::{
    api::{ConnectionBudget, Harbor, HarborClassSpec, HarborStatus},
    clients::postgresql::DatabaseState,
    harbor::{
        Fact,
        plan::Effect,
        world::{Problem, Shared, World},
    },
    reconcile::family::Retained,
};
use rstest::rstest;

use super::fixtures::{
    SMALLEST, condition, credentials, empty_world, harbor, health, installed, made, names, planned, settled, world,
};

const EXTERNAL: &str = "
externalURL: http://registry.example.com
database: { type: External, external: { host: db.example.com, username: harbor, passwordSecretName: db, sslMode: disable } }
";
const S3: &str = "
externalURL: http://registry.example.com
storage: { type: S3, s3: { bucket: images, credentialsSecretName: keys } }
";

fn secret(world: &mut World, name: &str, keys: &[&str]) {
    let data = keys.iter().map(|key| ((*key).to_owned(), b"value".to_vec())).collect();
    world.secrets.insert(name.to_owned(), data);
}

#[rstest]
#[case::database(EXTERNAL, "db", &["password"])]
#[case::storage(S3, "keys", &["accessKey", "secretKey"])]
#[case::certificate(
    "externalURL: https://registry.example.com\nexposure: { tls: { secretName: front } }",
    "front",
    &["tls.crt", "tls.key"]
)]
fn a_secret_that_is_missing_is_told_and_nothing_destroyed(
    #[case] spec: &str,
    #[case] name: &str,
    #[case] keys: &[&str],
) {
    let (resource, mut world) = (harbor(spec), world());
    let plan = planned(&resource, &world);
    let (verdict, message) = condition(&plan, "ResolvedRefs");
    assert_eq!(verdict, "False/SecretNotFound");
    assert!(message.contains(&format!("Secret {name:?}, which does not exist; create it")), "{message}");
    assert_eq!((plan.retained, plan.objects.len()), (Retained::All, 0));

    secret(&mut world, name, &keys[1..]);
    let plan = planned(&resource, &world);
    assert_eq!(condition(&plan, "ResolvedRefs").0, "False/InvalidSecret");

    secret(&mut world, name, keys);
    assert_eq!(condition(&planned(&resource, &world), "ResolvedRefs").0, "True/ResolvedRefs");
}

#[test]
fn an_external_database_is_waited_for_with_its_own_words() {
    let (resource, mut world) = (harbor(EXTERNAL), world());
    secret(&mut world, "db", &["password"]);
    let cache = ("StatefulSet".to_owned(), "main-cache".to_owned());
    world.children.insert(cache, Fact::Pods { wanted: 1, ready: 1, current: true, pins: None });
    world.database = Some(Err(Problem::new("DatabasePasswordRefused", "the server refuses the password")));
    let plan = planned(&resource, &world);
    let words = "the server refuses the password; the password is that of Secret \"db\": put the right one there";
    for kind in ["DatabaseReady", "Ready"] {
        assert_eq!(condition(&plan, kind), ("False/DatabasePasswordRefused".into(), words.into()));
    }
    assert!(!names(&plan).iter().any(|name| name.starts_with("Job")));
    assert!(plan.events.iter().any(|event| event.reason == "DatabasePasswordRefused"));
}

#[test]
fn credentials_that_were_lost_are_not_made_up_anew() {
    let plan = planned(&installed(SMALLEST, "2.15.2"), &empty_world());
    let (verdict, message) = condition(&plan, "ResolvedRefs");
    assert_eq!(verdict, "False/CredentialsLost");
    assert!(message.contains("restore it from a backup"), "{message}");
    assert!(plan.effects.is_empty());

    // A registry that is made again over a volume that was kept.
    let mut world = empty_world();
    let volume = Fact::Volume { requested: 1, capacity: None, class: None, uid: "".into() };
    world.children.insert(("PersistentVolumeClaim".to_owned(), "main-database-data".to_owned()), volume);
    assert_eq!(condition(&planned(&harbor(SMALLEST), &world), "ResolvedRefs").0, "False/CredentialsLost");
}

#[test]
fn credentials_that_harbor_would_fail_with_later_are_refused() {
    let mut world = world();
    let data = [("secretKey".to_owned(), b"short".to_vec())].into();
    world.credentials = Some(fairway::harbor::credentials::Credentials::read(data));
    let plan = planned(&harbor(SMALLEST), &world);
    let (verdict, message) = condition(&plan, "ResolvedRefs");
    assert_eq!(verdict, "False/InvalidCredentials");
    assert!(message.contains("secretKey must have exactly 16 characters and has 5"), "{message}");
    assert!(plan.effects.is_empty(), "what is there stays as it is");
}

#[test]
fn health_comes_from_what_harbor_says_and_not_from_pods() {
    let (resource, mut world, plan) = settled(SMALLEST);
    assert_eq!(condition(&plan, "Healthy").0, "True/Healthy");
    world.health = Some(Ok(health(&[("jobservice", "connection refused")])));
    let plan = planned(&resource, &world);
    let (verdict, message) = condition(&plan, "Ready");
    assert_eq!(verdict, "False/Unhealthy");
    assert!(message.contains("jobservice (connection refused)"), "{message}");
    let row = plan.status.components.iter().find(|row| row.name == "jobservice").unwrap();
    assert_eq!((row.health.as_str(), row.ready_replicas, row.message.as_str()), ("unhealthy", 1, "connection refused"));
    world.health = Some(Err(Problem::new("Unreachable", "nobody listens")));
    assert_eq!(condition(&planned(&resource, &world), "Ready").0, "False/Unreachable");
}

#[test]
fn a_change_is_rolled_out_when_all_pods_are_of_it() {
    let (mut resource, mut world, plan) = settled(SMALLEST);
    assert_eq!(condition(&plan, "RolledOut").0, "True/RolledOut");

    // Told in the very turn that asks for other pods, and for more.
    for (change, who) in [("components: { core: { replicas: 2 } }", "core"), ("logLevel: Debug", "core, ")] {
        resource.spec = serde_saphyr::from_str(&format!("{SMALLEST}{change}\n")).unwrap();
        let plan = planned(&resource, &world);
        let (verdict, message) = condition(&plan, "RolledOut");
        assert_eq!(verdict, "False/RollingOut", "{change}");
        assert!(message.contains(&format!(": {who}")), "{message}");
        assert_eq!(condition(&plan, "Ready").0, "True/Ready", "it serves on");
        assert!(plan.events.is_empty(), "{:?}", plan.events);

        let mut paused = resource.clone();
        paused.spec.paused = true;
        assert_eq!(condition(&planned(&paused, &world), "RolledOut").0, "False/Paused");

        made(&mut world, &plan);
        assert_eq!(condition(&planned(&resource, &world), "RolledOut").0, "True/RolledOut");
        let core = world.children.get_mut(&("Deployment".to_owned(), "main-core".to_owned())).unwrap();
        let Fact::Pods { current, .. } = core else { panic!("{core:?}") };
        *current = false;
        assert_eq!(condition(&planned(&resource, &world), "RolledOut").0, "False/RollingOut", "Kubernetes is at it");
        made(&mut world, &plan);
    }
}

#[test]
fn an_upgrade_is_not_rolled_out_while_the_database_is_migrated() {
    let (mut resource, world, plan) = settled(&format!("{SMALLEST}version: 2.14.3\n"));
    assert_eq!(condition(&plan, "RolledOut").0, "True/RolledOut");
    resource.spec = serde_saphyr::from_str(&format!("{SMALLEST}version: 2.15.2\n")).unwrap();
    let plan = planned(&resource, &world);
    assert_eq!(plan.status.version, "2.14.3");
    let (verdict, message) = condition(&plan, "RolledOut");
    assert_eq!(verdict, "False/RollingOut");
    assert!(message.contains("2.15.2"), "{message}");
}

#[rstest]
#[case::too_many(20, "ConnectionBudgetExceeded")]
fn connections_never_exceed_what_the_database_has(#[case] replicas: i32, #[case] reason: &str) {
    let spec = format!("{SMALLEST}components: {{ core: {{ replicas: {replicas} }} }}\n");
    let plan = planned(&harbor(&spec), &world());
    assert_eq!(condition(&plan, "Accepted").0, format!("False/{reason}"));
}

#[test]
fn the_budget_is_shown_and_kept() {
    for replicas in 1..=6 {
        let spec = format!("{SMALLEST}components: {{ core: {{ replicas: {replicas} }}, exporter: {{}} }}\n");
        let (_, _, plan) = settled(&spec);
        let budget = plan.status.connections.unwrap();
        assert!(budget.per_pod * budget.pods <= budget.usable, "{budget:?}");
        assert_eq!(budget.pods, replicas + 1 + 2 + 2);
    }
}

#[test]
fn a_class_gives_what_the_registry_does_not_say() {
    let class: HarborClassSpec = serde_saphyr::from_str(
        "versions: [2.14.3]\nimageRepository: mirror.example.com/harbor\ncomponents: { portal: { replicas: 2 } }",
    )
    .unwrap();
    let resource = harbor(&format!("{SMALLEST}className: small\n"));
    let plan = planned(&resource, &world());
    assert_eq!(condition(&plan, "Accepted").0, "False/ClassNotFound");
    let mut world = world();
    world.class = Some(class);
    let plan = planned(&resource, &world);
    super::fixtures::made(&mut world, &plan);
    let plan = planned(&resource, &world);
    let job = names(&plan).into_iter().find(|name| name.starts_with("Job")).unwrap();
    let template = super::fixtures::template(&plan, &job);
    assert_eq!(template["spec"]["containers"][0]["image"], "mirror.example.com/harbor/harbor-core:v2.14.3");
    let other = harbor(&format!("{SMALLEST}className: small\nversion: 2.15.2\n"));
    assert_eq!(condition(&planned(&other, &world), "Accepted").0, "False/VersionNotOffered");
}

#[test]
fn on_shared_servers_each_has_its_own() {
    let class = "
databaseServers: [{ name: db, host: db.shared, administratorSecretName: db-admin }]
cacheServers: [{ name: redis, host: redis.shared, administratorSecretName: redis-admin, databases: 64 }]
database: { type: Shared, serverName: db }
cache: { type: Shared, serverName: redis }
";
    let mut world = world();
    world.class = Some(serde_saphyr::from_str(class).unwrap());
    let resource = harbor(&format!("{SMALLEST}className: shared\ndeletionPolicy: Delete\n"));
    let plan = planned(&resource, &world);
    let [Effect::EnsureDatabase { credentials: own, .. }, Effect::ClaimDatabases { .. }] = &plan.effects[..] else {
        panic!("{:?}", plan.effects)
    };
    assert_eq!(*own, credentials());
    assert!(!names(&plan).iter().any(|name| name.starts_with("StatefulSet")), "{:?}", names(&plan));
    world.claim = fairway::harbor::world::Claim::parse("redis.shared:6379=9,10,11,12");
    let plan = planned(&resource, &world);
    assert!(matches!(&plan.effects[1], Effect::EnsureCacheUser { databases: [9, 10, 11, 12], .. }));
    assert_eq!(plan.status.redis_databases.unwrap().jobservice, 10);
    assert_eq!(plan.finalizer, fairway::reconcile::family::Finalizer::Held);

    let mut leaving = resource.clone();
    leaving.metadata.deletion_timestamp =
        Some(k8s_openapi::apimachinery::pkg::apis::meta::v1::Time(crate::fixtures::now()));
    let plan = planned(&leaving, &world);
    assert!(matches!(&plan.effects[..], [Effect::DropShared { database: Some(_), cache: Some(_) }]));
    world.dropped = true;
    assert_eq!(planned(&leaving, &world).finalizer, fairway::reconcile::family::Finalizer::Released);
}

#[test]
fn a_shared_database_gives_what_the_class_says_and_the_server_has() {
    let mut world = world();
    let class = "
databaseServers: [{ name: db, host: db.shared, administratorSecretName: db-admin, connectionsPerRegistry: 40 }]
database: { type: Shared, serverName: db }
";
    world.class = Some(serde_saphyr::from_str(class).unwrap());
    let mut resource = harbor(&format!("{SMALLEST}className: shared\n"));
    let usable = |resource: &Harbor, world: &World| {
        let plan = planned(resource, world);
        (plan.status.connections.map(|budget| budget.usable), plan.effects.len())
    };
    assert_eq!(usable(&resource, &world), (Some(40), 1));
    // The class gave less before: that does not keep it from what it gives now.
    let before = ConnectionBudget { usable: 5, pods: 4, per_pod: 1 };
    resource.status = Some(HarborStatus { connections: Some(before), ..HarborStatus::default() });
    assert_eq!(usable(&resource, &world), (Some(40), 1));
    world.ensured.insert(Shared::Database);
    for (max_connections, expected) in [(200, 40), (33, 30)] {
        world.database = Some(Ok(DatabaseState {
            version: 150_018,
            max_connections,
            reserved_connections: 3,
            connection_limit: Some(40),
            read_only: false,
            schema: None,
            size: 1 << 20,
        }));
        assert_eq!(usable(&resource, &world), (Some(expected), 0));
    }
}

#[test]
fn a_volume_neither_shrinks_nor_changes_its_class() {
    let spec = "
externalURL: http://registry.example.com
storage: { filesystem: { volume: { size: 1Gi, className: fast } } }
";
    let (resource, mut world, _) = settled(spec);
    let volume =
        Fact::Volume { requested: 2 << 30, capacity: Some(2 << 30), class: Some("slow".to_owned()), uid: "".into() };
    world.children.insert(("PersistentVolumeClaim".to_owned(), "main-registry-data".to_owned()), volume);
    let plan = planned(&resource, &world);
    let claim = &super::fixtures::object(&plan, "PersistentVolumeClaim main-registry-data").data["spec"];
    assert_eq!(claim["resources"]["requests"]["storage"], (2_u64 << 30).to_string());
    assert_eq!(claim["storageClassName"], "slow");
    let (verdict, message) = condition(&plan, "VolumesAsAsked");
    assert_eq!(verdict, "False/CannotChange");
    assert!(message.contains("can't shrink to 1Gi"), "{message}");
}

#[test]
fn settings_of_harbor_are_changed_while_it_runs() {
    let spec = format!("{SMALLEST}configuration: {{ robot_token_duration: '30', read_only: 'false' }}\n");
    let (resource, mut world, before) = settled(&spec);
    assert_eq!(condition(&before, "Configured").0, "False/NotAsked");
    world.core = Some("http://10.96.0.10:80".to_owned());
    let known = [("robot_token_duration", 7.into()), ("read_only", false.into()), ("auth_mode", "db_auth".into())];
    world.configuration = Some(Ok(known.map(|(name, value)| (name.to_owned(), value)).into()));
    let plan = planned(&resource, &world);
    let [Effect::Configure { settings, .. }] = &plan.effects[..] else { panic!("{:?}", plan.effects) };
    assert_eq!(settings.keys().collect::<Vec<_>>(), ["robot_token_duration"]);
    assert_eq!(condition(&plan, "Configured").0, "False/NotConfigured");
    assert_eq!(names(&plan), names(&before), "no pod is replaced for it");
    world.configuration.as_mut().unwrap().as_mut().unwrap().insert("robot_token_duration".to_owned(), 30.into());
    let plan = planned(&resource, &world);
    assert_eq!((plan.effects.len(), condition(&plan, "Configured").0.as_str()), (0, "True/Configured"));
    let wrong = harbor(&format!("{SMALLEST}configuration: {{ auth_mode: db_auth }}\n"));
    assert_eq!(condition(&planned(&wrong, &world), "Accepted").0, "False/InvalidConfiguration");
}

const PAGE: &str = include_str!("../../../docs/harbor.md");

#[test]
fn every_example_of_the_page_is_accepted() {
    let examples: Vec<&str> = PAGE.split("```yaml\n").skip(1).map(|rest| rest.split("```").next().unwrap()).collect();
    assert!(examples.len() > 3, "the page has examples");
    for example in examples {
        let (resource, mut world) = if example.starts_with("apiVersion") {
            let class: serde_json::Value = serde_saphyr::from_str(example).unwrap();
            let class = serde_json::from_value(class["spec"].clone()).unwrap();
            (harbor(&format!("{SMALLEST}className: small\n")), World { class: Some(class), ..world() })
        } else {
            (harbor(example), world())
        };
        secret(&mut world, "registry-example", &["tls.crt", "tls.key"]);
        secret(&mut world, "harbor-db", &["password"]);
        secret(&mut world, "harbor-s3", &["accessKey", "secretKey"]);
        secret(&mut world, "harbor-swift", &["username", "password"]);
        world.cert_manager = Some(true);
        let issued = Fact::Issuance { ready: true, message: String::new() };
        world.children.insert(("Certificate".to_owned(), "main-front".to_owned()), issued);
        let plan = planned(&resource, &world);
        for kind in ["Accepted", "ResolvedRefs"] {
            assert!(condition(&plan, kind).0.starts_with("True"), "{example}: {:?}", condition(&plan, kind));
        }
    }
}
