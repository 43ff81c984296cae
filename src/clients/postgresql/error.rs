//! What may go wrong between the operator and a database, in words for those who can mend it. Pure.

use std::{error::Error, time::Duration};

use tokio_postgres::error::SqlState;

use crate::{
    clients::connection::{ConnectError, Server, tls_cause},
    reconcile::{Failure, Retry},
};

/// What may go wrong between the operator and a database.
#[derive(Debug, thiserror::Error)]
pub enum DatabaseError {
    /// No such host, nobody listens, or no answer in time.
    #[error("the database server {server} cannot be reached: {cause}; check its host, port and network policies")]
    Unreachable {
        /// Host and port.
        server: String,
        /// In words.
        cause: String,
    },
    /// No TLS, or not with a certificate that is trusted.
    #[error("no TLS with the database server {server}: {cause}; check sslmode and the CA")]
    Tls {
        /// Host and port.
        server: String,
        /// In words.
        cause: String,
    },
    /// Wrong password or no such role: the server does not say which.
    #[error("the database server {server} refuses the password of role {user:?}, or has no such role")]
    PasswordRefused {
        /// Host and port.
        server: String,
        /// The role.
        user: String,
    },
    /// The role may not log in from here, or not in this way.
    #[error("the database server {server} does not let role {user:?} in: {cause}; check pg_hba.conf")]
    LoginRefused {
        /// Host and port.
        server: String,
        /// The role.
        user: String,
        /// The server's words.
        cause: String,
    },
    /// There is no such database.
    #[error("the database server {server} has no database {database:?}; create it, owned by role {user:?}")]
    DatabaseMissing {
        /// Host and port.
        server: String,
        /// The database.
        database: String,
        /// Who asked.
        user: String,
    },
    /// The role may not do that.
    #[error("role {user:?} may not do that in database {database:?} of {server}: {cause}")]
    Privilege {
        /// Host and port.
        server: String,
        /// The role.
        user: String,
        /// The database.
        database: String,
        /// The server's words.
        cause: String,
    },
    /// The server, the database or the role has as many connections as it may.
    #[error(
        "the database server {server} takes no more connections for role {user:?}: {cause}; raise the limit, or lower replicas or pools"
    )]
    ConnectionsExhausted {
        /// Host and port.
        server: String,
        /// The role.
        user: String,
        /// The server's words.
        cause: String,
    },
    /// It starts, stops or recovers.
    #[error("the database server {server} is not ready: {cause}")]
    NotReady {
        /// Host and port.
        server: String,
        /// The server's words.
        cause: String,
    },
    /// The database is another's: it is never taken over.
    #[error(
        "the database {database:?} belongs to role {owner:?} and not to {role:?}; it is left as it is: give it over, or name another"
    )]
    DatabaseTaken {
        /// The database.
        database: String,
        /// Whose it is.
        owner: String,
        /// Whose it should be.
        role: String,
    },
    /// The role is another's: it is never taken over.
    #[error(
        "the role {role:?} was not made for {mark:?} (its comment says {comment:?}); it is left as it is: drop it, or set that comment to give it over"
    )]
    RoleTaken {
        /// The role.
        role: String,
        /// What its comment should say.
        mark: String,
        /// What its comment says.
        comment: String,
    },
    /// All roles of registries together would be promised more connections than there are.
    #[error(
        "the database server {server} has {usable} connections for registries, of which others may hold {promised}: {wanted} for role {role:?} are too many; raise max_connections of the server, or lower connectionsPerRegistry of the class"
    )]
    ConnectionBudgetExceeded {
        /// Host and port.
        server: String,
        /// Who was to have some.
        role: String,
        /// `max_connections` less what is reserved.
        usable: i64,
        /// The limits of all other roles of registries together.
        promised: i64,
        /// What the role was to have.
        wanted: i64,
    },
    /// Something still uses what shall go.
    #[error("the database server {server} keeps what shall go: {cause}")]
    InUse {
        /// Host and port.
        server: String,
        /// The server's words.
        cause: String,
    },
    /// Others are being served, one after the other.
    #[error("the database server {server} is busy with other registries: {cause}; it is tried again")]
    Busy {
        /// Host and port.
        server: String,
        /// The server's words.
        cause: String,
    },
    /// `PostgreSQL` would shorten the name, or can't hold it.
    #[error("{name:?} can't be a name in PostgreSQL: it has to be 1 to 63 bytes long")]
    Name {
        /// The name.
        name: String,
    },
    /// Anything else.
    #[error("the database server {server} answered {code}: {message}")]
    Unexpected {
        /// Host and port.
        server: String,
        /// `SQLSTATE`, or what kind of error it is.
        code: String,
        /// The server's words.
        message: String,
    },
}

/// Who asked whom, for the words of an error.
#[derive(Clone, Debug)]
pub(super) struct Context {
    pub(super) server: String,
    pub(super) user: String,
    pub(super) database: String,
}

impl Context {
    pub(super) fn failed(&self, error: ConnectError) -> DatabaseError {
        let server = self.server.clone();
        match error {
            ConnectError::Unreachable(cause) => DatabaseError::Unreachable { server, cause },
            ConnectError::Tls(cause) => DatabaseError::Tls { server, cause },
        }
    }

    pub(super) fn strange(&self, message: &str) -> DatabaseError {
        DatabaseError::Unexpected {
            server: self.server.clone(),
            code: "an answer that is not understood".to_owned(),
            message: message.to_owned(),
        }
    }

    /// What the server, or the crate, says.
    pub(super) fn told(&self, error: &tokio_postgres::Error) -> DatabaseError {
        let server = self.server.clone();
        if let Some(told) = error.as_db_error() {
            return self.classify(told.code(), told.message());
        }
        let cause = error.source().map_or_else(|| error.to_string(), ToString::to_string);
        // The crate keeps its kinds to itself; these words are all that tells them apart.
        match error.to_string().as_str() {
            "error performing TLS handshake" => DatabaseError::Tls { server, cause: tls_cause(error).unwrap_or(cause) },
            "authentication error" | "invalid configuration" => {
                DatabaseError::LoginRefused { server, user: self.user.clone(), cause }
            }
            // With TLS 1.3 some of what the server refuses shows only at the first read.
            _ => match tls_cause(error) {
                Some(cause) => DatabaseError::Tls { server, cause },
                None => DatabaseError::Unreachable { server, cause },
            },
        }
    }

    fn classify(&self, code: &SqlState, message: &str) -> DatabaseError {
        let (server, user, database) = (self.server.clone(), self.user.clone(), self.database.clone());
        let cause = message.to_owned();
        match code.code() {
            // invalid_password
            "28P01" => DatabaseError::PasswordRefused { server, user },
            // invalid_authorization_specification
            "28000" => DatabaseError::LoginRefused { server, user, cause },
            // invalid_catalog_name
            "3D000" => DatabaseError::DatabaseMissing { server, database, user },
            // insufficient_privilege
            "42501" => DatabaseError::Privilege { server, user, database, cause },
            // too_many_connections
            "53300" => DatabaseError::ConnectionsExhausted { server, user, cause },
            // cannot_connect_now, admin_shutdown, crash_shutdown
            "57P03" | "57P01" | "57P02" => DatabaseError::NotReady { server, cause },
            // object_in_use, dependent_objects_still_exist
            "55006" | "2BP01" => DatabaseError::InUse { server, cause },
            // lock_not_available
            "55P03" => DatabaseError::Busy { server, cause },
            code => DatabaseError::Unexpected { server, code: code.to_owned(), message: cause },
        }
    }
}

impl DatabaseError {
    pub(super) fn too_slow(server: &Server, patience: Duration) -> Self {
        Self::Unreachable {
            server: server.to_string(),
            cause: format!("no full answer within {} s", patience.as_secs()),
        }
    }
}

impl Failure for DatabaseError {
    fn reason(&self) -> &'static str {
        match self {
            Self::Unreachable { .. } => "DatabaseUnreachable",
            Self::Tls { .. } => "DatabaseUntrusted",
            Self::PasswordRefused { .. } => "DatabasePasswordRefused",
            Self::LoginRefused { .. } => "DatabaseLoginRefused",
            Self::DatabaseMissing { .. } => "DatabaseMissing",
            Self::Privilege { .. } => "DatabasePrivilegeMissing",
            Self::ConnectionsExhausted { .. } => "DatabaseConnectionsExhausted",
            Self::NotReady { .. } => "DatabaseNotReady",
            Self::DatabaseTaken { .. } => "DatabaseTaken",
            Self::RoleTaken { .. } => "DatabaseRoleTaken",
            Self::ConnectionBudgetExceeded { .. } => "ConnectionBudgetExceeded",
            Self::InUse { .. } => "DatabaseInUse",
            Self::Busy { .. } => "DatabaseBusy",
            Self::Name { .. } => "DatabaseNameInvalid",
            Self::Unexpected { .. } => "DatabaseAnswerUnknown",
        }
    }

    fn retry(&self) -> Retry {
        match self {
            Self::Name { .. } => Retry::Terminal,
            // Somebody has to mend it, and the server need not be asked every second until then.
            Self::PasswordRefused { .. }
            | Self::LoginRefused { .. }
            | Self::DatabaseMissing { .. }
            | Self::Privilege { .. }
            | Self::DatabaseTaken { .. }
            | Self::RoleTaken { .. }
            | Self::ConnectionBudgetExceeded { .. } => Retry::After(Duration::from_secs(30)),
            _ => Retry::Backoff,
        }
    }
}
