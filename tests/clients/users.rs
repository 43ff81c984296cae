//! Harbors that share one Redis: each reaches its own databases, does there all that Harbor does, and
//! nothing else.

use std::collections::BTreeSet;

use fairway::clients::redis::{
    CacheError, EnsuredUser, Login, Persistence, User, delete_user, ensure_user, forget, probe,
};
use insta::assert_snapshot;

use crate::redis_server::{Client, RedisServer};

const PASSWORD: &str = "Kept-secret-1";
const TENANTS: u32 = 50;
/// core, jobservice, registry and trivy.
const EACH: u32 = 4;

fn user(number: u32) -> User {
    User {
        name: format!("harbor-{number:02}"),
        passwords: vec![PASSWORD.into()],
        databases: (1 + number * EACH..=(number + 1) * EACH).collect(),
    }
}

async fn ensure(server: &RedisServer, user: &User) -> EnsuredUser {
    ensure_user(&server.server, &RedisServer::administrator(), user).await.expect("a user")
}

async fn connect(server: &RedisServer, user: &User) -> Client {
    server.connect(&[&user.name, PASSWORD]).await.expect("a login")
}

#[tokio::test]
async fn fifty_users_have_their_databases_and_no_others() {
    let server = RedisServer::start().await;
    let users: Vec<User> = (0..TENANTS).map(user).collect();
    for user in &users {
        assert_eq!(ensure(&server, user).await, EnsuredUser { changed: true, persistence: Persistence::MemoryAlone });
        let mut client = connect(&server, user).await;
        for database in &user.databases {
            client.does::<()>(&format!("SELECT {database}")).await;
            client.does::<()>(&format!("SET secret {}", user.name)).await;
        }
    }
    for user in &users {
        assert!(!ensure(&server, user).await.changed, "{user:?}");
        let mut client = connect(&server, user).await;
        let own = user.databases.first().expect("a database");
        client.does::<()>(&format!("SELECT {own}")).await;
        for database in (0..256).filter(|database| !user.databases.contains(database)) {
            let refused = client.refusal(&format!("SELECT {database}")).await;
            assert!(refused.contains("NoPerm") || refused.contains("NOPERM"), "{}: {database}: {refused:?}", user.name);
        }
        assert_eq!(client.does::<String>("GET secret").await, user.name, "it is where it was");
    }
    let state =
        probe(&server.server, &Login { user: Some(users[7].name.clone()), password: Some(PASSWORD.into()) }, 29)
            .await
            .expect("a state");
    assert_eq!(state.databases, None);
}

/// Ways to another's database that are none by name.
#[tokio::test]
async fn there_is_no_way_around() {
    let server = RedisServer::start().await;
    let (one, two) = (user(0), user(1));
    for user in [&one, &two] {
        ensure(&server, user).await;
    }
    let mut theirs = connect(&server, &two).await;
    theirs.does::<()>("SELECT 5").await;
    theirs.does::<()>("SET secret theirs").await;
    let mut client = connect(&server, &one).await;
    client.does::<()>("SELECT 3").await;
    client.does::<()>("SET mine value").await;
    for line in [
        "SELECT 05",
        "SELECT +5",
        "SELECT 5\t",
        "SELECT 5.0",
        "MOVE mine 5",
        "COPY mine mine DB 5",
        "SWAPDB 3 5",
        "FLUSHALL",
        "FLUSHDB",
        "CONFIG GET *",
        "CONFIG SET requirepass x",
        "ACL LIST",
        "ACL GETUSER default",
        "ACL SETUSER harbor-00 +@all",
        "ACL LOG",
        "ACL SAVE",
        "ACL LOAD",
        "DEBUG SLEEP 0",
        "DEBUG RELOAD",
        "SCRIPT FLUSH",
        "SCRIPT KILL",
        "MONITOR",
        "CLIENT KILL ID 1",
        "CLIENT LIST",
        "CLIENT PAUSE 1",
        "CLIENT NO-EVICT on",
        "CLIENT UNBLOCK 1",
        "FUNCTION LIST",
        "FUNCTION FLUSH",
        "FUNCTION DUMP",
        "FUNCTION STATS",
        "FCALL f 0",
        "PUBLISH a b",
        "SPUBLISH a b",
        "SUBSCRIBE a",
        "PSUBSCRIBE *",
        "PUBSUB CHANNELS",
        "MIGRATE 127.0.0.1 1 mine 5 1",
        "RESTORE key 0 x",
        "SORT mine",
        "REPLICAOF NO ONE",
        "SLAVEOF NO ONE",
        "PSYNC ? -1",
        "SYNC",
        "SHUTDOWN NOSAVE",
        "SAVE",
        "BGSAVE",
        "BGREWRITEAOF",
        "LASTSAVE",
        "SLOWLOG GET",
        "LATENCY LATEST",
        "MEMORY PURGE",
        "MODULE LIST",
        "CLUSTER INFO",
        "FAILOVER",
        "RESET",
        "ROLE",
        "COMMAND COUNT",
    ] {
        let mut fresh = connect(&server, &one).await;
        fresh.does::<()>("SELECT 3").await;
        let refused = fresh.refusal(line).await;
        let known = ["NoPerm", "NOPERM", "DEBUG command not allowed", "has no permissions"];
        // RESET gives the user away with the connection.
        if line == "RESET" {
            assert!(fresh.refusal("GET secret").await.contains("Authentication required"));
        } else {
            assert!(known.iter().any(|known| refused.contains(known)), "{line}: {refused:?}");
        }
    }
    for script in
        ["return redis.call('SELECT', '5')", "return redis.pcall('SELECT', 5)", "return redis.call('FLUSHDB')"]
    {
        let outcome = client.ask::<redis::Value>(&["EVAL", script, "0"]).await;
        assert!(outcome.is_err(), "{script}: {outcome:?}");
    }
    client.does::<()>("MULTI").await;
    assert!(client.refusal("SELECT 5").await.contains("has no permissions"));
    assert!(client.refusal("EXEC").await.contains("discarded"));
    // A script that another has loaded runs with the rights, and in the database, of who calls it.
    let digest: String = theirs.ask(&["SCRIPT", "LOAD", "return redis.call('GET', 'secret')"]).await.expect("a script");
    assert_eq!(client.ask::<Option<String>>(&["EVALSHA", &digest, "0"]).await.expect("an answer"), None);
    // It sees of others how many keys they have, and in which database.
    let information: String = client.does("INFO keyspace").await;
    assert!(information.contains("db5:keys=1"), "{information}");
}

/// What go-redis, redigo and gocraft/work send.
#[tokio::test]
async fn harbor_can_do_all_that_it_does() {
    let server = RedisServer::start().await;
    ensure(&server, &user(0)).await;
    let mut client = connect(&server, &user(0)).await;
    for line in [
        "HELLO 2",
        "CLIENT SETNAME core",
        "CLIENT ID",
        "PING",
        "SELECT 2",
        "SET cache:a 1 EX 60 NX",
        "SETEX b 60 1",
        "GET cache:a",
        "MGET cache:a b",
        "EXISTS b",
        "EXPIRE b 60",
        "TTL b",
        "KEYS cache:*",
        "SCAN 0 MATCH cache:* COUNT 1000",
        "INCR counter",
        "DEL counter b",
        "HSET job status Pending",
        "HMSET job a 1 b 2",
        "HGETALL job",
        "HMGET job a b",
        "HINCRBY job n 1",
        "HSCAN job 0",
        "HDEL job a",
        "SADD set m",
        "SREM set m",
        "SISMEMBER set m",
        "SMEMBERS set",
        "ZADD scheduled 1 j",
        "ZADD scheduled NX 2 k",
        "ZRANGEBYSCORE scheduled 0 9",
        "ZREVRANGE scheduled 0 9 WITHSCORES",
        "ZRANGE scheduled 0 9",
        "ZCARD scheduled",
        "ZCOUNT scheduled 0 9",
        "ZREM scheduled k",
        "ZREMRANGEBYSCORE scheduled 0 9",
        "ZSCORE scheduled j",
        "LPUSH queue j",
        "RPOPLPUSH queue progress",
        "LREM progress 0 j",
        "LLEN queue",
        "LRANGE queue 0 9",
        "BRPOP queue 0.01",
        "WATCH job",
        "MULTI",
        "HSET job status Running",
        "EXEC",
        "UNWATCH",
        "UNLINK job",
        "TYPE set",
        "DBSIZE",
        "INFO",
        "ACL WHOAMI",
    ] {
        client.does::<redis::Value>(line).await;
    }
    let script = "redis.call('LPUSH', KEYS[1], ARGV[1]); return redis.call('RPOPLPUSH', KEYS[1], KEYS[2])";
    for _ in 0..2 {
        let answer: String = client.ask(&["EVAL", script, "2", "queue", "progress", "job"]).await.expect("a script");
        assert_eq!(answer, "job");
    }
    let digest: String = client.ask(&["SCRIPT", "LOAD", script]).await.expect("a script");
    let answer: String = client.ask(&["EVALSHA", &digest, "2", "queue", "progress", "job"]).await.expect("a script");
    assert_eq!(answer, "job");
    assert_eq!(client.ask::<Vec<bool>>(&["SCRIPT", "EXISTS", &digest]).await.expect("an answer"), [true]);
}

/// Every command that this Redis knows, and whether one Harbor may use it: to be read when it changes.
#[tokio::test]
async fn what_is_allowed_is_written_down() {
    let server = RedisServer::start().await;
    ensure(&server, &user(0)).await;
    let mut root = server.root().await;
    let mut names: Vec<String> = root.does("COMMAND LIST").await;
    let mut allowed = Vec::new();
    while let Some(name) = names.pop() {
        let information: Vec<Vec<redis::Value>> = root.ask(&["COMMAND", "INFO", &name]).await.expect("one command");
        let redis::Value::Int(arity) = information[0][1] else { panic!("{information:?}") };
        // One that has commands below it is none itself.
        let below = subcommands(&information[0][9]);
        if !below.is_empty() {
            names.extend(below);
            continue;
        }
        let mut words = vec!["ACL", "DRYRUN", "harbor-00"];
        words.extend(name.split('|'));
        let length = 3 + usize::try_from(arity.abs()).expect("a number");
        // The container's name is one word of the two.
        words.resize(length.max(words.len()), "1");
        let answer: String = root.ask(&words).await.unwrap_or_else(|error| error.to_string());
        if answer == "OK" {
            allowed.push(name);
        } else {
            assert!(answer.contains("has no permissions"), "{name}: {answer}");
        }
    }
    allowed.sort();
    allowed.dedup();
    assert_snapshot!(allowed.join("\n"));
}

/// The names of the commands below one, such as `acl|list`.
fn subcommands(below: &redis::Value) -> Vec<String> {
    let redis::Value::Array(below) = below else { return vec![] };
    let name = |one: &redis::Value| match one {
        redis::Value::Array(told) => redis::from_redis_value::<String>(told[0].clone()).expect("a name"),
        other => panic!("{other:?}"),
    };
    below.iter().map(name).collect()
}

#[tokio::test]
async fn what_was_changed_by_hand_is_mended() {
    let server = RedisServer::start().await;
    let one = user(0);
    assert!(ensure(&server, &one).await.changed);
    let mut root = server.root().await;
    let damages: [&[&str]; 11] = [
        &["off"],
        &["+select|9"],
        &["+@all"],
        &["-get"],
        &["&*"],
        &["resetkeys"],
        &["resetkeys", "%R~x"],
        &[">another"],
        &["nopass"],
        &["resetpass"],
        &["(~x +get)"],
    ];
    for rules in damages {
        root.ask::<()>(&[&["ACL", "SETUSER", &one.name], rules].concat()).await.expect("damage");
        assert!(ensure(&server, &one).await.changed, "{rules:?}");
        assert!(!ensure(&server, &one).await.changed, "{rules:?}");
        connect(&server, &one).await;
    }
    let users: Vec<String> = root.does("ACL USERS").await;
    assert_eq!(users, ["default", "harbor-00"]);
    let (mut more, mut two) = (one.clone(), one.clone());
    more.databases.insert(200);
    assert!(ensure(&server, &more).await.changed);
    connect(&server, &more).await.does::<()>("SELECT 200").await;

    // A password is changed with pods of both kinds.
    let mut open = connect(&server, &one).await;
    two.passwords.push("Töp-secret-2".into());
    assert!(ensure(&server, &two).await.changed);
    two.passwords.remove(0);
    connect(&server, &one).await;
    assert!(ensure(&server, &two).await.changed);
    assert!(server.connect(&[&one.name, PASSWORD]).await.is_err());
    server.connect(&[&one.name, "Töp-secret-2"]).await.expect("a login");
    open.does::<()>("SELECT 2").await;
}

#[tokio::test]
async fn users_outlive_a_restart_where_there_is_a_file() {
    let mut server = RedisServer::start_with_file().await;
    let (one, two) = (user(0), user(1));
    for changed in [true, false] {
        assert_eq!(ensure(&server, &one).await, EnsuredUser { changed, persistence: Persistence::AclFile });
    }
    ensure(&server, &two).await;
    assert!(!server.users().contains(PASSWORD) && !server.users().contains("reference"), "{}", server.users());
    server.restart().await;
    assert!(!ensure(&server, &one).await.changed);
    connect(&server, &one).await;
    let administrator = RedisServer::administrator();
    assert!(delete_user(&server.server, &administrator, &two.name).await.expect("no user"));
    assert!(!delete_user(&server.server, &administrator, &two.name).await.expect("no user"));
    server.restart().await;
    assert!(server.connect(&[&two.name, PASSWORD]).await.is_err());
}

#[tokio::test]
async fn a_harbor_that_goes_leaves_nothing_and_takes_nothing_along() {
    let server = RedisServer::start().await;
    let (one, two) = (user(0), user(1));
    for user in [&one, &two] {
        ensure(&server, user).await;
        for database in &user.databases {
            let mut client = connect(&server, user).await;
            client.does::<()>(&format!("SELECT {database}")).await;
            client.does::<()>("SET secret value").await;
        }
    }
    let mut open = connect(&server, &one).await;
    let administrator = RedisServer::administrator();
    delete_user(&server.server, &administrator, &one.name).await.expect("no user");
    assert!(open.ask::<String>(&["PING"]).await.is_err(), "it was ended");
    for _ in 0..2 {
        forget(&server.server, &administrator, &one.databases).await.expect("empty databases");
    }
    let mut root = server.root().await;
    for database in 0..16 {
        root.does::<()>(&format!("SELECT {database}")).await;
        let keys: u32 = root.does("DBSIZE").await;
        assert_eq!(keys, u32::from(two.databases.contains(&database)), "{database}");
    }
}

#[tokio::test]
async fn what_would_isolate_nobody_is_refused() {
    let server = RedisServer::start().await;
    let administrator = RedisServer::administrator();
    let with = |name: &str, databases: &[u32]| User {
        name: name.to_owned(),
        databases: databases.iter().copied().collect::<BTreeSet<u32>>(),
        ..user(0)
    };
    let refused = async |user: &User| ensure_user(&server.server, &administrator, user).await.expect_err("a refusal");
    assert!(matches!(refused(&with("harbor", &[0, 1])).await, CacheError::DatabaseOfAll));
    let error = refused(&with("harbor", &[255, 256])).await;
    assert!(matches!(error, CacheError::DatabaseMissing { database: 256, .. }), "{error}");
    for name in ["", "default", "two words", "line\nfeed", "fairway-reference"] {
        assert!(matches!(refused(&with(name, &[1])).await, CacheError::Name { .. }), "{name:?}");
    }
    let mut root = server.root().await;
    root.does::<()>("ACL SETUSER weak on >Weak-as-3 ~* +@all -@admin").await;
    let weak = Login { user: Some("weak".to_owned()), password: Some("Weak-as-3".into()) };
    let error = ensure_user(&server.server, &weak, &user(0)).await.expect_err("no right");
    assert!(matches!(error, CacheError::Permission { .. }), "{error}");
    root.does::<()>("ACL SETUSER default nopass").await;
    let anybody = Login { user: None, password: None };
    let error = ensure_user(&server.server, &anybody, &user(0)).await.expect_err("a refusal");
    assert!(matches!(error, CacheError::OpenToAll { .. }) && error.to_string().contains("requirepass"), "{error}");
    let users: Vec<String> = root.does("ACL USERS").await;
    assert_eq!(users, ["default", "weak"]);
}
