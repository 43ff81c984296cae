//! A PostgreSQL of a test.

use std::{
    path::{Path, PathBuf},
    time::Instant,
};

use fairway::clients::{
    connection::{Encryption, Server},
    postgresql::{Administrator, Credentials, DatabaseError, MARK, Tenant, probe},
};
use nix::sys::signal::Signal;
use tokio::time::{Duration, sleep};
use tokio_postgres::{Client, Config, NoTls, SimpleQueryMessage};

use crate::{
    certificates::Certificates,
    server_process::{DEADLINE, Directory, Process, command, free_port},
};

pub(crate) const ROOT_PASSWORD: &str = "root-Of-all-0";

/// `rejected` may never log in; others by SCRAM, over the network alone.
const LOGINS: &str = "host all rejected all reject\nhost all all 127.0.0.1/32 scram-sha-256\n";

pub(crate) struct PostgreSql {
    pub(crate) server: Server,
    process: Process,
    directory: Directory,
}

impl PostgreSql {
    pub(crate) async fn start() -> Self {
        Self::start_with(None, &[]).await
    }

    /// One with 30 connections that writes down each statement.
    pub(crate) async fn start_with(certificates: Option<&Certificates>, settings: &[&str]) -> Self {
        let directory = Directory::new();
        let password = directory.write("password", ROOT_PASSWORD);
        let data = directory.path().join("data");
        let made = command(programs().join("initdb"))
            .args(["--username=postgres", "--auth=scram-sha-256", "--encoding=UTF8", "--no-sync", "--no-instructions"])
            .arg(format!("--pwfile={}", password.display()))
            .arg(&data)
            .output()
            .expect("initdb");
        assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
        let logins = directory.write("logins", LOGINS);
        let port = free_port();
        let mut starting = command(programs().join("postgres"));
        starting.arg("-D").arg(&data).arg("-p").arg(port.to_string());
        let mut set = |setting: String| {
            starting.arg("-c").arg(setting);
        };
        set(format!("hba_file={}", logins.display()));
        for setting in [
            "listen_addresses=127.0.0.1",
            "unix_socket_directories=",
            "fsync=off",
            "max_connections=30",
            "superuser_reserved_connections=3",
            "log_statement=all",
            "shared_buffers=16MB",
        ] {
            set(setting.to_owned());
        }
        for setting in settings {
            set((*setting).to_owned());
        }
        if let Some(certificates) = certificates {
            set("ssl=on".to_owned());
            set(format!("ssl_cert_file={}", directory.write("certificate.pem", &certificates.certificate).display()));
            set(format!("ssl_key_file={}", directory.write("key.pem", &certificates.key).display()));
        }
        let process = Process::start(starting, &directory);
        let server = Server { host: "127.0.0.1".to_owned(), port, encryption: Encryption::Disable };
        let server = Self { server, process, directory };
        server.wait().await;
        server
    }

    async fn wait(&self) {
        let until = Instant::now() + DEADLINE;
        let Administrator { server, credentials, database } = self.administrator();
        while let Err(error) = probe(&server, &credentials, &database).await {
            let waits = matches!(error, DatabaseError::Unreachable { .. } | DatabaseError::NotReady { .. });
            assert!(waits && Instant::now() < until, "{error}\n{}", self.log());
            sleep(Duration::from_millis(50)).await;
        }
    }

    pub(crate) fn administrator(&self) -> Administrator {
        Administrator {
            server: self.server.clone(),
            credentials: credentials("postgres", ROOT_PASSWORD),
            database: "postgres".to_owned(),
        }
    }

    /// A client without anything of Fairway's.
    pub(crate) async fn connect(
        &self,
        user: &str,
        password: &str,
        database: &str,
    ) -> Result<Client, tokio_postgres::Error> {
        let mut config = Config::new();
        config.host("127.0.0.1").port(self.server.port).user(user).password(password).dbname(database);
        let (client, connection) = config.connect(NoTls).await?;
        tokio::spawn(connection);
        Ok(client)
    }

    pub(crate) async fn root(&self, database: &str) -> Client {
        self.connect("postgres", ROOT_PASSWORD, database).await.expect("a superuser")
    }

    /// Says that it will take nobody more, and waits for those who are there.
    pub(crate) fn begin_to_stop(&self) {
        self.process.signal(Signal::SIGTERM);
    }

    pub(crate) fn log(&self) -> String {
        self.directory.read("log")
    }
}

pub(crate) fn credentials(user: &str, password: &str) -> Credentials {
    Credentials { user: user.to_owned(), password: password.into() }
}

pub(crate) fn tenant(name: &str) -> Tenant {
    Tenant {
        database: name.to_owned(),
        role: format!("{name}_role"),
        mark: format!("{MARK}team/{name}"),
        connection_limit: 5,
    }
}

/// The first column of all rows.
pub(crate) async fn column(client: &Client, query: &str) -> Vec<String> {
    let messages = client.simple_query(query).await.expect("an answer");
    let rows = messages.iter().filter_map(|message| match message {
        SimpleQueryMessage::Row(row) => Some(row.get(0).unwrap_or_default().to_owned()),
        _ => None,
    });
    rows.collect()
}

/// The code of what the server refuses; empty when it does not.
pub(crate) async fn refusal(client: &Client, query: &str) -> String {
    let outcome = client.simple_query(query).await;
    outcome.err().and_then(|error| Some(error.code()?.code().to_owned())).unwrap_or_default()
}

/// Debian keeps them out of the path.
fn programs() -> PathBuf {
    let debian = Path::new("/usr/lib/postgresql/15/bin");
    assert!(debian.join("initdb").exists(), "these tests need PostgreSQL 15: tests/support/packages postgresql-15");
    debian.to_owned()
}
