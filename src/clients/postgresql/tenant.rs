//! One Harbor's role and database on a server that many share. Every step may be the last one before a
//! crash: each looks first at what is there, and the next call goes on. Nothing is taken over: a role is
//! known by its comment, a database by its owner.

use std::time::Duration;

use postgres_protocol::{
    escape::{escape_identifier, escape_literal},
    password::scram_sha_256,
};
use secrecy::{ExposeSecret, SecretString};
use tokio::time::timeout;

use super::{Administrator, Credentials, DatabaseError, RESERVED, session::Session};
use crate::clients::connection::Server;

/// A database is copied from `template0` within a second on any disk that is fit for it; the rest is lines
/// in the catalog. Less than the engine gives an effect.
const PATIENCE: Duration = Duration::from_secs(90);
/// Keeps two calls on one server apart, since the catalog refuses two changes of one line at once. The
/// number is "fairway" in ASCII; a call that waits for longer than the limit is tried again later.
const LOCK: &str = "SET lock_timeout = '30s'; SELECT pg_catalog.pg_advisory_lock(28817553144373625)";
/// `NAMEDATALEN` less one: what is longer is silently cut.
const LONGEST_NAME: usize = 63;
/// How the comments begin on all roles that Fairway makes, whatever installation of it does.
pub const MARK: &str = "fairway: harbor ";
/// Where everyone may connect when a server is new.
const COMMON_DATABASES: [&str; 2] = ["postgres", "template1"];

/// What one Harbor has on the server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tenant {
    /// Owned by the role, with nobody else let in.
    pub database: String,
    /// With `LOGIN` and nothing more.
    pub role: String,
    /// The comment on the role, which tells whose it is: [`MARK`] with more, such as `fairway: harbor
    /// team-a/registry`. A role with another comment is left alone.
    pub mark: String,
    /// How many connections the role may hold.
    pub connection_limit: u32,
}

/// What [`ensure_database`] leaves behind.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ensured {
    /// What was done; nothing when all was well.
    pub changes: Vec<Change>,
    /// The databases of the server that any role may still connect to, since the administrator may not
    /// close them or they are not this operator's to close.
    pub open_databases: Vec<String>,
}

/// One thing that was done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Change {
    /// The role is new.
    RoleMade,
    /// The role had other rights or another limit.
    RoleMended,
    /// The role could not log in with its password.
    PasswordSet,
    /// The database is new.
    DatabaseMade,
    /// The database was closed to all, as it is until it is finished.
    DatabaseOpened,
    /// Any role could connect to this database.
    PublicShutOut(String),
    /// The database is gone.
    DatabaseDropped,
    /// The role is gone.
    RoleDropped,
}

/// Makes role and database, or mends what of them is not as it should be. The password goes to the server
/// as a SCRAM verifier, so that no log of it holds it in clear; it is set only when a login with it fails.
///
/// # Errors
/// When the administrator can't do that, when something else has one of the names, when the server has fewer
/// connections than are promised to the roles of all, and when the role can't log in in the end.
pub async fn ensure_database(
    administrator: &Administrator,
    tenant: &Tenant,
    password: &SecretString,
) -> Result<Ensured, DatabaseError> {
    within(administrator, tenant, async |session| {
        let mut changes = Vec::new();
        ensure_role(&administrator.server, session, tenant, password, &mut changes).await?;
        ensure_owned(session, tenant, &mut changes).await?;
        shut_common(session, &mut changes).await?;
        ensure_password(administrator, session, tenant, password, &mut changes).await?;
        let open = session.rows(&public_databases("d.datallowconn")).await?;
        let open_databases = open.iter().map(|row| row.text(0).map(str::to_owned)).collect::<Result<_, _>>()?;
        Ok(Ensured { changes, open_databases })
    })
    .await
}

/// Ends all connections to the database, drops it with all that it holds, and then the role. What is not
/// there is no error.
///
/// # Errors
/// When the administrator can't do that, and when the database or the role is not this tenant's.
pub async fn drop_database(administrator: &Administrator, tenant: &Tenant) -> Result<Vec<Change>, DatabaseError> {
    within(administrator, tenant, async |session| {
        let mut changes = Vec::new();
        let role = find_role(session, tenant).await?;
        if find_database(session, tenant).await?.is_some() {
            become_member(session, tenant).await?;
            session.run(&format!("DROP DATABASE {} WITH (FORCE)", escape_identifier(&tenant.database))).await?;
            changes.push(Change::DatabaseDropped);
        }
        if role.is_some() {
            session.run(&format!("DROP ROLE {}", escape_identifier(&tenant.role))).await?;
            changes.push(Change::RoleDropped);
        }
        Ok(changes)
    })
    .await
}

/// Gives the role another password. Connections that are open go on.
///
/// # Errors
/// When the administrator can't do that, and when the role is missing or not this tenant's.
pub async fn set_password(
    administrator: &Administrator,
    tenant: &Tenant,
    password: &SecretString,
) -> Result<(), DatabaseError> {
    within(administrator, tenant, async |session| {
        find_role(session, tenant).await?;
        write_password(session, tenant, password).await
    })
    .await
}

/// Logs in as the administrator, alone among those who do so for Fairway.
async fn within<T>(
    administrator: &Administrator,
    tenant: &Tenant,
    work: impl AsyncFnOnce(&Session) -> Result<T, DatabaseError>,
) -> Result<T, DatabaseError> {
    for name in [&tenant.database, &tenant.role] {
        if name.is_empty() || name.len() > LONGEST_NAME || name.contains('\0') {
            return Err(DatabaseError::Name { name: name.clone() });
        }
    }
    let Administrator { server, credentials, database } = administrator;
    let working = async {
        let session = Session::open(server, credentials, database).await?;
        let outcome = match session.rows(LOCK).await {
            Ok(_) => work(&session).await,
            Err(error) => Err(error),
        };
        // The lock goes with the connection.
        session.close().await;
        outcome
    };
    timeout(PATIENCE, working).await.unwrap_or_else(|_| Err(DatabaseError::too_slow(server, PATIENCE)))
}

/// How a role should be, as `pg_roles` says it, and as `CREATE ROLE` and `ALTER ROLE` take it.
const RIGHTS: [(&str, &str); 6] = [
    ("rolcanlogin", "LOGIN"),
    ("NOT rolsuper", "NOSUPERUSER"),
    ("NOT rolcreatedb", "NOCREATEDB"),
    ("NOT rolcreaterole", "NOCREATEROLE"),
    ("NOT rolreplication", "NOREPLICATION"),
    ("NOT rolbypassrls", "NOBYPASSRLS"),
];

/// A role that is there.
struct Role {
    /// The words of [`RIGHTS`] that do not hold of it.
    wrong: Vec<&'static str>,
    /// -1 is none.
    limit: i64,
}

/// The role, if it is there; an error when it is another's.
async fn find_role(session: &Session, tenant: &Tenant) -> Result<Option<Role>, DatabaseError> {
    let found = session
        .rows(&format!(
            "SELECT coalesce(pg_catalog.shobj_description(oid, 'pg_authid'), ''), rolconnlimit, {}
            FROM pg_catalog.pg_roles WHERE rolname = {}",
            RIGHTS.map(|(right, _)| right).join(", "),
            escape_literal(&tenant.role)
        ))
        .await?
        .pop();
    let Some(role) = found else { return Ok(None) };
    let comment = role.text(0)?;
    if comment != tenant.mark {
        return Err(DatabaseError::RoleTaken {
            role: tenant.role.clone(),
            mark: tenant.mark.clone(),
            comment: comment.to_owned(),
        });
    }
    let mut wrong = Vec::new();
    for (number, (_, word)) in RIGHTS.into_iter().enumerate() {
        if role.text(number + 2)? != "t" {
            wrong.push(word);
        }
    }
    Ok(Some(Role { wrong, limit: role.number(1)? }))
}

/// Only what differs is named: who is no superuser may not say of a role that it is none, even where it is so.
async fn ensure_role(
    server: &Server,
    session: &Session,
    tenant: &Tenant,
    password: &SecretString,
    changes: &mut Vec<Change>,
) -> Result<(), DatabaseError> {
    let role = escape_identifier(&tenant.role);
    let limit = format!("CONNECTION LIMIT {}", tenant.connection_limit);
    if let Some(found) = find_role(session, tenant).await? {
        let mut wrong = found.wrong;
        let wanted = i64::from(tenant.connection_limit);
        if found.limit != wanted {
            wrong.push(&limit);
        }
        // One without a limit gets one, which promises nothing more.
        if (0..wanted).contains(&found.limit) {
            refuse_more(server, session, tenant).await?;
        }
        if !wrong.is_empty() {
            session.run(&format!("ALTER ROLE {role} {}", wrong.join(" "))).await?;
            changes.push(Change::RoleMended);
        }
    } else {
        refuse_more(server, session, tenant).await?;
        // Two commands in one message are one transaction: there is never a role without its mark.
        let verifier = escape_literal(&scram_sha_256(password.expose_secret().as_bytes()));
        let (rights, mark) = (RIGHTS.map(|(_, word)| word).join(" "), escape_literal(&tenant.mark));
        let making =
            format!("CREATE ROLE {role} {rights} {limit} PASSWORD {verifier}; COMMENT ON ROLE {role} IS {mark}");
        session.run(&making).await?;
        changes.push(Change::RoleMade);
    }
    Ok(())
}

/// A registry that was promised more than there is would stand still in the middle of its work, and others with it.
async fn refuse_more(server: &Server, session: &Session, tenant: &Tenant) -> Result<(), DatabaseError> {
    let others = session
        .row(&format!(
            "SELECT current_setting('max_connections')::bigint - ({RESERVED}), coalesce(sum(rolconnlimit), 0)
            FROM pg_catalog.pg_roles WHERE rolconnlimit > 0 AND rolname <> {}
                AND pg_catalog.starts_with(pg_catalog.shobj_description(oid, 'pg_authid'), {})",
            escape_literal(&tenant.role),
            escape_literal(MARK)
        ))
        .await?;
    let (usable, promised): (i64, i64) = (others.number(0)?, others.number(1)?);
    let wanted = i64::from(tenant.connection_limit);
    if promised + wanted <= usable {
        return Ok(());
    }
    let (server, role) = (server.to_string(), tenant.role.clone());
    Err(DatabaseError::ConnectionBudgetExceeded { server, role, usable, promised, wanted })
}

/// Whether the database is there, and open to connections; an error when it is another's.
async fn find_database(session: &Session, tenant: &Tenant) -> Result<Option<bool>, DatabaseError> {
    let found = session
        .rows(&format!(
            "SELECT pg_catalog.pg_get_userbyid(datdba), datallowconn FROM pg_catalog.pg_database WHERE datname = {}",
            escape_literal(&tenant.database)
        ))
        .await?
        .pop();
    let Some(database) = found else { return Ok(None) };
    let owner = database.text(0)?;
    if owner != tenant.role {
        return Err(DatabaseError::DatabaseTaken {
            database: tenant.database.clone(),
            owner: owner.to_owned(),
            role: tenant.role.clone(),
        });
    }
    Ok(Some(database.text(1)? == "t"))
}

/// The database is closed to all from its first moment until nobody else is let in.
async fn ensure_owned(session: &Session, tenant: &Tenant, changes: &mut Vec<Change>) -> Result<(), DatabaseError> {
    let (database, role) = (escape_identifier(&tenant.database), escape_identifier(&tenant.role));
    let found = find_database(session, tenant).await?;
    if found != Some(true) {
        become_member(session, tenant).await?;
    }
    if found.is_none() {
        // template0 holds nothing that somebody left for all; Harbor's data is UTF-8.
        let making = format!(
            "CREATE DATABASE {database} OWNER {role} TEMPLATE template0 ENCODING 'UTF8' ALLOW_CONNECTIONS false"
        );
        session.run(&making).await?;
        changes.push(Change::DatabaseMade);
    }
    let name = format!("d.datname = {}", escape_literal(&tenant.database));
    shut_out(session, &name, changes).await?;
    if found != Some(true) {
        session.run(&format!("ALTER DATABASE {database} ALLOW_CONNECTIONS true")).await?;
        if found.is_some() {
            changes.push(Change::DatabaseOpened);
        }
    }
    Ok(())
}

/// Those of these databases that any role may connect to.
fn public_databases(which: &str) -> String {
    format!(
        "SELECT d.datname FROM pg_catalog.pg_database AS d WHERE ({which}) AND EXISTS (
            SELECT FROM pg_catalog.aclexplode(coalesce(d.datacl, pg_catalog.acldefault('d', d.datdba))) AS a
            WHERE a.grantee = 0 AND a.privilege_type IN ('CONNECT', 'CREATE')
        ) ORDER BY d.datname"
    )
}

async fn shut_out(session: &Session, which: &str, changes: &mut Vec<Change>) -> Result<(), DatabaseError> {
    for row in session.rows(&public_databases(which)).await? {
        let database = row.text(0)?;
        session.run(&format!("REVOKE ALL ON DATABASE {} FROM PUBLIC", escape_identifier(database))).await?;
        changes.push(Change::PublicShutOut(database.to_owned()));
    }
    Ok(())
}

/// What all databases of a server share, such as names, is seen from anywhere; but no tenant has anything to
/// look for in these, and no place there to leave anything for another. Closed only by who owns them.
async fn shut_common(session: &Session, changes: &mut Vec<Change>) -> Result<(), DatabaseError> {
    let names = COMMON_DATABASES.map(escape_literal).join(", ");
    let which = format!("d.datname IN ({names}) AND pg_catalog.pg_has_role(d.datdba, 'USAGE')");
    shut_out(session, &which, changes).await
}

/// Who is no superuser gives a database only to a role that it is a member of.
async fn become_member(session: &Session, tenant: &Tenant) -> Result<(), DatabaseError> {
    let role = escape_literal(&tenant.role);
    if session.row(&format!("SELECT pg_catalog.pg_has_role({role}, 'USAGE')")).await?.text(0)? == "f" {
        session.run(&format!("GRANT {} TO CURRENT_USER", escape_identifier(&tenant.role))).await?;
    }
    Ok(())
}

async fn ensure_password(
    administrator: &Administrator,
    session: &Session,
    tenant: &Tenant,
    password: &SecretString,
    changes: &mut Vec<Change>,
) -> Result<(), DatabaseError> {
    let credentials = Credentials { user: tenant.role.clone(), password: password.clone() };
    let server = &administrator.server;
    match Session::open(server, &credentials, &tenant.database).await {
        Ok(proven) => proven.close().await,
        // It is counted only once the password was right.
        Err(DatabaseError::ConnectionsExhausted { .. }) => {}
        Err(DatabaseError::PasswordRefused { .. }) => {
            write_password(session, tenant, password).await?;
            Session::open(server, &credentials, &tenant.database).await?.close().await;
            changes.push(Change::PasswordSet);
        }
        Err(error) => return Err(error),
    }
    Ok(())
}

async fn write_password(session: &Session, tenant: &Tenant, password: &SecretString) -> Result<(), DatabaseError> {
    let verifier = escape_literal(&scram_sha_256(password.expose_secret().as_bytes()));
    session.run(&format!("ALTER ROLE {} PASSWORD {verifier}", escape_identifier(&tenant.role))).await
}
