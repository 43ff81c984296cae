//! Fifty registries on one PostgreSQL and one Redis, made by the operator on a real API server: each has its own, none
//! reads another's, and one that is deleted takes its own with it. There are no nodes, and no Harbor runs.

use std::{collections::BTreeSet, time::Duration};

use fairway::api::{Harbor, HarborClass};
use futures::{StreamExt, stream};
use k8s_openapi::api::core::v1::Secret;
use kube::{
    Api, Client, Resource, ResourceExt,
    api::{DeleteParams, ListParams, PostParams},
};
use serde_json::{Value, json};
use tokio::time::{Instant, sleep};
use tokio_postgres::error::SqlState;

use crate::{
    harbor_install::Operator,
    operator::get,
    postgresql_server::{PostgreSql, column, refusal},
    redis_server::RedisServer,
    server::namespace,
};

const REGISTRIES: usize = 50;
/// For all of them, each with a key of RSA-4096, on a busy machine.
const LIMIT: Duration = Duration::from_mins(6);
/// `insufficient_privilege`
const NO_RIGHT: &str = "42501";

/// What somebody has who holds the credentials of a registry.
struct Tenant {
    /// Its role, its database and its user of Redis.
    name: String,
    database_password: String,
    cache_password: String,
    databases: BTreeSet<i32>,
}

async fn create<K>(api: &Api<K>, object: Value)
where
    K: Resource + Clone + serde::de::DeserializeOwned + serde::Serialize + std::fmt::Debug,
{
    api.create(&PostParams::default(), &serde_json::from_value(object).unwrap()).await.unwrap();
}

/// A class with both servers, and what the operator logs in to them with.
async fn class(client: &Client, class: &str, database: &PostgreSql, cache: &RedisServer) {
    let secrets: Api<Secret> = Api::namespaced(client.clone(), "fairway-system");
    // As the servers of tests have it.
    let password = "root-Of-all-0";
    let [for_database, for_cache] = ["db", "redis"].map(|server| format!("{class}-{server}"));
    for (name, user) in [(&for_database, "postgres"), (&for_cache, "default")] {
        let data = json!({ "username": user, "password": password });
        create(&secrets, json!({ "metadata": { "name": name }, "stringData": data })).await;
    }
    let spec = json!({
        "databaseServers": [{
            "name": "db", "host": "127.0.0.1", "port": database.server.port, "sslMode": "disable",
            "administratorSecretName": for_database, "connectionsPerRegistry": 30,
        }],
        "cacheServers": [{
            "name": "redis", "host": "127.0.0.1", "port": cache.server.port, "databases": 256,
            "administratorSecretName": for_cache,
        }],
        "database": { "type": "Shared", "serverName": "db" },
        "cache": { "type": "Shared", "serverName": "redis" },
    });
    let classes: Api<HarborClass> = Api::all(client.clone());
    let object = json!({
        "apiVersion": "fairway.dev/v1alpha1", "kind": "HarborClass", "metadata": { "name": class }, "spec": spec,
    });
    create(&classes, object).await;
}

fn registry(name: &str, class: &str) -> Value {
    let spec = json!({
        "externalURL": format!("http://{name}.example.com"), "className": class, "deletionPolicy": "Delete",
    });
    json!({ "apiVersion": "fairway.dev/v1alpha1", "kind": "Harbor", "metadata": { "name": name }, "spec": spec })
}

/// Waits until database and cache of all stand.
async fn stand(harbors: &Api<Harbor>) -> Vec<Harbor> {
    let until = Instant::now() + LIMIT;
    loop {
        let found = harbors.list(&ListParams::default()).await.unwrap().items;
        let bad = |harbor: &Harbor| {
            let conditions = harbor.status.clone().unwrap_or_default().conditions;
            let good = |kind: &str| conditions.iter().any(|known| known.type_ == kind && known.status == "True");
            !(good("DatabaseReady") && good("CacheReady"))
        };
        match found.iter().find(|harbor| bad(harbor)) {
            None => return found,
            Some(harbor) if Instant::now() > until => panic!("{}: {:?}", harbor.name_any(), harbor.status),
            Some(_) => sleep(Duration::from_millis(500)).await,
        }
    }
}

async fn tenant(client: &Client, namespace: &str, harbor: &Harbor) -> Tenant {
    let named = |suffix: &str| format!("{}-{suffix}", harbor.name_any());
    let secret = get::<Secret>(client, namespace, &named("credentials")).await.unwrap().data.unwrap();
    let text = |key: &str| String::from_utf8(secret[key].0.clone()).unwrap();
    let connections = get::<Secret>(client, namespace, &named("connections")).await.unwrap().data.unwrap();
    // redis://USER:PASSWORD@…
    let url = String::from_utf8(connections["redisUrlCore"].0.clone()).unwrap();
    let name = url.strip_prefix("redis://").unwrap().split(':').next().unwrap().replace("%5F", "_");
    let known = harbor.status.as_ref().unwrap().redis_databases.unwrap();
    let databases = [known.core, known.jobservice, known.registry, known.trivy].into();
    Tenant { name, database_password: text("databasePassword"), cache_password: text("cachePassword"), databases }
}

#[tokio::test]
async fn fifty_registries_share_servers_and_none_reads_anothers() {
    let (client, namespace) = namespace().await;
    let database = PostgreSql::start_with(None, &["max_connections=1600"]).await;
    let cache = RedisServer::start_with_file().await;
    class(&client, "fifty", &database, &cache).await;
    let harbors: Api<Harbor> = Api::namespaced(client.clone(), &namespace);
    for number in 0..REGISTRIES {
        create(&harbors, registry(&format!("r{number:02}"), "fifty")).await;
    }
    let operator = Operator::start(&namespace).await;
    let found = stand(&harbors).await;
    assert_eq!(found.len(), REGISTRIES);
    let tenants: Vec<Tenant> =
        stream::iter(&found).map(|harbor| tenant(&client, &namespace, harbor)).buffered(8).collect().await;
    let indexes: BTreeSet<i32> = tenants.iter().flat_map(|tenant| tenant.databases.clone()).collect();
    assert!(indexes.len() == REGISTRIES * 4 && !indexes.contains(&0), "each has four of its own: {indexes:?}");
    for (number, tenant) in tenants.iter().enumerate() {
        let other = &tenants[(number + 1) % REGISTRIES];
        reads_its_own_database_alone(&database, tenant, other).await;
        reads_its_own_cache_alone(&cache, tenant).await;
    }
    // Of all pairs, and not only of those that were tried.
    let root = database.root("postgres").await;
    let open = "SELECT rolname || ' in ' || datname FROM pg_roles, pg_database WHERE rolname LIKE 'harbor%' \
                AND datname <> rolname AND has_database_privilege(rolname, datname, 'CONNECT') AND datallowconn";
    assert_eq!(column(&root, open).await, [""; 0]);

    one_that_goes_takes_its_own(&harbors, &database, &cache, &tenants).await;
    operator.stop().await;
}

#[tokio::test]
async fn how_many_connections_a_class_gives_reaches_those_who_have_some() {
    let (client, namespace) = namespace().await;
    let database = PostgreSql::start_with(None, &["max_connections=100"]).await;
    let cache = RedisServer::start_with_file().await;
    class(&client, "limits", &database, &cache).await;
    let harbors: Api<Harbor> = Api::namespaced(client.clone(), &namespace);
    create(&harbors, registry("one", "limits")).await;
    let operator = Operator::start(&namespace).await;
    stand(&harbors).await;
    let root = database.root("postgres").await;
    let limit = "SELECT rolconnlimit FROM pg_roles WHERE rolname LIKE 'harbor%'";
    assert_eq!(column(&root, limit).await, ["30"]);
    let classes: Api<HarborClass> = Api::all(client.clone());
    let give = async |connections: i32| {
        let mut class = classes.get("limits").await.unwrap();
        class.spec.database_servers[0].connections_per_registry = connections;
        classes.replace("limits", &PostParams::default(), &class).await.unwrap();
    };
    give(40).await;
    let until = Instant::now() + LIMIT;
    while column(&root, limit).await != ["40"] {
        assert!(Instant::now() < until, "it has as many as before");
        sleep(Duration::from_millis(200)).await;
    }
    stand(&harbors).await;

    // More than there are: that is told, and it has what it had.
    give(500).await;
    let told = loop {
        let conditions = harbors.get("one").await.unwrap().status.unwrap_or_default().conditions;
        if let Some(told) = conditions.into_iter().find(|known| known.reason == "ConnectionBudgetExceeded") {
            break told;
        }
        assert!(Instant::now() < until, "nothing is told");
        sleep(Duration::from_millis(200)).await;
    };
    assert_eq!(told.type_, "Reconciled");
    assert!(told.message.contains("has 97 connections for registries"), "{}", told.message);
    assert_eq!(column(&root, limit).await, ["40"]);
    give(20).await;
    while column(&root, limit).await != ["20"] {
        assert!(Instant::now() < until, "it has as many as before");
        sleep(Duration::from_millis(200)).await;
    }
    operator.stop().await;
}

async fn reads_its_own_database_alone(server: &PostgreSql, tenant: &Tenant, other: &Tenant) {
    let own = server.connect(&tenant.name, &tenant.database_password, &tenant.name).await.expect("its own database");
    own.batch_execute(&format!("CREATE TABLE secret AS SELECT '{}' AS word", tenant.name)).await.unwrap();
    assert_eq!(column(&own, "SELECT word FROM secret").await, std::slice::from_ref(&tenant.name));
    for database in [&other.name, "postgres", "template1"] {
        let refused = server.connect(&tenant.name, &tenant.database_password, database).await.expect_err("a refusal");
        assert_eq!(refused.code().map(SqlState::code), Some(NO_RIGHT), "{} in {database}", tenant.name);
    }
    let refused = server.connect(&other.name, &tenant.database_password, &other.name).await;
    assert!(refused.is_err(), "{} is let in as {}", tenant.name, other.name);
    for command in [
        format!("SET ROLE \"{}\"", other.name),
        format!("GRANT CONNECT ON DATABASE \"{}\" TO \"{}\"", other.name, tenant.name),
        format!("DROP DATABASE \"{}\"", other.name),
    ] {
        assert_eq!(refusal(&own, &command).await, NO_RIGHT, "{command}");
    }
}

async fn reads_its_own_cache_alone(server: &RedisServer, tenant: &Tenant) {
    let mut client = server.connect(&[&tenant.name, &tenant.cache_password]).await.expect("its own user");
    for database in 0..256 {
        let select = format!("SELECT {database}");
        if tenant.databases.contains(&database) {
            client.does::<()>(&select).await;
            client.does::<()>(&format!("SET secret {}", tenant.name)).await;
            assert_eq!(client.does::<String>("GET secret").await, tenant.name);
        } else {
            let refused = client.refusal(&select).await;
            assert!(refused.to_lowercase().contains("noperm"), "{}: {select}: {refused:?}", tenant.name);
        }
    }
    let one = tenant.databases.first().unwrap();
    client.does::<()>(&format!("SELECT {one}")).await;
    for command in ["ACL LIST", "CONFIG GET *", "FLUSHALL", "SWAPDB 1 2", "MOVE secret 0", "COPY secret copy DB 0"] {
        let refused = client.refusal(command).await;
        assert!(refused.to_lowercase().contains("noperm"), "{}: {command}: {refused:?}", tenant.name);
    }
}

async fn one_that_goes_takes_its_own(
    harbors: &Api<Harbor>,
    database: &PostgreSql,
    cache: &RedisServer,
    tenants: &[Tenant],
) {
    harbors.delete("r07", &DeleteParams::default()).await.unwrap();
    let until = Instant::now() + LIMIT;
    while harbors.get_opt("r07").await.unwrap().is_some() {
        assert!(Instant::now() < until, "it is still there");
        sleep(Duration::from_millis(200)).await;
    }
    let gone = &tenants[7].name;
    let root = database.root("postgres").await;
    let expected: BTreeSet<&String> = tenants.iter().map(|tenant| &tenant.name).filter(|name| *name != gone).collect();
    for query in [
        "SELECT datname FROM pg_database WHERE datname LIKE 'harbor%'",
        "SELECT rolname FROM pg_roles WHERE rolname LIKE 'harbor%'",
    ] {
        let left = column(&root, query).await;
        assert_eq!(left.iter().collect::<BTreeSet<_>>(), expected);
    }
    let mut administrator = cache.root().await;
    let users = administrator.does::<Vec<String>>("ACL USERS").await;
    assert!(!users.contains(gone) && users.len() == REGISTRIES, "the default user and all others: {users:?}");
    for tenant in tenants {
        for index in &tenant.databases {
            administrator.does::<()>(&format!("SELECT {index}")).await;
            let keys = administrator.does::<i64>("DBSIZE").await;
            assert_eq!(keys, i64::from(tenant.name != *gone), "database {index} of {}", tenant.name);
        }
    }
    let own = &tenants[8];
    let left = database.connect(&own.name, &own.database_password, &own.name).await.expect("another's database");
    assert_eq!(column(&left, "SELECT word FROM secret").await, std::slice::from_ref(&own.name));
}
