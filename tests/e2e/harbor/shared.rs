//! Two whole registries on one PostgreSQL and one Redis: both work, neither gets at what is the other's with all that it
//! knows, and one that is deleted with its data leaves the other alone. (Fifty, without nodes: tests/api.) Touches a
//! sandbox, a class, and two Secrets beside the operator.

use fairway::api::{Harbor, HarborClass};
use k8s_openapi::api::{apps::v1::StatefulSet, core::v1::Secret};
use kube::{
    Api,
    api::{DeleteParams, Patch, PatchParams},
};
use serde_json::json;

use super::{Registry, servers, small};
use crate::{
    cluster::SYSTEM,
    sandbox::{self, Sandbox},
};

/// A class of this test's own, named as its namespace is, as are the Secrets of administrators.
async fn class(sandbox: &Sandbox) {
    let name = &sandbox.namespace;
    let secrets: Api<Secret> = Api::namespaced(sandbox.cluster.client.clone(), SYSTEM);
    let parameters = PatchParams::apply("fairway-e2e");
    for (server, user) in [("db", "postgres"), ("redis", "default")] {
        let secret = format!("{name}-{server}");
        let data = json!({ "username": user, "password": servers::PASSWORD });
        let object =
            json!({ "apiVersion": "v1", "kind": "Secret", "metadata": { "name": secret }, "stringData": data });
        secrets.patch(&secret, &parameters, &Patch::Apply(&object)).await.unwrap();
    }
    let spec = json!({
        "databaseServers": [{
            "name": "db", "host": format!("db.{name}.svc"), "administratorSecretName": format!("{name}-db"),
            "sslMode": "disable", "connectionsPerRegistry": 30,
        }],
        "cacheServers": [{
            "name": "redis", "host": format!("redis.{name}.svc"), "administratorSecretName": format!("{name}-redis"),
            "databases": 64,
        }],
        "database": { "type": "Shared", "serverName": "db" },
        "cache": { "type": "Shared", "serverName": "redis" },
    });
    let classes: Api<HarborClass> = Api::all(sandbox.cluster.client.clone());
    let object = json!({
        "apiVersion": "fairway.dev/v1alpha1", "kind": "HarborClass", "metadata": { "name": name }, "spec": spec,
    });
    classes.patch(name, &parameters, &Patch::Apply(&object)).await.unwrap();
}

async fn remove_class(sandbox: &Sandbox) {
    let classes: Api<HarborClass> = Api::all(sandbox.cluster.client.clone());
    classes.delete(&sandbox.namespace, &DeleteParams::background()).await.unwrap();
    let secrets: Api<Secret> = Api::namespaced(sandbox.cluster.client.clone(), SYSTEM);
    for server in ["db", "redis"] {
        secrets.delete(&format!("{}-{server}", sandbox.namespace), &DeleteParams::background()).await.unwrap();
    }
}

/// What a registry calls itself on both servers.
async fn tenant(registry: &Registry<'_>) -> String {
    let url = registry.secret(&format!("{}-connections", registry.name), "redisUrlCore").await;
    let url = String::from_utf8(url).unwrap();
    url.strip_prefix("redis://").unwrap().split(':').next().unwrap().replace("%5F", "_")
}

/// Asks one of the servers with a registry's own name and password.
async fn ask(registry: &Registry<'_>, server: &str, line: &str) -> String {
    let (name, key) = (tenant(registry).await, if server == "db" { "databasePassword" } else { "cachePassword" });
    let (password, line) = (registry.credential(key).await, line.replace("SELF", &name));
    let script = match server {
        "db" => format!("PGPASSWORD={password} psql --host=127.0.0.1 --username={name} --tuples-only {line}"),
        _ => format!("redis-cli --user {name} --pass {password} --no-auth-warning {line}"),
    };
    let asked = registry.sandbox.kubectl(&["exec", server, "--", "sh", "-c", &format!("{script} 2>&1 || true")]).await;
    asked.unwrap().trim().to_owned()
}

#[test]
fn registries_share_servers_and_nothing_else() {
    sandbox::restricted("harbor-shared", async |sandbox| {
        servers::postgresql(sandbox).await;
        servers::redis(sandbox).await;
        class(sandbox).await;
        let [one, two] = ["one", "two"].map(|name| Registry::named(sandbox, name));
        let mut spec = small();
        spec["className"] = json!(sandbox.namespace);
        spec["deletionPolicy"] = json!("Delete");
        one.write(&spec).await;
        two.write(&spec).await;
        let (first, second) = tokio::join!(one.ready(), two.ready());
        let (first, second) = (first.redis_databases.unwrap(), second.redis_databases.unwrap());
        for ((pushed, said), registry) in [(one.push("1").await, &one), (two.push("1").await, &two)] {
            assert!(pushed, "{}: {said}", registry.name);
        }
        assert!(sandbox.names::<StatefulSet>("").await.is_empty(), "servers of their own");

        let (name, other) = (tenant(&one).await, tenant(&two).await);
        let asked = ask(&one, "db", "--dbname=SELF --command 'SELECT count(*) FROM artifact'").await;
        assert!(asked.parse::<i32>().is_ok_and(|count| count > 0), "its own artifacts: {asked}");
        for database in [other.as_str(), "postgres"] {
            let refused = ask(&one, "db", &format!("--dbname={database} --command 'SELECT 1'")).await;
            assert!(refused.contains("permission denied for database"), "{name} in {database}: {refused}");
        }
        let keys = ask(&one, "redis", &format!("-n {} DBSIZE", first.core)).await;
        assert!(keys.parse::<i32>().is_ok(), "its own keys: {keys}");
        for index in [second.core, second.jobservice, second.registry, second.trivy] {
            let refused = ask(&one, "redis", &format!("-n {index} KEYS '*'")).await;
            assert!(refused.contains("NOPERM"), "{name} in {index}: {refused}");
        }

        sandbox.delete::<Harbor>("one").await;
        let left = servers::sql(sandbox, "SELECT datname FROM pg_database WHERE datname LIKE 'harbor%'").await;
        assert_eq!(left, other);
        let left = servers::sql(sandbox, "SELECT rolname FROM pg_roles WHERE rolname LIKE 'harbor%'").await;
        assert_eq!(left, other);
        two.pull("pull", "1").await;
        two.ready().await;
        sandbox.delete::<Harbor>("two").await;
        remove_class(sandbox).await;
    });
}
