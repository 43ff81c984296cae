//! A Redis of a test.

use std::time::{Duration, Instant};

use fairway::clients::{
    connection::{Encryption, Server},
    redis::{CacheError, Login, probe},
};
use redis::{Cmd, FromRedisValue, RedisConnectionInfo, RedisError, aio::MultiplexedConnection};
use tokio::{net::TcpStream, time::sleep};

use crate::{
    certificates::Certificates,
    server_process::{DEADLINE, Directory, Process, command, free_port},
};

const ROOT_PASSWORD: &str = "root-Of-all-0";

pub(crate) struct RedisServer {
    pub(crate) server: Server,
    process: Option<Process>,
    directory: Directory,
}

impl RedisServer {
    pub(crate) async fn start() -> Self {
        Self::start_with("").await
    }

    /// With these lines in its configuration as well.
    pub(crate) async fn start_with(lines: &str) -> Self {
        let server = Self::configured(lines);
        server.wait().await;
        server
    }

    /// One that keeps its users in a file.
    pub(crate) async fn start_with_file() -> Self {
        let (mut server, directory) = (Self::bare(), Directory::new());
        let users = directory.write("users.acl", &format!("user default on >{ROOT_PASSWORD} ~* &* +@all\n"));
        server.directory = directory;
        server.configure(&format!("aclfile {}\n", users.display()));
        server.run();
        server.wait().await;
        server
    }

    /// One that keeps all in a file on a volume of 2 MiB, which no other process sees and which goes with it.
    pub(crate) async fn on_a_volume() -> Self {
        let mut server = Self::bare();
        let lines = "dir volume\nappendonly yes\nappendfsync everysec\n";
        server.configure(&format!("requirepass {ROOT_PASSWORD}\n{lines}"));
        let mut starting = command("/usr/bin/unshare");
        starting.args(["--user", "--map-root-user", "--mount", "--", "sh", "-c"]);
        // It would not end with its test any more: who changes its rights is not ended with another.
        starting.arg(
            "mkdir volume && mount -t tmpfs -o size=2m tmpfs volume && exec setpriv --pdeathsig INT -- redis-server redis.conf",
        );
        server.process = Some(Process::start(starting, &server.directory));
        server.wait().await;
        server
    }

    /// Leaves no room on its volume, or gives it back.
    pub(crate) fn fill(&self, full: bool) {
        let id = self.process.as_ref().expect("a process").id();
        let mut filling = command("/bin/sh");
        filling.arg("-c").arg(if full { "cat /dev/zero > $0 2> /dev/null" } else { "rm $0" });
        let done = filling.arg(format!("/proc/{id}/cwd/filler")).status().expect("a shell");
        assert_ne!(done.success(), full, "a disk has an end");
    }

    /// One that anyone may use, and that nobody waits for.
    pub(crate) fn without_password(lines: &str) -> Self {
        let mut server = Self::bare();
        server.configure(lines);
        server.run();
        server
    }

    /// One with TLS on this port, and nothing else.
    pub(crate) fn with_tls(certificates: &Certificates) -> Self {
        let mut server = Self::bare();
        let certificate = server.directory.write("certificate.pem", &certificates.certificate);
        let key = server.directory.write("key.pem", &certificates.key);
        let lines = format!(
            "port 0\ntls-port {}\ntls-cert-file {}\ntls-key-file {}\ntls-auth-clients no\nrequirepass {ROOT_PASSWORD}\n",
            server.server.port,
            certificate.display(),
            key.display(),
        );
        server.directory.write("redis.conf", &format!("bind 127.0.0.1\nsave \"\"\n{lines}"));
        server.run();
        server
    }

    fn configured(lines: &str) -> Self {
        let mut server = Self::bare();
        server.configure(&format!("requirepass {ROOT_PASSWORD}\n{lines}"));
        server.run();
        server
    }

    fn bare() -> Self {
        let server = Server { host: "127.0.0.1".to_owned(), port: free_port(), encryption: Encryption::Disable };
        Self { server, process: None, directory: Directory::new() }
    }

    fn configure(&self, lines: &str) {
        let usual = format!("bind 127.0.0.1\nport {}\nsave \"\"\ndatabases 256\n", self.server.port);
        self.directory.write("redis.conf", &format!("{usual}{lines}"));
    }

    fn run(&mut self) {
        let mut starting = command("/usr/bin/redis-server");
        starting.arg(self.directory.path().join("redis.conf"));
        self.process = Some(Process::start(starting, &self.directory));
    }

    /// Ends it well, and starts it on what it left.
    pub(crate) async fn restart(&mut self) {
        self.process = None;
        self.run();
        self.wait().await;
    }

    /// Starts it anew on what was saved; it takes 5 ms for each key, and listens in between after each KiB. From an
    /// append-only file it would listen after each 1024 keys alone, and could well be done before.
    pub(crate) fn slow_start(&mut self) {
        self.process = None;
        let slowly = "key-load-delay 5000\nloading-process-events-interval-bytes 1024\n";
        let configuration = self.directory.read("redis.conf");
        self.directory.write("redis.conf", &format!("{configuration}{slowly}"));
        self.run();
    }

    pub(crate) async fn wait(&self) {
        let until = Instant::now() + DEADLINE;
        while let Err(error) = probe(&self.server, &Self::administrator(), 0).await {
            let waits = matches!(error, CacheError::Unreachable { .. } | CacheError::NotReady { .. });
            assert!(waits && Instant::now() < until, "{error}\n{}", self.directory.read("log"));
            sleep(Duration::from_millis(20)).await;
        }
    }

    pub(crate) fn administrator() -> Login {
        Login { user: None, password: Some(ROOT_PASSWORD.into()) }
    }

    /// A client without anything of Fairway's.
    pub(crate) async fn connect(&self, login: &[&str]) -> Result<Client, RedisError> {
        let stream = TcpStream::connect(("127.0.0.1", self.server.port)).await.expect("a connection");
        // The crate's future holds on to it for as long as the connection lives.
        let nothing = Box::leak(Box::new(RedisConnectionInfo::default().set_skip_set_lib_name()));
        let (mut connection, driver) = MultiplexedConnection::new(nothing, stream).await?;
        tokio::spawn(driver);
        // The crate's own half a second is little on a machine that does much besides.
        connection.set_response_timeout(DEADLINE);
        let mut client = Client(connection);
        let words: Vec<&str> = ["AUTH"].into_iter().chain(login.iter().copied()).collect();
        client.ask::<()>(&words).await?;
        Ok(client)
    }

    pub(crate) async fn root(&self) -> Client {
        self.connect(&[ROOT_PASSWORD]).await.expect("the default user")
    }

    /// All that is written in its directory of files of users.
    pub(crate) fn users(&self) -> String {
        self.directory.read("users.acl")
    }

    /// Puts back what was written there before.
    pub(crate) fn set_users(&self, users: &str) {
        self.directory.write("users.acl", users);
    }
}

pub(crate) struct Client(MultiplexedConnection);

impl Client {
    pub(crate) async fn ask<T: FromRedisValue>(&mut self, words: &[&str]) -> Result<T, RedisError> {
        let mut command = Cmd::new();
        for word in words {
            command.arg(word);
        }
        command.query_async(&mut self.0).await
    }

    /// One that is done.
    pub(crate) async fn does<T: FromRedisValue>(&mut self, line: &str) -> T {
        let words: Vec<&str> = line.split(' ').collect();
        self.ask(&words).await.unwrap_or_else(|error| panic!("{line}: {error}"))
    }

    /// The server's words for one that is refused; empty when it is not.
    pub(crate) async fn refusal(&mut self, line: &str) -> String {
        let words: Vec<&str> = line.split(' ').collect();
        let outcome = self.ask::<redis::Value>(&words).await;
        outcome.err().map(|error| error.to_string()).unwrap_or_default()
    }
}
