//! One connection to `PostgreSQL`, from its login to its end.

use std::{error::Error, str::FromStr, time::Duration};

use secrecy::ExposeSecret;
use tokio::{net::TcpStream, time::timeout};
use tokio_postgres::{
    Client, Config, NoTls, SimpleQueryMessage, SimpleQueryRow,
    config::SslMode,
    tls::{MakeTlsConnect, TlsConnect, TlsStream},
};
use tokio_postgres_rustls::MakeRustlsConnect;
use tokio_util::task::AbortOnDropHandle;

use super::{Credentials, DatabaseError, error::Context};
use crate::clients::connection::Server;

/// A server that is there says goodbye at once; one that does not is left.
const CLOSE_PATIENCE: Duration = Duration::from_secs(1);
/// A login that waits for longer will not get on: a server that starts answers so at once.
const LOGIN_PATIENCE: Duration = Duration::from_secs(10);

/// Dropped without [`Self::close`], the connection ends where it stands.
pub(super) struct Session {
    client: Client,
    driver: AbortOnDropHandle<()>,
    context: Context,
}

/// A row, as text.
pub(super) struct Row {
    row: SimpleQueryRow,
    context: Context,
}

impl Session {
    pub(super) async fn open(
        server: &Server,
        credentials: &Credentials,
        database: &str,
    ) -> Result<Self, DatabaseError> {
        let context =
            Context { server: server.to_string(), user: credentials.user.clone(), database: database.to_owned() };
        let mut config = Config::new();
        config
            .user(&credentials.user)
            .password(credentials.password.expose_secret())
            .dbname(database)
            .application_name("fairway");
        let login = async {
            let tls = server.tls().map_err(|error| context.failed(error))?;
            let stream = server.dial().await.map_err(|error| context.failed(error))?;
            match tls {
                None => log_in(config.ssl_mode(SslMode::Disable), stream, NoTls, &context).await,
                Some(tls) => {
                    let connector =
                        MakeTlsConnect::<TcpStream>::make_tls_connect(&mut MakeRustlsConnect::new(tls), &server.host);
                    let Ok(connector) = connector;
                    log_in(config.ssl_mode(SslMode::Require), stream, connector, &context).await
                }
            }
        };
        let (client, driver) = timeout(LOGIN_PATIENCE, login)
            .await
            .unwrap_or_else(|_| Err(DatabaseError::too_slow(server, LOGIN_PATIENCE)))?;
        Ok(Self { client, driver, context })
    }

    /// All rows of all that is asked.
    pub(super) async fn rows(&self, query: &str) -> Result<Vec<Row>, DatabaseError> {
        let messages = self.client.simple_query(query).await.map_err(|error| self.context.told(&error))?;
        let rows = messages.into_iter().filter_map(|message| match message {
            SimpleQueryMessage::Row(row) => Some(Row { row, context: self.context.clone() }),
            _ => None,
        });
        Ok(rows.collect())
    }

    /// The last row of what has one.
    pub(super) async fn row(&self, query: &str) -> Result<Row, DatabaseError> {
        self.rows(query).await?.pop().ok_or_else(|| self.context.strange("no row"))
    }

    /// Has it done.
    pub(super) async fn run(&self, command: &str) -> Result<(), DatabaseError> {
        self.client.batch_execute(command).await.map_err(|error| self.context.told(&error))
    }

    /// Says goodbye, so that the server counts one connection less.
    pub(super) async fn close(self) {
        let Self { client, driver, .. } = self;
        drop(client);
        timeout(CLOSE_PATIENCE, driver).await.ok();
    }
}

async fn log_in<T>(
    config: &Config,
    stream: TcpStream,
    tls: T,
    context: &Context,
) -> Result<(Client, AbortOnDropHandle<()>), DatabaseError>
where
    T: TlsConnect<TcpStream>,
    T::Stream: TlsStream + Send + 'static,
    T::Error: Into<Box<dyn Error + Send + Sync>>,
{
    let (client, connection) = config.connect_raw(stream, tls).await.map_err(|error| context.told(&error))?;
    let driver = tokio::spawn(async {
        // What ends the connection shows at the question that it was asked meanwhile.
        connection.await.ok();
    });
    Ok((client, AbortOnDropHandle::new(driver)))
}

impl Row {
    pub(super) fn optional(&self, column: usize) -> Option<&str> {
        self.row.try_get(column).ok().flatten()
    }

    pub(super) fn text(&self, column: usize) -> Result<&str, DatabaseError> {
        self.optional(column).ok_or_else(|| self.strange(column))
    }

    pub(super) fn number<N: FromStr>(&self, column: usize) -> Result<N, DatabaseError> {
        self.text(column)?.parse().map_err(|_| self.strange(column))
    }

    pub(super) fn strange(&self, column: usize) -> DatabaseError {
        self.context.strange(&format!("column {column} of a row"))
    }
}
