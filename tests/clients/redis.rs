//! What is seen of a Redis with the instance's own user, and each way in which it can't be seen.

use std::net::TcpListener;

use fairway::{
    clients::{
        connection::{Authorities, Encryption, Server},
        redis::{CANNOT_SAVE, CacheError, CacheState, Login, Role, User, delete_user, ensure_user, probe},
    },
    reconcile::Failure,
};

use crate::{
    certificates::certificates,
    redis_server::{Client, RedisServer},
    server_process::free_port,
};

const PASSWORD: &str = "Kept-secret-1";

fn login(user: &str, password: &str) -> Login {
    Login { user: Some(user.to_owned()), password: Some(password.into()) }
}

fn told(error: &CacheError) -> String {
    let told = error.to_string();
    assert!(!format!("{told} {error:?}").contains(PASSWORD), "{error:?}");
    told
}

async fn ask(server: &RedisServer, login: &Login, database: u32) -> Result<CacheState, CacheError> {
    probe(&server.server, login, database).await
}

#[tokio::test]
async fn a_server_is_seen_as_it_is() {
    let server = RedisServer::start_with("appendonly yes\nmaxmemory 100mb\nmaxmemory-policy noeviction\n").await;
    let state = ask(&server, &RedisServer::administrator(), 255).await.expect("a state");
    assert!(state.version.starts_with("7."), "{state:?}");
    assert!((1 << 18..100 << 20).contains(&state.used_memory), "{state:?}");
    let expected = CacheState {
        version: state.version.clone(),
        role: Role::Master,
        used_memory: state.used_memory,
        max_memory: Some(100 << 20),
        max_memory_policy: "noeviction".to_owned(),
        databases: Some(256),
        append_only: true,
    };
    assert_eq!(state, expected);
}

#[tokio::test]
async fn a_server_without_a_password() {
    let server = RedisServer::without_password("");
    let anyone = Login { user: None, password: None };
    let until = tokio::time::Instant::now() + crate::server_process::DEADLINE;
    while let Err(error) = ask(&server, &anyone, 0).await {
        assert!(matches!(error, CacheError::Unreachable { .. }), "{error}");
        assert!(tokio::time::Instant::now() < until, "{error}");
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    }
    let error = ask(&server, &RedisServer::administrator(), 0).await.expect_err("no password is set");
    assert!(matches!(error, CacheError::PasswordRefused { .. }), "{error:?}");
    assert!(told(&error).contains("without any password configured"), "{error}");
}

#[tokio::test]
async fn each_refusal_has_its_own_words() {
    let server = RedisServer::start().await;
    let mut root = server.root().await;
    root.does::<()>(&format!("ACL SETUSER harbor on >{PASSWORD} ~* +@read +select|3 +ping +info")).await;
    root.does::<()>(&format!("ACL SETUSER mute on >{PASSWORD} -@all")).await;

    let state = ask(&server, &login("harbor", PASSWORD), 3).await.expect("a state");
    assert_eq!(state.databases, None, "it may not ask");
    for (asked, database) in [
        (login("harbor", "wrong"), 3),
        (login("nobody", PASSWORD), 3),
        (Login { user: None, password: Some("wrong".into()) }, 0),
        (Login { user: None, password: None }, 0),
    ] {
        let error = ask(&server, &asked, database).await.expect_err("a refusal");
        assert!(matches!(error, CacheError::PasswordRefused { .. }), "{asked:?}: {error:?}");
        told(&error);
    }
    for (asked, database, words) in [("harbor", 4, "'select'"), ("mute", 0, "'select'")] {
        let error = ask(&server, &login(asked, PASSWORD), database).await.expect_err("a refusal");
        assert!(matches!(error, CacheError::Permission { .. }), "{error:?}");
        assert!(told(&error).contains(words) && told(&error).contains("check its ACL"), "{error}");
    }
    let error = ask(&server, &RedisServer::administrator(), 256).await.expect_err("no database");
    assert!(matches!(error, CacheError::DatabaseMissing { database: 256, .. }), "{error:?}");
    assert!(told(&error).contains("raise `databases`"), "{error}");

    // As many clients as it may have.
    root.does::<()>("CONFIG SET maxclients 1").await;
    let error = ask(&server, &RedisServer::administrator(), 0).await.expect_err("too many");
    assert!(matches!(error, CacheError::NotReady { .. } | CacheError::Unreachable { .. }), "{error:?}");
}

#[tokio::test]
async fn a_replica_is_told() {
    let server = RedisServer::start_with(&format!("replicaof 127.0.0.1 {}\n", free_port())).await;
    let state = ask(&server, &RedisServer::administrator(), 0).await.expect("a state");
    assert_eq!(state.role, Role::Replica);
}

#[tokio::test]
async fn a_server_that_reads_its_data_is_not_ready() {
    let mut server = RedisServer::start().await;
    let mut root: Client = server.root().await;
    for number in 0..2000 {
        root.does::<()>(&format!("SET key-{number} value")).await;
    }
    root.does::<()>("SAVE").await;
    drop(root);
    server.slow_start();
    let until = tokio::time::Instant::now() + crate::server_process::DEADLINE;
    loop {
        match ask(&server, &RedisServer::administrator(), 0).await {
            Err(error @ CacheError::NotReady { .. }) => break assert!(told(&error).contains("loading"), "{error}"),
            Err(CacheError::Unreachable { .. }) => assert!(tokio::time::Instant::now() < until, "never there"),
            other => panic!("{other:?}"),
        }
    }
}

#[tokio::test]
async fn a_server_whose_volume_is_full_is_told_and_goes_on_by_itself() {
    let server = RedisServer::on_a_volume().await;
    let administrator = RedisServer::administrator();
    let mut root = server.root().await;
    root.does::<()>("SET before full").await;
    for again in ["first", "second"] {
        server.fill(true);
        let until = tokio::time::Instant::now() + crate::server_process::DEADLINE;
        let write = format!("SET {again} {}", "x".repeat(16 << 10));
        // What it has said yes to it still tries to write down.
        while !root.refusal(&write).await.contains("No space left on device") {
            assert!(tokio::time::Instant::now() < until, "it finds room");
        }
        let error = ask(&server, &administrator, 0).await.expect_err("no room");
        assert!(matches!(error, CacheError::CannotSave { .. }), "{error:?}");
        assert!(told(&error).contains("No space left on device"), "{error}");
        assert_eq!(error.reason(), CANNOT_SAVE);
        assert_eq!(root.does::<String>("GET before").await, "full", "it can be read");

        server.fill(false);
        while let Err(error) = ask(&server, &administrator, 0).await {
            assert!(matches!(error, CacheError::CannotSave { .. }), "{error:?}");
            assert!(tokio::time::Instant::now() < until, "{error}");
            tokio::time::sleep(std::time::Duration::from_millis(50)).await;
        }
        root.does::<()>(&write).await;
    }
}

#[tokio::test]
async fn a_server_that_is_not_there() {
    for (host, port) in [("127.0.0.1", free_port()), ("no-such-host.invalid", 6379)] {
        let server = Server { host: host.to_owned(), port, encryption: Encryption::Disable };
        let error = probe(&server, &login("harbor", PASSWORD), 0).await.expect_err("an error");
        assert!(matches!(error, CacheError::Unreachable { .. }), "{error:?}");
        assert!(told(&error).contains(&format!("{host}:{port} cannot be reached")), "{error}");
    }
}

/// The clock runs as soon as nobody has anything to do.
#[tokio::test(start_paused = true)]
async fn a_server_that_never_answers() {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let port = listener.local_addr().expect("an address").port();
    let server = Server { host: "127.0.0.1".to_owned(), port, encryption: Encryption::Disable };
    let error = probe(&server, &login("harbor", PASSWORD), 0).await.expect_err("an error");
    assert!(matches!(error, CacheError::Unreachable { .. }), "{error:?}");
}

#[tokio::test]
async fn tls_is_as_strict_as_it_is_told() {
    let (ours, another) = (certificates("localhost"), certificates("localhost"));
    let server = RedisServer::with_tls(&ours);
    let port = server.server.port;
    let right = Authorities::Pem(ours.authority.clone().into_bytes());
    let wrong = Authorities::Pem(another.authority.into_bytes());
    let administrator = RedisServer::administrator();
    let ask = async |host: &str, encryption: Encryption| {
        let asked = Server { host: host.to_owned(), port, encryption };
        probe(&asked, &administrator, 0).await
    };
    let until = tokio::time::Instant::now() + crate::server_process::DEADLINE;
    while let Err(error) = ask("localhost", Encryption::VerifyFull(right.clone())).await {
        assert!(matches!(error, CacheError::Unreachable { .. }), "{error}");
        assert!(tokio::time::Instant::now() < until, "{error}");
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    }
    ask("127.0.0.1", Encryption::VerifyCa(right.clone())).await.expect("a state");
    ask("127.0.0.1", Encryption::Require).await.expect("a state");
    for (host, encryption, words) in [
        ("127.0.0.1", Encryption::VerifyFull(right), "not for this host"),
        ("localhost", Encryption::VerifyFull(wrong), "none of the authorities"),
    ] {
        let error = ask(host, encryption).await.expect_err("no trust");
        assert!(matches!(error, CacheError::Tls { .. }) && told(&error).contains(words), "{error:?}");
    }
    let error = ask("127.0.0.1", Encryption::Disable).await.expect_err("no TLS where there is");
    assert!(matches!(error, CacheError::Unreachable { .. }), "{error:?}");

    let plain = RedisServer::start().await;
    let asked = Server { encryption: Encryption::Require, ..plain.server.clone() };
    let error = probe(&asked, &RedisServer::administrator(), 0).await.expect_err("TLS where there is none");
    assert!(matches!(error, CacheError::Tls { .. }), "{error:?}");
}

/// Who changed a user may have come to an end before the file was written.
#[tokio::test]
async fn what_was_never_written_down_is_written_by_the_next_call() {
    let mut server = RedisServer::start_with_file().await;
    let administrator = RedisServer::administrator();
    let user = User { name: "harbor".to_owned(), passwords: vec![PASSWORD.into()], databases: [1, 2, 3, 4].into() };
    let without = server.users();
    assert!(ensure_user(&server.server, &administrator, &user).await.expect("a user").changed);
    let with = server.users();
    server.set_users(&without);
    assert!(!ensure_user(&server.server, &administrator, &user).await.expect("a user").changed);
    server.restart().await;
    ask(&server, &login(&user.name, PASSWORD), 1).await.expect("a state");

    assert!(delete_user(&server.server, &administrator, &user.name).await.expect("no user"));
    server.set_users(&with);
    assert!(!delete_user(&server.server, &administrator, &user.name).await.expect("no user"));
    server.restart().await;
    let refused = ask(&server, &login(&user.name, PASSWORD), 1).await;
    assert!(matches!(refused, Err(CacheError::PasswordRefused { .. })), "{refused:?}");
}
