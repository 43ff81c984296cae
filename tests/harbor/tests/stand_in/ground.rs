//! What Harbor stands on: PostgreSQL, Redis and the registry, all real, and the files that its programs read.

use std::path::Path;
use std::sync::OnceLock;
use std::time::{Duration, Instant};

use pkcs8::{
    PrivateKeyInfo,
    der::pem::{LineEnding, encode_string},
};
use rcgen::{
    BasicConstraints, CertificateParams, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair, PKCS_RSA_SHA256, RsaKeySize,
};
use tokio_postgres::error::SqlState;
use tokio_postgres::{Client, NoTls};

use crate::process::{DEADLINE, Directory, Process, command, free_port, hand_over, unprivileged};

pub(crate) const DATABASE_PASSWORD: &str = "database-Password-0";
pub(crate) const CACHE_PASSWORD: &str = "cache-Password-0";
pub(crate) const REGISTRY_USER: &str = "harbor_registry_user";
pub(crate) const REGISTRY_PASSWORD: &str = "registry-password-of-32-characte";
/// bcrypt of `REGISTRY_PASSWORD`.
const REGISTRY_HASH: &str = "$2b$05$abcdefghijklmnopqrstuu8d5GYBN74kcuHnp0NHx6i9/TvuvpDCK";

/// Where each program listens, on the loopback.
pub(crate) struct Ports {
    pub(crate) postgresql: u16,
    pub(crate) redis: u16,
    pub(crate) registry: u16,
    pub(crate) core: u16,
    pub(crate) core_metrics: u16,
    pub(crate) jobservice: u16,
    pub(crate) jobservice_metrics: u16,
    pub(crate) registryctl: u16,
    pub(crate) portal: u16,
}

/// One instance's ground. Fields are ended in the order that they stand in.
pub(crate) struct Ground {
    pub(crate) registry: Option<Process>,
    pub(crate) redis: Option<Process>,
    postgresql: Process,
    pub(crate) ports: Ports,
    pub(crate) directory: Directory,
    /// Whether Harbor's programs speak TLS with each other.
    pub(crate) encrypted: bool,
}

impl Ground {
    /// With the registry's storage in a folder.
    pub(crate) async fn new() -> Self {
        let mut ground = Self::without_registry().await;
        let storage = ground.directory.folder("storage");
        ground.start_registry(&format!("filesystem: {{rootdirectory: {storage}}}"), &[]).await;
        ground
    }

    /// With TLS between Harbor's programs, by certificates of the same shape as Fairway's. Core listens on 8443 and nowhere else,
    /// so that one test at a time may have this.
    pub(crate) async fn encrypted() -> Self {
        let mut ground = Self::without_registry().await;
        (ground.encrypted, ground.ports.core) = (true, 8443);
        ground.directory.folder("tls");
        ground.certify(&["tls.crt", "tls.key", "ca.crt"]);
        let https = format!(
            "protocol: https\nhttps_config: {{cert: {}, key: {}}}\n",
            ground.directory.text("tls/tls.crt"),
            ground.directory.text("tls/tls.key")
        );
        for name in ["jobservice.yml", "registryctl.yml"] {
            let plain = ground.directory.read(name);
            ground.directory.write(name, &plain.replacen("protocol: http\n", &https, 1));
        }
        let storage = ground.directory.folder("storage");
        ground.start_registry(&format!("filesystem: {{rootdirectory: {storage}}}"), &[]).await;
        ground
    }

    /// Writes these files of a certificate of another authority than before.
    pub(crate) fn certify(&self, files: &[&str]) {
        let key = KeyPair::generate().expect("a key");
        let mut parameters = CertificateParams::default();
        parameters.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
        let authority = parameters.self_signed(&key).expect("an authority");
        let issuer = Issuer::new(parameters, key);
        let key = KeyPair::generate().expect("a key");
        let mut parameters = CertificateParams::new(vec!["127.0.0.1".to_owned()]).expect("a name");
        parameters.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth, ExtendedKeyUsagePurpose::ClientAuth];
        let leaf = parameters.signed_by(&key, &issuer).expect("a certificate");
        for (name, content) in [("tls.crt", leaf.pem()), ("tls.key", key.serialize_pem()), ("ca.crt", authority.pem())]
        {
            if files.contains(&name) {
                self.directory.write(&format!("tls/{name}"), &content);
            }
        }
    }

    /// The URL of one of Harbor's programs.
    pub(crate) fn at(&self, port: u16) -> String {
        format!("{}://127.0.0.1:{port}", if self.encrypted { "https" } else { "http" })
    }

    /// PostgreSQL and Redis alone.
    pub(crate) async fn without_registry() -> Self {
        let directory = Directory::new();
        let ports = Ports {
            postgresql: free_port(),
            redis: free_port(),
            registry: free_port(),
            core: free_port(),
            core_metrics: free_port(),
            jobservice: free_port(),
            jobservice_metrics: free_port(),
            registryctl: free_port(),
            portal: free_port(),
        };
        let postgresql = postgresql(&directory, ports.postgresql).await;
        let mut ground = Self { registry: None, redis: None, postgresql, ports, directory, encrypted: false };
        ground.start_redis().await;
        ground.database("postgres").await.batch_execute("CREATE DATABASE registry").await.expect("a database");
        ground.directory.write("app.conf", "appname = Harbor\nrunmode = prod\n\n[prod]\nhttpport = 8080\n");
        ground.directory.write("key", "0123456789abcdef");
        ground.directory.write("private_key.pem", token_key());
        ground.directory.folder("jobs");
        ground.directory.write("jobservice.yml", &ground.jobservice_configuration());
        ground.directory.write("registryctl.yml", &ground.registryctl_configuration());
        ground
    }

    pub(crate) async fn start_redis(&mut self) {
        let mut starting = command("redis-server");
        let port = self.ports.redis.to_string();
        starting.args(["--bind", "127.0.0.1", "--port", &port, "--save", "", "--requirepass", CACHE_PASSWORD]);
        let mut redis = Process::start(starting, &self.directory, "redis");
        redis.listens(self.ports.redis).await;
        self.redis = Some(redis);
    }

    /// Starts the registry on a storage, which is given as its configuration has it.
    pub(crate) async fn start_registry(&mut self, storage: &str, environment: &[(&str, &str)]) {
        let passwd = self.directory.write("passwd", &format!("{REGISTRY_USER}:{REGISTRY_HASH}\n"));
        let Ports { registry, redis, .. } = self.ports;
        let tls = if self.encrypted {
            let [certificate, key] = ["tls/tls.crt", "tls/tls.key"].map(|file| self.directory.text(file));
            format!(", tls: {{certificate: {certificate}, key: {key}, minimumtls: tls1.2}}")
        } else {
            String::new()
        };
        let configuration = format!(
            "version: 0.1\nlog: {{level: info, fields: {{service: registry}}}}\nstorage:\n  {storage}\n  cache: {{layerinfo: redis}}\n  \
             maintenance: {{uploadpurging: {{enabled: true, age: 168h, interval: 24h, dryrun: false}}}}\n  \
             delete: {{enabled: true}}\n  redirect: {{disable: true}}\n\
             redis: {{addr: '127.0.0.1:{redis}', password: {CACHE_PASSWORD}, db: 1, dialtimeout: 10s, readtimeout: 10s, writetimeout: 10s}}\n\
             http: {{addr: '127.0.0.1:{registry}', secret: registry-secret{tls}}}\n\
             auth: {{htpasswd: {{realm: harbor-registry-basic-realm, path: {passwd}}}}}\nvalidation: {{disabled: true}}\n"
        );
        let mut starting = command("distribution");
        starting.arg("serve").arg(self.directory.write("registry.yml", &configuration));
        starting.envs(environment.iter().copied());
        let mut registry = Process::start(starting, &self.directory, "registry");
        registry.listens(self.ports.registry).await;
        self.registry = Some(registry);
    }

    /// The superuser in that database.
    pub(crate) async fn database(&self, name: &str) -> Client {
        let mut config = tokio_postgres::Config::new();
        config.host("127.0.0.1").port(self.ports.postgresql).user("postgres").password(DATABASE_PASSWORD).dbname(name);
        let until = Instant::now() + DEADLINE;
        let (client, connection) = loop {
            match config.connect(NoTls).await {
                Ok(connected) => break connected,
                // It listens before it lets anybody in.
                Err(error) if error.code() == Some(&SqlState::CANNOT_CONNECT_NOW) && Instant::now() < until => {}
                Err(error) => panic!("{error}\n{}", self.postgresql.log()),
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        };
        tokio::spawn(connection);
        client
    }

    pub(crate) fn redis_url(&self, database: u8) -> String {
        format!("redis://:{CACHE_PASSWORD}@127.0.0.1:{}/{database}?idle_timeout_seconds=30", self.ports.redis)
    }

    fn jobservice_configuration(&self) -> String {
        let Ports { jobservice, jobservice_metrics, .. } = self.ports;
        format!(
            "protocol: http\nport: {jobservice}\nworker_pool:\n  workers: 10\n  backend: redis\n  redis_pool:\n    redis_url: '{}'\n    \
             namespace: harbor_job_service_namespace\n    idle_timeout_second: 3600\n\
             job_loggers:\n  - name: FILE\n    level: INFO\n    settings: {{base_dir: {}}}\n    sweeper: {{duration: 14}}\n\
             loggers:\n  - {{name: STD_OUTPUT, level: INFO}}\n\
             metric: {{enabled: true, path: /metrics, port: {jobservice_metrics}}}\n\
             reaper: {{max_update_hours: 24, max_dangling_hours: 168}}\n",
            self.redis_url(2),
            self.directory.text("jobs"),
        )
    }

    fn registryctl_configuration(&self) -> String {
        let registry = self.directory.text("registry.yml");
        format!("protocol: http\nport: {}\nlog_level: info\nregistry_config: {registry}\n", self.ports.registryctl)
    }
}

/// A PostgreSQL that lets nobody in without a password, and has no TLS.
async fn postgresql(directory: &Directory, port: u16) -> Process {
    let programs = Path::new("/usr/lib/postgresql/15/bin");
    assert!(programs.exists(), "these tests need PostgreSQL 15 and more: make test-harbor");
    let password = directory.write("database-password", DATABASE_PASSWORD);
    hand_over(Path::new(&password));
    let data = directory.folder("data");
    hand_over(Path::new(&data));
    let made = unprivileged(programs.join("initdb"))
        .args(["--username=postgres", "--auth=scram-sha-256", "--encoding=UTF8", "--no-sync", "--no-instructions"])
        .args([format!("--pwfile={password}"), data.clone()])
        .current_dir("/")
        .output()
        .expect("initdb");
    assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
    let mut starting = unprivileged(programs.join("postgres"));
    starting.args(["-D", &data, "-p", &port.to_string()]);
    for setting in ["listen_addresses=127.0.0.1", "unix_socket_directories=", "fsync=off", "shared_buffers=16MB"] {
        starting.args(["-c", setting]);
    }
    let mut process = Process::start(starting, directory, "postgresql");
    process.listens(port).await;
    process
}

/// One key for all tests: to make one takes a while.
fn token_key() -> &'static str {
    static KEY: OnceLock<String> = OnceLock::new();
    KEY.get_or_init(|| {
        let wrapped = wrapped_token_key();
        let key = PrivateKeyInfo::try_from(&*wrapped).expect("a key of PKCS #8").private_key;
        encode_string("RSA PRIVATE KEY", LineEnding::LF, key).expect("PEM")
    })
}

/// One of PKCS #8.
pub(crate) fn wrapped_token_key() -> Vec<u8> {
    KeyPair::generate_rsa_for(&PKCS_RSA_SHA256, RsaKeySize::_4096).expect("a key").serialize_der()
}
