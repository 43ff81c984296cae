//! One connection to Redis, from its login to its end.

use std::time::Duration;

use redis::{
    AsyncConnectionConfig, Cmd, ErrorKind, FromRedisValue, Pipeline, RedisConnectionInfo, RedisError,
    aio::MultiplexedConnection,
};
use secrecy::ExposeSecret;
use tokio::time::timeout;
use tokio_util::task::AbortOnDropHandle;

use super::{CacheError, Login, error::Context};
use crate::clients::connection::Server;

/// What is longer is an error: a `FLUSHDB` of a large queue is the slowest thing that is asked.
const ANSWER_PATIENCE: Duration = Duration::from_secs(30);
/// A server that is there closes at once; one that does not is left.
const CLOSE_PATIENCE: Duration = Duration::from_secs(1);

/// Dropped without [`Self::close`], the connection ends where it stands.
pub(super) struct Session {
    connection: MultiplexedConnection,
    driver: AbortOnDropHandle<()>,
    context: Context,
}

impl Session {
    pub(super) async fn open(server: &Server, login: &Login) -> Result<Self, CacheError> {
        let context =
            Context { server: server.to_string(), user: login.user.clone().unwrap_or_else(|| "default".to_owned()) };
        let stream = server.connect().await.map_err(|error| context.failed(error))?;
        // Login and database are asked for below, so that the server's own words are heard.
        let nothing = RedisConnectionInfo::default().set_skip_set_lib_name();
        let config = AsyncConnectionConfig::new().set_response_timeout(Some(ANSWER_PATIENCE));
        let (connection, driver) = MultiplexedConnection::new_with_config(&nothing, stream, config)
            .await
            .map_err(|error| context.told(&error))?;
        let driver = AbortOnDropHandle::new(tokio::spawn(driver));
        let mut session = Self { connection, driver, context };
        let password = login.password.as_ref().map(ExposeSecret::expose_secret);
        match (&login.user, password) {
            (Some(user), password) => session.ask(&["AUTH", user, password.unwrap_or_default()]).await?,
            (None, Some(password)) => session.ask(&["AUTH", password]).await?,
            (None, None) => {}
        }
        Ok(session)
    }

    /// One command.
    pub(super) async fn ask<T: FromRedisValue>(&mut self, words: &[&str]) -> Result<T, CacheError> {
        let mut command = Cmd::new();
        for word in words {
            command.arg(word);
        }
        command.query_async(&mut self.connection).await.map_err(|error| self.context.told(&error))
    }

    /// All of these or none, with no other command between; the answer of each, errors too.
    pub(super) async fn ask_together<T: FromRedisValue>(&mut self, commands: &[Vec<String>]) -> Result<T, CacheError> {
        let mut pipeline = Pipeline::new();
        pipeline.atomic();
        for words in commands {
            let mut command = Cmd::new();
            for word in words {
                command.arg(word);
            }
            pipeline.add_command(command);
        }
        pipeline.query_async(&mut self.connection).await.map_err(|error| self.context.told(&error))
    }

    pub(super) async fn select(&mut self, database: u32) -> Result<(), CacheError> {
        let index = database.to_string();
        self.ask(&["SELECT", &index]).await.map_err(|error| match error {
            CacheError::Unexpected { message, .. } if message.contains("index is out of range") => {
                CacheError::DatabaseMissing { server: self.context.server.clone(), database }
            }
            error => error,
        })
    }

    /// How many there are.
    pub(super) async fn databases(&mut self) -> Result<u32, CacheError> {
        let answer: Vec<String> = self.ask(&["CONFIG", "GET", "databases"]).await?;
        answer.get(1).and_then(|count| count.parse().ok()).ok_or_else(|| self.strange("CONFIG GET"))
    }

    pub(super) fn strange(&self, what: &str) -> CacheError {
        CacheError::Unexpected {
            server: self.context.server.clone(),
            message: format!("something else than expected to {what}"),
        }
    }

    /// Ends it, so that the server counts one connection less.
    pub(super) async fn close(self) {
        let Self { connection, driver, .. } = self;
        drop(connection);
        timeout(CLOSE_PATIENCE, driver).await.ok();
    }
}

/// A value of `INFO`.
pub(super) fn field<'a>(information: &'a str, name: &str) -> Option<&'a str> {
    information.lines().find_map(|line| line.trim_end().strip_prefix(name)?.strip_prefix(':'))
}

/// The server's own words, when the error is one of its answers: the code and the rest.
pub(super) fn answer(error: &RedisError) -> Option<(&str, &str)> {
    let code = error.code()?;
    match error.kind() {
        ErrorKind::Server(_) | ErrorKind::Extension => Some((code, error.detail().unwrap_or_default())),
        _ => None,
    }
}
