//! What may go wrong between the operator and a Redis, in words for those who can mend it. Pure.

use std::{fmt, time::Duration};

use redis::RedisError;

use super::session::answer;
use crate::{
    clients::connection::{ConnectError, Server, tls_cause},
    reconcile::{Failure, Retry},
};

/// The reason of [`CacheError::CannotSave`].
pub const CANNOT_SAVE: &str = "CacheCannotSave";

/// What may go wrong between the operator and a Redis.
#[derive(Debug, thiserror::Error)]
pub enum CacheError {
    /// No such host, nobody listens, or no answer in time.
    #[error("the Redis server {server} cannot be reached: {cause}; check its host, port and network policies")]
    Unreachable {
        /// Host and port.
        server: String,
        /// In words.
        cause: String,
    },
    /// No TLS, or not with a certificate that is trusted.
    #[error("no TLS with the Redis server {server}: {cause}; check its TLS port and the CA")]
    Tls {
        /// Host and port.
        server: String,
        /// In words.
        cause: String,
    },
    /// Wrong password, no such user, or none given where one is needed.
    #[error("the Redis server {server} does not let user {user:?} in: {cause}")]
    PasswordRefused {
        /// Host and port.
        server: String,
        /// The ACL user.
        user: String,
        /// The server's words.
        cause: String,
    },
    /// The user may not do that.
    #[error("user {user:?} may not do that on the Redis server {server}: {cause}; check its ACL")]
    Permission {
        /// Host and port.
        server: String,
        /// The ACL user.
        user: String,
        /// The server's words.
        cause: String,
    },
    /// The server has fewer databases.
    #[error("the Redis server {server} has no database {database}; raise `databases` in its configuration")]
    DatabaseMissing {
        /// Host and port.
        server: String,
        /// The index.
        database: u32,
    },
    /// It reads its data, follows a master that is away, or has as many clients as it may.
    #[error("the Redis server {server} is not ready: {cause}")]
    NotReady {
        /// Host and port.
        server: String,
        /// The server's words.
        cause: String,
    },
    /// It takes nothing new and can be read, and goes on by itself when it can.
    #[error("the Redis server {server} takes no writes, since it can't save them: {cause}")]
    CannotSave {
        /// Host and port.
        server: String,
        /// The server's words.
        cause: String,
    },
    /// Every connection begins in database 0, and no ACL can keep a user out of it.
    #[error("database 0 of a shared Redis can be given to nobody, since every user reaches it; take a higher index")]
    DatabaseOfAll,
    /// Anyone is let in, and as a user who may do all.
    #[error(
        "the Redis server {server} lets anyone in without a password, so nobody's data is safe on it; set requirepass, or turn its user \"default\" off"
    )]
    OpenToAll {
        /// Host and port.
        server: String,
    },
    /// Redis would take it for something else.
    #[error(
        "{name:?} can't be the name of a Redis user: it has to be of printable ASCII, without spaces, and not \"default\""
    )]
    Name {
        /// The name.
        name: String,
    },
    /// Anything else.
    #[error("the Redis server {server} answered {message}")]
    Unexpected {
        /// Host and port.
        server: String,
        /// The server's words.
        message: String,
    },
}

/// Who asked whom, for the words of an error.
#[derive(Clone, Debug)]
pub(super) struct Context {
    pub(super) server: String,
    pub(super) user: String,
}

impl Context {
    pub(super) fn failed(&self, error: ConnectError) -> CacheError {
        let server = self.server.clone();
        match error {
            ConnectError::Unreachable(cause) => CacheError::Unreachable { server, cause },
            ConnectError::Tls(cause) => CacheError::Tls { server, cause },
        }
    }

    /// What the server, or the crate, says.
    pub(super) fn told(&self, error: &RedisError) -> CacheError {
        if let Some((code, message)) = answer(error) {
            return self.classify(code, message);
        }
        let server = self.server.clone();
        match tls_cause(error) {
            Some(cause) => CacheError::Tls { server, cause },
            None => CacheError::Unreachable { server, cause: error.to_string() },
        }
    }

    fn classify(&self, code: &str, message: &str) -> CacheError {
        let (server, user) = (self.server.clone(), self.user.clone());
        let cause = message.to_owned();
        match code {
            // The last is of a server without a password, which only its own machine may speak to.
            "WRONGPASS" | "NOAUTH" | "DENIED" => CacheError::PasswordRefused { server, user, cause },
            "ERR" if message.contains("without any password configured") => {
                CacheError::PasswordRefused { server, user, cause }
            }
            "NOPERM" => CacheError::Permission { server, user, cause },
            "LOADING" | "MASTERDOWN" | "BUSY" | "TRYAGAIN" | "CLUSTERDOWN" => CacheError::NotReady { server, cause },
            "MISCONF" => CacheError::CannotSave { server, cause },
            "ERR" if message.contains("max number of clients reached") => CacheError::NotReady { server, cause },
            _ => CacheError::Unexpected { server, message: format!("{code} {message}") },
        }
    }
}

impl CacheError {
    pub(super) fn too_slow(server: &Server, patience: Duration) -> Self {
        Self::Unreachable {
            server: server.to_string(),
            cause: format!("no full answer within {} s", patience.as_secs()),
        }
    }

    pub(super) fn refused(server: &impl fmt::Display, message: &str) -> Self {
        Self::Unexpected { server: server.to_string(), message: message.to_owned() }
    }
}

impl Failure for CacheError {
    fn reason(&self) -> &'static str {
        match self {
            Self::Unreachable { .. } => "CacheUnreachable",
            Self::Tls { .. } => "CacheUntrusted",
            Self::PasswordRefused { .. } => "CachePasswordRefused",
            Self::Permission { .. } => "CachePermissionMissing",
            Self::DatabaseMissing { .. } => "CacheDatabaseMissing",
            Self::NotReady { .. } => "CacheNotReady",
            Self::CannotSave { .. } => CANNOT_SAVE,
            Self::DatabaseOfAll => "CacheDatabaseOfAll",
            Self::OpenToAll { .. } => "CacheOpenToAll",
            Self::Name { .. } => "CacheUserNameInvalid",
            Self::Unexpected { .. } => "CacheAnswerUnknown",
        }
    }

    fn retry(&self) -> Retry {
        match self {
            Self::DatabaseOfAll | Self::Name { .. } => Retry::Terminal,
            // Somebody has to mend it, and the server need not be asked every second until then.
            Self::PasswordRefused { .. }
            | Self::Permission { .. }
            | Self::DatabaseMissing { .. }
            | Self::OpenToAll { .. } => Retry::After(Duration::from_secs(30)),
            _ => Retry::Backoff,
        }
    }
}
