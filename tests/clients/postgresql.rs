//! What is seen of a database with the instance's own role, and each way in which it can't be seen.

use std::net::TcpListener;

use fairway::{
    clients::{
        connection::{Authorities, Encryption, Server},
        postgresql::{DatabaseError, DatabaseState, Schema, ensure_database, probe},
    },
    reconcile::Failure,
};
use rstest::rstest;

use crate::{
    certificates::certificates,
    postgresql_server::{PostgreSql, credentials, tenant},
    server_process::free_port,
};

const PASSWORD: &str = "Kept-secret-1";

/// The password must not be in any way of telling the error.
fn told(error: &DatabaseError) -> String {
    let told = error.to_string();
    assert!(!format!("{told} {error:?}").contains(PASSWORD), "{error:?}");
    told
}

#[tokio::test]
async fn a_database_is_seen_as_its_role_sees_it() {
    let server = PostgreSql::start().await;
    let tenant = tenant("harbor");
    ensure_database(&server.administrator(), &tenant, &PASSWORD.into()).await.expect("a database");
    let credentials = credentials(&tenant.role, PASSWORD);
    let state = probe(&server.server, &credentials, "harbor").await.expect("a state");
    assert!((150_000..160_000).contains(&state.version), "{state:?}");
    assert!((1 << 20..1 << 30).contains(&state.size), "{state:?}");
    let expected = DatabaseState {
        version: state.version,
        max_connections: 30,
        reserved_connections: 3,
        connection_limit: Some(5),
        read_only: false,
        schema: None,
        size: state.size,
    };
    assert_eq!(state, expected);
    assert_eq!(state.usable_connections(), 5);

    // As golang-migrate makes it: empty for a moment, then with one line.
    let harbor = server.connect(&tenant.role, PASSWORD, "harbor").await.expect("a connection");
    let table = "CREATE TABLE schema_migrations (version bigint NOT NULL PRIMARY KEY, dirty boolean NOT NULL)";
    harbor.batch_execute(table).await.expect("a table");
    let schema = async || probe(&server.server, &credentials, "harbor").await.expect("a state").schema;
    assert_eq!(schema().await, None);
    harbor.batch_execute("INSERT INTO schema_migrations VALUES (180, true)").await.expect("a line");
    assert_eq!(schema().await, Some(Schema { version: 180, dirty: true }));
    harbor.batch_execute("UPDATE schema_migrations SET dirty = false").await.expect("a line");
    assert_eq!(schema().await, Some(Schema { version: 180, dirty: false }));

    let root = server.root("postgres").await;
    root.batch_execute("ALTER DATABASE harbor SET default_transaction_read_only = on").await.expect("a setting");
    root.batch_execute("ALTER DATABASE harbor CONNECTION LIMIT 4").await.expect("a setting");
    let state = probe(&server.server, &credentials, "harbor").await.expect("a state");
    assert!(state.read_only && state.connection_limit == Some(4), "{state:?}");
}

#[tokio::test]
async fn no_connection_is_left() {
    let server = PostgreSql::start().await;
    let tenant = tenant("harbor");
    ensure_database(&server.administrator(), &tenant, &PASSWORD.into()).await.expect("a database");
    for _ in 0..20 {
        probe(&server.server, &credentials(&tenant.role, PASSWORD), "harbor").await.expect("a state");
    }
    let root = server.root("postgres").await;
    let count = "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'fairway'";
    let until = tokio::time::Instant::now() + crate::server_process::DEADLINE;
    // The server counts one less only once its process is gone.
    while crate::postgresql_server::column(&root, count).await != ["0"] {
        assert!(tokio::time::Instant::now() < until, "connections are left");
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    }
}

#[tokio::test]
async fn each_refusal_has_its_own_words() {
    let server = PostgreSql::start().await;
    let tenant = tenant("harbor");
    ensure_database(&server.administrator(), &tenant, &PASSWORD.into()).await.expect("a database");
    let root = server.root("postgres").await;
    let roles = format!(
        "CREATE ROLE rejected LOGIN PASSWORD '{PASSWORD}'; CREATE ROLE nologin NOLOGIN PASSWORD '{PASSWORD}';
        CREATE ROLE stranger LOGIN PASSWORD '{PASSWORD}'; CREATE ROLE full LOGIN CONNECTION LIMIT 0 PASSWORD '{PASSWORD}';
        GRANT CONNECT ON DATABASE harbor TO full"
    );
    root.batch_execute(&roles).await.expect("roles");
    let ask = async |user: &str, password: &str, database: &str| {
        probe(&server.server, &credentials(user, password), database).await.expect_err("a refusal")
    };

    let error = ask(&tenant.role, "wrong", "harbor").await;
    assert!(matches!(error, DatabaseError::PasswordRefused { .. }), "{error:?}");
    assert!(told(&error).contains("refuses the password of role \"harbor_role\""), "{error}");
    let error = ask("nobody", PASSWORD, "harbor").await;
    assert!(matches!(error, DatabaseError::PasswordRefused { .. }), "{error:?}");
    let error = ask(&tenant.role, "", "harbor").await;
    assert!(matches!(error, DatabaseError::PasswordRefused { .. } | DatabaseError::LoginRefused { .. }), "{error:?}");
    let error = ask("rejected", PASSWORD, "harbor").await;
    assert!(matches!(error, DatabaseError::LoginRefused { .. }), "{error:?}");
    assert!(told(&error).contains("pg_hba.conf"), "{error}");
    let error = ask("nologin", PASSWORD, "harbor").await;
    assert!(matches!(error, DatabaseError::LoginRefused { .. }), "{error:?}");
    assert!(told(&error).contains("not permitted to log in"), "{error}");
    let error = ask(&tenant.role, PASSWORD, "other").await;
    assert!(matches!(error, DatabaseError::DatabaseMissing { .. }), "{error:?}");
    assert!(told(&error).contains("no database \"other\"; create it"), "{error}");
    let error = ask("stranger", PASSWORD, "harbor").await;
    assert!(matches!(error, DatabaseError::Privilege { .. }), "{error:?}");
    assert_eq!(error.reason(), "DatabasePrivilegeMissing");
    let error = ask("full", PASSWORD, "harbor").await;
    assert!(matches!(error, DatabaseError::ConnectionsExhausted { .. }), "{error:?}");
    assert!(told(&error).contains("lower replicas or pools"), "{error}");

    // A table that another role made, as after a restore by hand.
    let other = server.root("harbor").await;
    other.batch_execute("CREATE TABLE schema_migrations (version bigint, dirty boolean)").await.expect("a table");
    let error = ask(&tenant.role, PASSWORD, "harbor").await;
    assert!(matches!(error, DatabaseError::Privilege { .. }), "{error:?}");
    assert!(told(&error).contains("schema_migrations"), "{error}");

    // Those who are connected keep it from its end.
    server.begin_to_stop();
    let until = tokio::time::Instant::now() + crate::server_process::DEADLINE;
    loop {
        match probe(&server.server, &server.administrator().credentials, "postgres").await {
            Err(error @ DatabaseError::NotReady { .. }) => {
                break assert!(told(&error).contains("shutting down"), "{error}");
            }
            Ok(_) => assert!(tokio::time::Instant::now() < until, "it goes on"),
            Err(error) => panic!("{error:?}"),
        }
    }
    drop((root, other));
}

#[rstest]
#[case::refused("127.0.0.1", free_port(), "refused")]
#[case::no_such_host("no-such-host.invalid", 5432, "")]
#[tokio::test]
async fn a_server_that_is_not_there(#[case] host: &str, #[case] port: u16, #[case] words: &str) {
    let server = Server { host: host.to_owned(), port, encryption: Encryption::Disable };
    let error = probe(&server, &credentials("harbor", PASSWORD), "harbor").await.expect_err("an error");
    assert!(matches!(error, DatabaseError::Unreachable { .. }), "{error:?}");
    let told = told(&error);
    assert!(told.contains(&format!("{host}:{port} cannot be reached")) && told.contains(words), "{error}");
}

/// The clock runs as soon as nobody has anything to do.
#[tokio::test(start_paused = true)]
async fn a_server_that_never_answers() {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let port = listener.local_addr().expect("an address").port();
    for encryption in [Encryption::Disable, Encryption::Require] {
        let server = Server { host: "127.0.0.1".to_owned(), port, encryption };
        let error = probe(&server, &credentials("harbor", PASSWORD), "harbor").await.expect_err("an error");
        assert!(matches!(error, DatabaseError::Unreachable { .. }), "{error:?}");
    }
}

#[tokio::test]
async fn tls_is_as_strict_as_it_is_told() {
    let (ours, another) = (certificates("localhost"), certificates("localhost"));
    let server = PostgreSql::start_with(Some(&ours), &[]).await;
    let right = Authorities::Pem(ours.authority.clone().into_bytes());
    let wrong = Authorities::Pem(another.authority.into_bytes());
    let ask = async |host: &str, encryption: Encryption| {
        let asked = Server { host: host.to_owned(), port: server.server.port, encryption };
        probe(&asked, &server.administrator().credentials, "postgres").await
    };
    for (host, encryption) in [
        ("127.0.0.1", Encryption::Disable),
        ("127.0.0.1", Encryption::Require),
        ("127.0.0.1", Encryption::VerifyCa(right.clone())),
        ("localhost", Encryption::VerifyFull(right.clone())),
    ] {
        ask(host, encryption.clone()).await.unwrap_or_else(|error| panic!("{encryption:?}: {error}"));
    }
    for (host, encryption, words) in [
        ("127.0.0.1", Encryption::VerifyFull(right.clone()), "not for this host"),
        ("127.0.0.1", Encryption::VerifyCa(wrong.clone()), "none of the authorities"),
        ("localhost", Encryption::VerifyFull(wrong), "none of the authorities"),
        ("localhost", Encryption::VerifyFull(Authorities::Pem(b"no PEM".to_vec())), "holds no certificate"),
    ] {
        let error = ask(host, encryption).await.expect_err("no trust");
        assert!(matches!(error, DatabaseError::Tls { .. }) && told(&error).contains(words), "{error:?}");
    }
}

#[tokio::test]
async fn a_server_without_tls_is_told() {
    let server = PostgreSql::start().await;
    let asked = Server { encryption: Encryption::Require, ..server.server.clone() };
    let error = probe(&asked, &server.administrator().credentials, "postgres").await.expect_err("no TLS");
    assert!(matches!(error, DatabaseError::Tls { .. }), "{error:?}");
    assert!(told(&error).contains("does not support TLS"), "{error}");
}
