//! Harbors that share one PostgreSQL: each has its own, however often and wherever its making was
//! interrupted, and none reads another's.

use std::time::Instant;

use fairway::clients::postgresql::{
    Administrator, Change, DatabaseError, Tenant, drop_database, ensure_database, probe, set_password,
};
use futures::{StreamExt, TryStreamExt, stream};
use tokio::time::timeout;

use crate::postgresql_server::{PostgreSql, column, credentials, refusal, tenant};

const PASSWORD: &str = "Kept-secret-1";
/// `insufficient_privilege`
const NO_RIGHT: &str = "42501";
/// In which the making of a database is interrupted.
const MOMENTS: u32 = 20;

async fn ensure(server: &PostgreSql, tenant: &Tenant) -> Vec<Change> {
    ensure_database(&server.administrator(), tenant, &PASSWORD.into()).await.expect("a database").changes
}

#[tokio::test]
async fn fifty_tenants_have_their_own_and_no_more() {
    let server = PostgreSql::start_with(None, &["max_connections=260"]).await;
    let tenants: Vec<Tenant> = (0..50).map(|number| tenant(&format!("harbor-{number:02}"))).collect();
    // Several at once, as an operator that starts does it.
    let made = stream::iter(&tenants).map(|tenant| {
        let administrator = server.administrator();
        async move {
            loop {
                match ensure_database(&administrator, tenant, &PASSWORD.into()).await {
                    // On a slow disk the one in eight waits for longer than it may, and is tried again.
                    Err(DatabaseError::Busy { .. }) => {}
                    ended => break ended,
                }
            }
        }
    });
    let made: Vec<_> = made.buffer_unordered(8).try_collect().await.expect("databases");
    assert!(made.iter().all(|one| one.open_databases.is_empty()), "{made:?}");
    for tenant in &tenants {
        let own = server.connect(&tenant.role, PASSWORD, &tenant.database).await.expect("its own database");
        let secret = format!("CREATE TABLE secret AS SELECT '{}' AS word", tenant.database);
        own.batch_execute(&secret).await.expect("a table");
    }
    for (number, tenant) in tenants.iter().enumerate() {
        let other = &tenants[(number + 1) % tenants.len()];
        for database in [&other.database, "postgres", "template1"] {
            let error = server.connect(&tenant.role, PASSWORD, database).await.expect_err("a refusal");
            assert_eq!(
                error.code().map(tokio_postgres::error::SqlState::code),
                Some(NO_RIGHT),
                "{} in {database}",
                tenant.role
            );
        }
        let own = server.connect(&tenant.role, PASSWORD, &tenant.database).await.expect("its own database");
        assert_eq!(column(&own, "SELECT word FROM secret").await, std::slice::from_ref(&tenant.database));
        for command in [
            format!("SET ROLE \"{}\"", other.role),
            format!("GRANT \"{}\" TO \"{}\"", other.role, tenant.role),
            format!("GRANT CONNECT ON DATABASE \"{}\" TO \"{}\"", other.database, tenant.role),
            format!("ALTER ROLE \"{}\" PASSWORD 'mine'", other.role),
            format!("ALTER ROLE \"{}\" CONNECTION LIMIT 500", tenant.role),
            format!("ALTER DATABASE \"{}\" ALLOW_CONNECTIONS false", other.database),
            "CREATE DATABASE mine".to_owned(),
            "CREATE ROLE mine".to_owned(),
            "SELECT rolpassword FROM pg_authid".to_owned(),
            "SELECT pg_read_file('postgresql.conf')".to_owned(),
            "CREATE TABLE files (line text); COPY files FROM PROGRAM 'ls'".to_owned(),
            "CREATE EXTENSION dblink".to_owned(),
        ] {
            let code = refusal(&own, &command).await;
            // The last is not there, or not for everyone.
            assert!([NO_RIGHT, "42704", "0A000", "58P01"].contains(&code.as_str()), "{command}: {code:?}");
        }
        let drop = refusal(&own, &format!("DROP DATABASE \"{}\"", other.database)).await;
        assert_eq!(drop, NO_RIGHT);
    }
    // Whatever else the server writes down, it is no password.
    assert!(!server.log().contains(PASSWORD));
    assert!(server.log().contains("SCRAM-SHA-256$4096:"));
}

#[tokio::test]
async fn what_is_there_is_left_alone() {
    let server = PostgreSql::start().await;
    let tenant = tenant("Harbor \"of\" O'Neill; DROP");
    let first = ensure(&server, &tenant).await;
    let shut = |name: &str| Change::PublicShutOut(name.to_owned());
    let expected =
        [Change::RoleMade, Change::DatabaseMade, shut(&tenant.database), shut("postgres"), shut("template1")];
    assert_eq!(first, expected);
    let before = server.log().len();
    assert_eq!(ensure(&server, &tenant).await, []);
    let log = server.log();
    let written = ["CREATE ", "ALTER ", "GRANT ", "REVOKE ", "COMMENT "];
    assert!(!log[before..].lines().any(|line| written.iter().any(|word| line.contains(&format!("statement: {word}")))));
}

#[tokio::test]
async fn what_was_changed_by_hand_is_mended() {
    let server = PostgreSql::start().await;
    let (one, role) = (tenant("harbor"), "harbor_role");
    ensure(&server, &one).await;
    let root = server.root("postgres").await;
    for (damage, expected) in [
        (format!("ALTER ROLE {role} SUPERUSER CONNECTION LIMIT -1"), Change::RoleMended),
        (format!("ALTER ROLE {role} NOLOGIN"), Change::RoleMended),
        (format!("ALTER ROLE {role} PASSWORD 'another'"), Change::PasswordSet),
        (format!("ALTER ROLE {role} PASSWORD NULL"), Change::PasswordSet),
        ("GRANT CONNECT ON DATABASE harbor TO PUBLIC".to_owned(), Change::PublicShutOut("harbor".to_owned())),
        ("GRANT ALL ON DATABASE postgres TO PUBLIC".to_owned(), Change::PublicShutOut("postgres".to_owned())),
        ("ALTER DATABASE harbor ALLOW_CONNECTIONS false".to_owned(), Change::DatabaseOpened),
    ] {
        root.batch_execute(&damage).await.expect("damage");
        assert_eq!(ensure(&server, &one).await, [expected], "{damage}");
        probe(&server.server, &credentials(role, PASSWORD), "harbor").await.expect("a state");
    }
    let fewer = Tenant { connection_limit: 2, ..one };
    assert_eq!(ensure(&server, &fewer).await, [Change::RoleMended]);
}

#[tokio::test]
async fn an_end_at_any_moment_is_mended_by_the_next_call() {
    let server = PostgreSql::start().await;
    let (administrator, tenant) = (server.administrator(), tenant("harbor"));
    let password = PASSWORD.into();
    let began = Instant::now();
    ensure(&server, &tenant).await;
    let whole = began.elapsed();
    drop_database(&administrator, &tenant).await.expect("no database");
    let mut interrupted = 0;
    for part in 0..MOMENTS {
        let moment = whole * part / MOMENTS;
        let made = timeout(moment, ensure_database(&administrator, &tenant, &password)).await;
        interrupted += u32::from(made.is_err());
        ensure(&server, &tenant).await;
        assert_eq!(ensure(&server, &tenant).await, [], "after {moment:?}");
        timeout(moment, drop_database(&administrator, &tenant)).await.ok();
        drop_database(&administrator, &tenant).await.expect("no database");
    }
    assert!(interrupted > MOMENTS / 4, "{interrupted}");
    let root = server.root("postgres").await;
    assert_eq!(column(&root, "SELECT datname FROM pg_database WHERE datname LIKE 'harbor%'").await, [""; 0]);
    assert_eq!(column(&root, "SELECT rolname FROM pg_roles WHERE rolname LIKE 'harbor%'").await, [""; 0]);
}

#[tokio::test]
async fn what_is_anothers_is_never_taken_over() {
    let server = PostgreSql::start().await;
    let (administrator, password) = (server.administrator(), PASSWORD.into());
    let root = server.root("postgres").await;
    root.batch_execute("CREATE ROLE harbor_role LOGIN PASSWORD 'theirs'; COMMENT ON ROLE harbor_role IS 'wiki'")
        .await
        .expect("a role");
    root.batch_execute("CREATE DATABASE other").await.expect("a database");
    let (one, two) = (tenant("harbor"), tenant("other"));

    let error = ensure_database(&administrator, &one, &password).await.expect_err("taken");
    assert!(matches!(error, DatabaseError::RoleTaken { .. }) && error.to_string().contains("\"wiki\""), "{error}");
    for error in [
        drop_database(&administrator, &one).await.map(drop).expect_err("taken"),
        set_password(&administrator, &one, &password).await.expect_err("taken"),
    ] {
        assert!(matches!(error, DatabaseError::RoleTaken { .. }), "{error}");
    }
    server.connect("harbor_role", "theirs", "template1").await.expect("as it was");

    let error = ensure_database(&administrator, &two, &password).await.expect_err("taken");
    assert!(matches!(&error, DatabaseError::DatabaseTaken { owner, .. } if owner == "postgres"), "{error}");
    let error = drop_database(&administrator, &two).await.expect_err("taken");
    assert!(matches!(error, DatabaseError::DatabaseTaken { .. }), "{error}");
    server.root("other").await;

    for name in ["", &"x".repeat(64), "a\0b"] {
        let bad = Tenant { database: name.to_owned(), ..tenant("harbor") };
        let error = ensure_database(&administrator, &bad, &password).await.expect_err("no name");
        assert!(matches!(error, DatabaseError::Name { .. }), "{error}");
    }
}

#[tokio::test]
async fn an_administrator_need_not_be_a_superuser() {
    let server = PostgreSql::start().await;
    let root = server.root("postgres").await;
    root.batch_execute("CREATE ROLE keeper LOGIN CREATEDB CREATEROLE PASSWORD 'Keeper-of-2'").await.expect("a role");
    root.batch_execute("GRANT CONNECT ON DATABASE postgres TO keeper").await.expect("a right");
    let keeper = Administrator { credentials: credentials("keeper", "Keeper-of-2"), ..server.administrator() };
    let (one, password) = (tenant("harbor"), PASSWORD.into());
    let ensured = ensure_database(&keeper, &one, &password).await.expect("a database");
    // It may not close what is not its own, and says so.
    assert_eq!(ensured.open_databases, ["postgres", "template1"]);
    assert_eq!(ensure_database(&keeper, &one, &password).await.expect("a database").changes, []);
    let more = Tenant { connection_limit: 7, ..one.clone() };
    assert_eq!(ensure_database(&keeper, &more, &password).await.expect("a limit").changes, [Change::RoleMended]);
    let limit = column(&root, &format!("SELECT rolconnlimit FROM pg_roles WHERE rolname = '{}'", one.role)).await;
    assert_eq!(limit, ["7"]);
    let connected = server.connect(&one.role, PASSWORD, "harbor").await.expect("its own database");
    let dropped = drop_database(&keeper, &one).await.expect("no database");
    assert_eq!(dropped, [Change::DatabaseDropped, Change::RoleDropped]);
    assert!(connected.simple_query("SELECT 1").await.is_err(), "it was ended");
    assert_eq!(drop_database(&keeper, &one).await.expect("no database"), []);

    root.batch_execute("CREATE ROLE weak LOGIN PASSWORD 'Weak-as-3'").await.expect("a role");
    let weak = Administrator { credentials: credentials("weak", "Weak-as-3"), ..server.administrator() };
    let error = ensure_database(&weak, &one, &password).await.expect_err("no right");
    assert!(matches!(&error, DatabaseError::Privilege { user, .. } if user == "weak"), "{error}");
}

#[tokio::test]
async fn no_more_connections_are_promised_than_there_are() {
    // Of 30, three are reserved.
    let server = PostgreSql::start().await;
    let (administrator, password) = (server.administrator(), PASSWORD.into());
    let root = server.root("postgres").await;
    root.batch_execute("CREATE ROLE wiki CONNECTION LIMIT 20").await.expect("a role that is not Fairway's");
    let with = |name: &str, connection_limit: u32| Tenant { connection_limit, ..tenant(name) };
    ensure(&server, &with("first", 15)).await;
    let error = ensure_database(&administrator, &with("second", 13), &password).await.expect_err("too many");
    let DatabaseError::ConnectionBudgetExceeded { usable: 27, promised: 15, wanted: 13, .. } = &error else {
        panic!("{error}")
    };
    assert!(error.to_string().contains("raise max_connections"), "{error}");
    let made = column(&root, "SELECT rolname FROM pg_roles WHERE rolname LIKE 'second%'").await;
    assert_eq!(made, [""; 0], "nothing of it is there");
    ensure(&server, &with("second", 12)).await;
    // All is given away: who is there stays, may have less, and not more.
    assert_eq!(ensure(&server, &with("first", 15)).await, []);
    let error = ensure_database(&administrator, &with("first", 16), &password).await.expect_err("too many");
    assert!(matches!(error, DatabaseError::ConnectionBudgetExceeded { promised: 12, wanted: 16, .. }), "{error}");
    assert_eq!(ensure(&server, &with("first", 10)).await, [Change::RoleMended]);
    assert_eq!(ensure(&server, &with("second", 17)).await, [Change::RoleMended]);
}

#[tokio::test]
async fn a_password_is_changed() {
    let server = PostgreSql::start().await;
    let (administrator, tenant) = (server.administrator(), tenant("harbor"));
    ensure(&server, &tenant).await;
    let open = server.connect(&tenant.role, PASSWORD, "harbor").await.expect("a connection");
    let new = "Töp-secret-2";
    set_password(&administrator, &tenant, &new.into()).await.expect("a change");
    assert_eq!(column(&open, "SELECT 1").await, ["1"]);
    let refused = probe(&server.server, &credentials(&tenant.role, PASSWORD), "harbor").await;
    assert!(matches!(refused, Err(DatabaseError::PasswordRefused { .. })), "{refused:?}");
    probe(&server.server, &credentials(&tenant.role, new), "harbor").await.expect("a state");
    assert!(!server.log().contains(new) && !server.log().contains(PASSWORD));
}
