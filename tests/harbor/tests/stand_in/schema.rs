//! The schema: made, led further, and refused where it must not be touched.

use crate::ground::{DATABASE_PASSWORD, Ground};
use crate::harbor::{Environment, core_environment, start};

/// Runs core in a mode that ends, or that is refused, and tells its exit code and the end of its log.
async fn core(ground: &Ground, mode: &str, change: impl FnOnce(&mut Environment)) -> (i32, String) {
    let mut environment = core_environment(ground);
    change(&mut environment);
    let mut process = start(ground, "harbor_core", &[mode], &environment);
    let code = process.ends().await;
    (code, process.log().lines().last().unwrap_or_default().to_owned())
}

async fn refused(ground: &Ground, mode: &str, why: &str, change: impl FnOnce(&mut Environment)) {
    let (code, last) = core(ground, mode, change).await;
    assert_eq!(code, 1, "{last}");
    assert!(last.contains(why), "{why:?} is not said: {last}");
}

async fn version(ground: &Ground) -> (i64, bool) {
    let database = ground.database("registry").await;
    let row = database.query_one("SELECT version, dirty FROM schema_migrations", &[]).await.expect("one row");
    (row.get(0), row.get(1))
}

fn played(version: &'static str) -> impl FnOnce(&mut Environment) {
    move |environment| {
        environment.insert("HARBOR_STAND_IN_VERSION", version.to_owned());
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_schema_goes_up_and_never_down() {
    let ground = Ground::without_registry().await;
    refused(&ground, "-mode=skip-migrate", "no schema", |_| {}).await;
    assert_eq!(core(&ground, "-mode=migrate", played("v2.14.3")).await.0, 0);
    assert_eq!(version(&ground).await, (171, false));
    refused(&ground, "-mode=skip-migrate", "at version 171", played("v2.15.2")).await;
    assert_eq!(core(&ground, "-mode=migrate", played("v2.15.2")).await.0, 0);
    assert_eq!(core(&ground, "-mode=migrate", played("v2.15.2")).await.0, 0, "a second time is no work");
    assert_eq!(version(&ground).await, (180, false));
    refused(&ground, "-mode=migrate", "no migration found for version 180", played("v2.14.3")).await;
    refused(&ground, "-mode=normal", "no migration found for version 180", played("v2.14.3")).await;
    assert_eq!(version(&ground).await, (180, false), "untouched");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_migration_that_broke_off_is_refused_until_it_is_mended() {
    let ground = Ground::without_registry().await;
    assert_eq!(core(&ground, "-mode=migrate", played("v2.14.3")).await.0, 0);
    // The next step meets what it does not expect.
    let database = ground.database("registry").await;
    database.batch_execute("ALTER TABLE artifact RENAME TO away").await.expect("a rename");
    refused(&ground, "-mode=migrate", "migration 180 broke off", |_| {}).await;
    assert_eq!(version(&ground).await, (180, true));
    for mode in ["-mode=migrate", "-mode=normal", "-mode=skip-migrate"] {
        refused(&ground, mode, "Dirty database version 180. Fix and force version.", |_| {}).await;
    }
    let mended = "ALTER TABLE away RENAME TO artifact; UPDATE schema_migrations SET version = 171, dirty = false";
    database.batch_execute(mended).await.expect("it is mended");
    assert_eq!(core(&ground, "-mode=migrate", |_| {}).await.0, 0);
    assert_eq!(version(&ground).await, (180, false));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_database_that_does_not_let_core_in_is_told() {
    let ground = Ground::without_registry().await;
    let set = |name: &'static str, value: &str| {
        let value = value.to_owned();
        move |environment: &mut Environment| {
            environment.insert(name, value);
        }
    };
    refused(&ground, "-mode=normal", "database \"absent\" does not exist", set("POSTGRESQL_DATABASE", "absent")).await;
    let wrong = set("POSTGRESQL_PASSWORD", "Wrong-Password-0");
    refused(&ground, "-mode=normal", "password authentication failed for user \"postgres\"", wrong).await;
    // The server has no TLS.
    refused(&ground, "-mode=normal", "TLS", set("POSTGRESQL_SSLMODE", "require")).await;
    refused(&ground, "-mode=normal", "POSTGRESQL_SSLMODE must be one of", set("POSTGRESQL_SSLMODE", "prefer")).await;
    refused(&ground, "-mode=sideways", "-mode must be", |_| {}).await;
    // A role that may not make tables leaves nothing half-made.
    let database = ground.database("registry").await;
    let role = format!("CREATE ROLE weak LOGIN PASSWORD '{DATABASE_PASSWORD}'");
    database.batch_execute(&role).await.expect("a role");
    refused(&ground, "-mode=migrate", "permission denied for schema public", set("POSTGRESQL_USERNAME", "weak")).await;
}
