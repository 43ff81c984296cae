//! A Harbor's cache and queue: how it is, seen with the instance's own user; and, on a server that many
//! share, its user and what it leaves. Touches the network. A connection lives as long as one call.
//!
//! What keeps one Harbor from another's data there is told in `users`.

mod error;
mod session;
mod users;

use std::time::Duration;

use secrecy::SecretString;
use tokio::time::timeout;

use super::connection::Server;
use session::{Session, field};

pub use error::{CANNOT_SAVE, CacheError};
pub use users::{EnsuredUser, Persistence, User, delete_user, ensure_user, forget};

/// Redis answers within milliseconds, unless a slow command of another client holds it up.
const PROBE_PATIENCE: Duration = Duration::from_secs(10);

/// Who logs in.
#[derive(Clone, Debug)]
pub struct Login {
    /// The ACL user; none for a server with a password alone (`requirepass`), or none at all.
    pub user: Option<String>,
    /// In clear; none for a server that lets anyone in.
    pub password: Option<SecretString>,
}

/// What the instance's own user sees.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CacheState {
    /// Of Redis, or of what Valkey says that it is compatible with, such as `7.0.15`.
    pub version: String,
    /// Whether it takes writes.
    pub role: Role,
    /// In bytes.
    pub used_memory: u64,
    /// In bytes; none without a limit.
    pub max_memory: Option<u64>,
    /// What happens when the memory is used up; only with `noeviction` is a queue safe.
    pub max_memory_policy: String,
    /// How many databases there are; none when the user may not ask for the configuration, as one that
    /// [`ensure_user`] makes may not.
    pub databases: Option<u32>,
    /// Whether each write is kept in the append-only file.
    pub append_only: bool,
}

/// What a Redis is among others.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// It takes writes.
    Master,
    /// It follows another.
    Replica,
    /// It only knows where the master is.
    Sentinel,
}

/// Logs in as Harbor would, selects the database, and looks around. Changes nothing.
///
/// # Errors
/// When Harbor could not do so either.
pub async fn probe(server: &Server, login: &Login, database: u32) -> Result<CacheState, CacheError> {
    let probing = async {
        let mut session = Session::open(server, login).await?;
        session.select(database).await?;
        session.ask::<()>(&["PING"]).await?;
        let information: String = session.ask(&["INFO"]).await?;
        let databases = match session.databases().await {
            Ok(databases) => Some(databases),
            Err(CacheError::Permission { .. }) => None,
            Err(error) => return Err(error),
        };
        let state = read(&information, databases).ok_or_else(|| session.strange("INFO"));
        session.close().await;
        state
    };
    timeout(PROBE_PATIENCE, probing).await.unwrap_or_else(|_| Err(CacheError::too_slow(server, PROBE_PATIENCE)))
}

/// What `INFO` says.
fn read(information: &str, databases: Option<u32>) -> Option<CacheState> {
    let role = match (field(information, "redis_mode"), field(information, "role")?) {
        (Some("sentinel"), _) => Role::Sentinel,
        (_, "master") => Role::Master,
        (_, "slave" | "replica") => Role::Replica,
        _ => return None,
    };
    Some(CacheState {
        version: field(information, "redis_version")?.to_owned(),
        role,
        used_memory: field(information, "used_memory")?.parse().ok()?,
        max_memory: field(information, "maxmemory")?.parse().ok().filter(|limit| *limit > 0),
        max_memory_policy: field(information, "maxmemory_policy")?.to_owned(),
        databases,
        append_only: field(information, "aof_enabled")? == "1",
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const INFORMATION: &str = "# Server\r\nredis_version:7.0.15\r\nredis_mode:standalone\r\n\
        # Memory\r\nused_memory:1048576\r\nused_memory_human:1.00M\r\nmaxmemory:0\r\n\
        maxmemory_policy:noeviction\r\n# Persistence\r\naof_enabled:1\r\n# Replication\r\nrole:master\r\n";

    #[test]
    fn information_is_read() {
        let state = CacheState {
            version: "7.0.15".to_owned(),
            role: Role::Master,
            used_memory: 1 << 20,
            max_memory: None,
            max_memory_policy: "noeviction".to_owned(),
            databases: Some(16),
            append_only: true,
        };
        assert_eq!(read(INFORMATION, Some(16)), Some(state.clone()));
        let other = INFORMATION.replace("role:master", "role:slave").replace("maxmemory:0", "maxmemory:5");
        let expected = CacheState { role: Role::Replica, max_memory: Some(5), databases: None, ..state };
        assert_eq!(read(&other, None), Some(expected));
        assert_eq!(read("# Server\r\n", None), None);
    }
}
