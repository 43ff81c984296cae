//! One Harbor's user on a Redis that many share, and what keeps it from the others' data.
//!
//! Redis has no rights for databases, but it lets `SELECT` be allowed with one argument at a time, which
//! holds in scripts and transactions too. So a user may select its own databases and no other, may not use
//! any command that names another one (`MOVE`, `COPY`, `SWAPDB`), none that acts on the whole server
//! (`FLUSHALL`, `CONFIG`, `ACL`, `FUNCTION`, `SCRIPT FLUSH`, `MONITOR`, `CLIENT KILL` …), and no channel,
//! since channels are of the server and not of a database; Harbor uses none. Two things stay:
//! - Every connection begins in database 0, whatever its user. It is given to nobody: what a tenant leaves
//!   there, any other may read and overwrite, and that is all.
//! - Memory and time are shared. `INFO` tells how many keys others have, not which.

use std::{collections::BTreeSet, time::Duration};

use redis::Value;
use secrecy::{ExposeSecret, SecretString};
use sha2::{Digest, Sha256};
use tokio::time::timeout;

use super::{CacheError, Login, session::Session};
use crate::clients::connection::Server;

/// The writing of a file of users, and the emptying of a few databases. Less than the engine gives an
/// effect.
const PATIENCE: Duration = Duration::from_mins(1);

/// All that core, jobservice, registry and trivy send (go-redis, redigo, gocraft/work), and what
/// [`probe`](super::probe) asks. `AUTH` and `HELLO` need no right.
const COMMANDS: [&str; 22] = [
    "-@all",
    "+@read",
    "+@write",
    "+@transaction",
    // Both take what they find in a category for more than they should.
    "-@dangerous",
    "-function",
    // They name another database.
    "-move",
    "-copy",
    "-swapdb",
    "+eval",
    "+evalsha",
    "+script|load",
    "+script|exists",
    "+ping",
    "+echo",
    "+quit",
    "+client|id",
    "+client|getname",
    "+client|setname",
    "+acl|whoami",
    // Dangerous for the time they take alone, and jobservice asks for keys.
    "+info",
    "+keys",
];
/// The name of a user that exists between two commands of one transaction, is off, and shows how this
/// version of Redis writes down what it was told.
const REFERENCE: &str = "fairway-reference";

/// What one Harbor may do on the server.
#[derive(Clone, Debug)]
pub struct User {
    /// Of printable ASCII without spaces.
    pub name: String,
    /// One; or two while it is changed, so that pods with either can log in.
    pub passwords: Vec<SecretString>,
    /// The databases that it may select; never 0.
    pub databases: BTreeSet<u32>,
}

/// What [`ensure_user`] leaves behind.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EnsuredUser {
    /// Whether the user is new or was other than it should be.
    pub changed: bool,
    /// Whether it is there after Redis is started again.
    pub persistence: Persistence,
}

/// Where a server keeps its users.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Persistence {
    /// In the file named by `aclfile`, which was written.
    AclFile,
    /// Nowhere: it has no `aclfile`. Users are gone when it is started again, until they are ensured anew.
    MemoryAlone,
}

/// Makes the user, or mends what of it is not as it should be. The server gets the digest of its password
/// alone. Connections that are open go on, unless the user could use channels before.
///
/// # Errors
/// When the administrator can't do that, when a database is 0 or beyond those of the server, and when the
/// server lets anyone in.
pub async fn ensure_user(server: &Server, administrator: &Login, user: &User) -> Result<EnsuredUser, CacheError> {
    check_name(&user.name)?;
    if user.databases.contains(&0) {
        return Err(CacheError::DatabaseOfAll);
    }
    within(server, administrator, async |session| {
        refuse_open(server, session).await?;
        refuse_missing(server, session, user).await?;
        let mut rules = rules(user);
        let reference = |rules: &[String]| words(&["ACL", "SETUSER", REFERENCE], rules);
        let answers: Vec<Value> = session
            .ask_together(&[
                reference(&rules),
                words(&["ACL", "GETUSER", REFERENCE], &[]),
                words(&["ACL", "DELUSER", REFERENCE], &[]),
                words(&["ACL", "GETUSER", &user.name], &[]),
            ])
            .await?;
        let [made, expected, _, found] = answers.as_slice() else { return Err(session.strange("ACL")) };
        if let Value::ServerError(error) = made {
            return Err(CacheError::refused(server, error.details().unwrap_or_default()));
        }
        // The reference is off, so that nobody can be it even for that moment.
        let changed = described(expected, "off") != described(found, "on");
        if changed {
            if let Some(state) = rules.iter_mut().find(|rule| *rule == "off") {
                "on".clone_into(state);
            }
            session.ask::<()>(&borrowed(&words(&["ACL", "SETUSER", &user.name], &rules))).await?;
        }
        let persistence = persist(session).await?;
        Ok(EnsuredUser { changed, persistence })
    })
    .await
}

/// Deletes the user and ends its connections. Whether there was one.
///
/// # Errors
/// When the administrator can't do that.
pub async fn delete_user(server: &Server, administrator: &Login, name: &str) -> Result<bool, CacheError> {
    check_name(name)?;
    within(server, administrator, async |session| {
        let deleted: u32 = session.ask(&["ACL", "DELUSER", name]).await?;
        persist(session).await?;
        Ok(deleted > 0)
    })
    .await
}

/// Empties exactly these databases. Delete their user first, or it may write again.
///
/// # Errors
/// When the administrator can't do that. What was emptied before stays empty.
pub async fn forget(server: &Server, administrator: &Login, databases: &BTreeSet<u32>) -> Result<(), CacheError> {
    within(server, administrator, async |session| {
        for database in databases {
            session.select(*database).await?;
            // The memory is given back while others are served.
            session.ask::<()>(&["FLUSHDB", "ASYNC"]).await?;
        }
        Ok(())
    })
    .await
}

async fn within<T>(
    server: &Server,
    administrator: &Login,
    work: impl AsyncFnOnce(&mut Session) -> Result<T, CacheError>,
) -> Result<T, CacheError> {
    let working = async {
        let mut session = Session::open(server, administrator).await?;
        let outcome = work(&mut session).await;
        session.close().await;
        outcome
    };
    timeout(PATIENCE, working).await.unwrap_or_else(|_| Err(CacheError::too_slow(server, PATIENCE)))
}

fn check_name(name: &str) -> Result<(), CacheError> {
    let printable = !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_graphic());
    if printable && !["default", REFERENCE].contains(&name) {
        Ok(())
    } else {
        Err(CacheError::Name { name: name.to_owned() })
    }
}

/// All that makes the user, from nothing.
fn rules(user: &User) -> Vec<String> {
    let mut rules = words(&["reset", "off", "~*", "resetchannels"], &[]);
    rules.extend(user.passwords.iter().map(|password| {
        let digest = Sha256::digest(password.expose_secret().as_bytes());
        digest.iter().fold("#".to_owned(), |text, byte| format!("{text}{byte:02x}"))
    }));
    rules.extend(COMMANDS.map(str::to_owned));
    rules.extend(user.databases.iter().map(|database| format!("+select|{database}")));
    rules
}

/// What `ACL GETUSER` tells, with the flag taken out that is expected to differ; nothing without a user.
fn described(user: &Value, flag: &str) -> Option<Vec<(String, Vec<String>)>> {
    let fields = user.as_map_iter()?;
    let described = fields.map(|(name, value)| {
        let mut texts = Vec::new();
        flatten(value, &mut texts);
        texts.sort_unstable();
        if let Some(found) = texts.iter().position(|text| text == flag) {
            texts.remove(found);
        }
        let mut name_of = Vec::new();
        flatten(name, &mut name_of);
        (name_of.concat(), texts)
    });
    Some(described.collect())
}

fn flatten(value: &Value, texts: &mut Vec<String>) {
    match value {
        Value::Array(values) | Value::Set(values) => values.iter().for_each(|value| flatten(value, texts)),
        Value::BulkString(bytes) => texts.push(String::from_utf8_lossy(bytes).into_owned()),
        Value::SimpleString(text) => texts.push(text.clone()),
        other => texts.push(format!("{other:?}")),
    }
}

/// Anyone who reaches the server could read all of it.
async fn refuse_open(server: &Server, session: &mut Session) -> Result<(), CacheError> {
    let default: Value = session.ask(&["ACL", "GETUSER", "default"]).await?;
    let mut texts = Vec::new();
    flatten(&default, &mut texts);
    let says = |word: &str| texts.iter().any(|text| text == word);
    if says("on") && says("nopass") { Err(CacheError::OpenToAll { server: server.to_string() }) } else { Ok(()) }
}

/// A user could be made for databases that are not there, and would fail only at its first command.
async fn refuse_missing(server: &Server, session: &mut Session, user: &User) -> Result<(), CacheError> {
    let Some(last) = user.databases.last() else { return Ok(()) };
    match session.databases().await {
        Ok(databases) if *last >= databases => {
            Err(CacheError::DatabaseMissing { server: server.to_string(), database: *last })
        }
        // Services in a cloud let nobody read their configuration.
        Ok(_) | Err(CacheError::Permission { .. } | CacheError::Unexpected { .. }) => Ok(()),
        Err(error) => Err(error),
    }
}

/// Writes the users down, if the server has a place for them: also when nothing changed, since who changed it may have
/// come to an end before it was written.
async fn persist(session: &mut Session) -> Result<Persistence, CacheError> {
    let file: Vec<String> = match session.ask(&["CONFIG", "GET", "aclfile"]).await {
        Err(CacheError::Permission { .. } | CacheError::Unexpected { .. }) => return Ok(Persistence::MemoryAlone),
        answer => answer?,
    };
    if file.get(1).is_none_or(String::is_empty) {
        return Ok(Persistence::MemoryAlone);
    }
    session.ask::<()>(&["ACL", "SAVE"]).await?;
    Ok(Persistence::AclFile)
}

fn words(first: &[&str], rest: &[String]) -> Vec<String> {
    first.iter().map(|word| (*word).to_owned()).chain(rest.iter().cloned()).collect()
}

fn borrowed(words: &[String]) -> Vec<&str> {
    words.iter().map(String::as_str).collect()
}
