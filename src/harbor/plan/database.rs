//! The `PostgreSQL` that Fairway runs for one registry. Pure.

use kube::api::DynamicObject;
use serde_json::json;

use super::{
    Context,
    pods::{self, Pod, SERVER_USER},
    settings::{Settings, resources},
    volumes,
};
use crate::{
    api::{ManagedDatabase, Resources},
    harbor::{
        credentials::{DATABASE_PASSWORD, DATABASE_SUPERUSER_PASSWORD},
        images,
        names::{self, Component, POSTGRESQL},
        quantity,
    },
};

/// Harbor's own role, which owns its database and nothing else.
pub(super) const ROLE: &str = "harbor";
/// Its database.
pub(super) const DATABASE: &str = "registry";
/// Where the superuser's password is mounted: `PostgreSQL` reads it at its first start alone, as the next one.
const PASSWORD: &str = "/run/fairway/password";
/// Where the role's is.
const ROLE_PASSWORD: &str = "/run/fairway/role-password";
/// The script in its `ConfigMap`.
const SCRIPT: &str = "role.sh";
/// What the image's entrypoint runs once, when the data directory is made and before anybody can connect. The password
/// is seen neither in a log nor in a list of processes.
const MAKE_ROLE: &str = r#"psql --no-psqlrc --no-password --quiet --set ON_ERROR_STOP=1 --username "$POSTGRES_USER" --dbname postgres <<'END'
\set password `cat /run/fairway/role-password`
SET log_statement TO none;
SET log_min_duration_statement TO -1;
SET log_min_error_statement TO panic;
CREATE ROLE harbor LOGIN PASSWORD :'password';
CREATE DATABASE registry OWNER harbor;
REVOKE ALL ON DATABASE registry FROM PUBLIC;
END
"#;
/// How many connections are kept for those who mend something.
const RESERVED: i32 = 3;
/// What a connection takes of memory at worst: its own and its part of sorting, in bytes.
const CONNECTION: u64 = 6 << 20;

fn asked(settings: &Settings) -> ManagedDatabase {
    settings.database.managed.clone().unwrap_or_default()
}

fn sized(settings: &Settings) -> Resources {
    resources(asked(settings).resources.as_ref(), ("100m", "256Mi"), ("1", "512Mi"))
}

/// The memory that there is, in bytes.
fn memory(resources: &Resources) -> u64 {
    let told = [&resources.limits, &resources.requests].into_iter().flatten().find_map(|one| one.memory.as_ref());
    told.and_then(|memory| quantity::bytes(memory)).unwrap_or(512 << 20)
}

/// What the server is set up with: half of the memory is for connections, a quarter for buffers.
fn max_connections(memory: u64) -> i32 {
    i32::try_from(memory / 2 / CONNECTION).unwrap_or(i32::MAX).clamp(20, 500)
}

/// How many of the server's connections are Harbor's.
pub(super) fn usable_connections(settings: &Settings) -> i32 {
    max_connections(memory(&sized(settings))) - RESERVED
}

/// What its data is on.
pub(super) fn volume(context: &Context<'_>) -> DynamicObject {
    let asked = asked(context.settings).volume.unwrap_or_default();
    volumes::claim(context, Component::Database, &asked, "5Gi")
}

/// The server, with its volume and its Service.
pub(super) fn objects(context: &Context<'_>) -> Vec<DynamicObject> {
    let resources = sized(context.settings);
    let memory = memory(&resources);
    let image = asked(context.settings).image.unwrap_or_else(|| context.images.get(images::POSTGRESQL));
    let mut container = pods::container("postgresql", &image, &[], &resources);
    // The image's entrypoint makes the data directory and becomes the server.
    container["command"] = json!(["docker-entrypoint.sh", "postgres"]);
    container["args"] = json!(arguments(memory));
    container["env"] = json!([
        pods::plain("POSTGRES_USER", "postgres"),
        pods::plain("POSTGRES_PASSWORD_FILE", PASSWORD),
        // A broken disk is found out, and not handed on.
        pods::plain("POSTGRES_INITDB_ARGS", "--data-checksums"),
        pods::plain("PGDATA", "/var/lib/postgresql/data/pgdata"),
    ]);
    container["ports"] = json!([{ "name": "postgresql", "containerPort": POSTGRESQL, "protocol": "TCP" }]);
    // By TCP: while it is first set up it listens on its socket alone.
    let user = context.references.database.user.as_str();
    let asks = ["pg_isready", "--host=127.0.0.1", "--username", user, "--timeout=5"];
    container["startupProbe"] = pods::exec_probe(&asks, 1, 600);
    container["readinessProbe"] = pods::exec_probe(&asks, 10, 3);
    container["volumeMounts"] = json!([
        pods::mount("data", "/var/lib/postgresql/data"),
        pods::mount("run", "/var/run/postgresql"),
        pods::mount("tmp", "/tmp"),
        pods::file("password", PASSWORD, DATABASE_SUPERUSER_PASSWORD),
        pods::file("password", ROLE_PASSWORD, DATABASE_PASSWORD),
        pods::file("script", &format!("/docker-entrypoint-initdb.d/{SCRIPT}"), SCRIPT),
    ]);
    let name = names::child(context.name, Component::Database);
    let passwords = [DATABASE_SUPERUSER_PASSWORD, DATABASE_PASSWORD].map(|key| (key, key));
    let pod = Pod {
        component: Component::Database,
        user: SERVER_USER,
        containers: vec![container],
        volumes: vec![
            volumes::mounted("data", &names::volume(context.name, Component::Database)),
            pods::empty("run", "16Mi"),
            pods::empty("tmp", "1Gi"),
            volumes::secret("password", &names::credentials(context.name), &passwords),
            volumes::config_map("script", &name),
        ],
        hash: names::hash([]),
    };
    vec![
        pods::config_map_object(&name, &[(SCRIPT, MAKE_ROLE)]),
        volume(context),
        pods::service(context, Component::Database, &[("postgresql", POSTGRESQL, POSTGRESQL)]),
        pods::stateful_set(context, &pod),
    ]
}

/// The server's settings, by its memory in bytes.
fn arguments(memory: u64) -> Vec<String> {
    let megabytes = |bytes: u64| format!("{}MB", (bytes >> 20).max(1));
    [
        ("max_connections", max_connections(memory).to_string()),
        ("superuser_reserved_connections", RESERVED.to_string()),
        ("shared_buffers", megabytes(memory / 4)),
        ("effective_cache_size", megabytes(memory / 2)),
        ("maintenance_work_mem", megabytes((memory / 16).min(1 << 30))),
        ("work_mem", "4MB".to_owned()),
        ("max_wal_size", "1GB".to_owned()),
        ("checkpoint_completion_target", "0.9".to_owned()),
        ("password_encryption", "scram-sha-256".to_owned()),
        // A client that vanished must not hold a connection of the budget for hours.
        ("tcp_keepalives_idle", "60".to_owned()),
        ("idle_in_transaction_session_timeout", "600000".to_owned()),
        ("log_min_duration_statement", "1000".to_owned()),
    ]
    .into_iter()
    .flat_map(|(name, value)| ["-c".to_owned(), format!("{name}={value}")])
    .collect()
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::max_connections;

    #[rstest]
    #[case(128 << 20, 20)]
    #[case(512 << 20, 42)]
    #[case(1 << 30, 85)]
    #[case(64 << 30, 500)]
    fn connections_follow_memory(#[case] memory: u64, #[case] expected: i32) {
        assert_eq!(max_connections(memory), expected);
    }
}
