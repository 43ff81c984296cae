//! A Harbor's database: how it is, seen with the instance's own role; and, on a server that many share,
//! its making and its end. Touches the network. A connection lives as long as one call; everything is
//! asked by the simple protocol, so that a pooler such as `PgBouncer` may stand between.

mod error;
mod session;
mod tenant;

use std::time::Duration;

use secrecy::SecretString;
use tokio::time::timeout;

use super::connection::Server;
use session::Session;

pub use error::DatabaseError;
pub use tenant::{Change, Ensured, MARK, Tenant, drop_database, ensure_database, set_password};

/// Logging in takes some milliseconds (SCRAM's 4096 rounds), and the questions less.
const PROBE_PATIENCE: Duration = Duration::from_secs(15);

/// Who logs in.
#[derive(Clone, Debug)]
pub struct Credentials {
    /// The role.
    pub user: String,
    /// In clear.
    pub password: SecretString,
}

/// Who may make roles and databases on a server that many share: a superuser, or a role with `CREATEROLE`
/// and `CREATEDB`. Not through a pooler.
#[derive(Clone, Debug)]
pub struct Administrator {
    /// Where.
    pub server: Server,
    /// Who.
    pub credentials: Credentials,
    /// The database to log in to, usually `postgres`; the same one each time, since the lock that keeps
    /// two calls apart lives in it.
    pub database: String,
}

/// What the instance's own role sees.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DatabaseState {
    /// `server_version_num`, such as 150018 for 15.18.
    pub version: u32,
    /// Of the whole server.
    pub max_connections: u32,
    /// Of these, how many are kept for superusers and the like.
    pub reserved_connections: u32,
    /// What the role or the database is limited to, if they are; the lesser of the two.
    pub connection_limit: Option<u32>,
    /// A standby, or set to `default_transaction_read_only`: Harbor can't work on it.
    pub read_only: bool,
    /// What Harbor's migrations say of themselves; nothing before the first.
    pub schema: Option<Schema>,
    /// Of the database alone, in bytes.
    pub size: u64,
}

/// The one line of `schema_migrations`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Schema {
    /// Such as 180 for Harbor 2.15.
    pub version: i64,
    /// A migration began and did not end.
    pub dirty: bool,
}

impl DatabaseState {
    /// How many connections all pods of the instance may hold together.
    #[must_use]
    pub fn usable_connections(&self) -> u32 {
        let all = self.max_connections.saturating_sub(self.reserved_connections);
        self.connection_limit.map_or(all, |limit| limit.min(all))
    }
}

/// Logs in as Harbor would, and looks around. Changes nothing.
///
/// # Errors
/// When Harbor could not log in either, or could not read its own tables.
pub async fn probe(server: &Server, credentials: &Credentials, database: &str) -> Result<DatabaseState, DatabaseError> {
    let probing = async {
        let session = Session::open(server, credentials, database).await?;
        let state = look_around(&session).await;
        session.close().await;
        state
    };
    timeout(PROBE_PATIENCE, probing).await.unwrap_or_else(|_| Err(DatabaseError::too_slow(server, PROBE_PATIENCE)))
}

/// How many connections are kept for superusers and the like. `reserved_connections` is of version 16.
const RESERVED: &str = "current_setting('superuser_reserved_connections')::int
    + coalesce(current_setting('reserved_connections', true), '0')::int";

/// A limit of -1 is none.
const STATE: &str = "(SELECT min(one) FROM (
        SELECT rolconnlimit AS one FROM pg_catalog.pg_roles WHERE rolname = current_user
        UNION SELECT datconnlimit FROM pg_catalog.pg_database WHERE datname = current_database()
    ) AS limits WHERE one >= 0),
    current_setting('transaction_read_only'),
    pg_catalog.pg_database_size(current_database()),
    to_regclass('schema_migrations') IS NOT NULL";

async fn look_around(session: &Session) -> Result<DatabaseState, DatabaseError> {
    let row = session
        .row(&format!(
            "SELECT current_setting('server_version_num'), current_setting('max_connections'), {RESERVED}, {STATE}"
        ))
        .await?;
    let migrated = row.text(6)? == "t";
    let schema =
        if migrated { session.rows("SELECT version, dirty FROM schema_migrations LIMIT 1").await?.pop() } else { None };
    Ok(DatabaseState {
        version: row.number(0)?,
        max_connections: row.number(1)?,
        reserved_connections: row.number(2)?,
        connection_limit: row.optional(3).map(|limit| limit.parse().map_err(|_| row.strange(3))).transpose()?,
        read_only: row.text(4)? == "on",
        size: row.number(5)?,
        schema: schema
            .map(|row| Ok::<_, DatabaseError>(Schema { version: row.number(0)?, dirty: row.text(1)? == "t" }))
            .transpose()?,
    })
}
