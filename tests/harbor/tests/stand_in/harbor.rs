//! One Harbor of the stand-in's, on its ground.

use std::collections::BTreeMap;
use std::process::Command;
use std::time::{Duration, Instant};

use hyper::{Method, StatusCode};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

use crate::api::Api;
use crate::ground::{DATABASE_PASSWORD, Ground, REGISTRY_PASSWORD, REGISTRY_USER};
use crate::process::{DEADLINE, Process, command};

pub(crate) const PASSWORD: &str = "Administrator0";
pub(crate) const CORE_SECRET: &str = "core-secret-16-c";
pub(crate) const JOBSERVICE_SECRET: &str = "jobs-secret-16-c";

/// A program's environment, to be changed before it starts.
pub(crate) type Environment = BTreeMap<&'static str, String>;

/// All of it runs; what ends first stands first.
pub(crate) struct Harbor {
    pub(crate) jobservice: Option<Process>,
    pub(crate) registryctl: Process,
    pub(crate) core: Process,
    pub(crate) ground: Ground,
}

impl Harbor {
    /// Starts all of it in its order, and waits until it is well.
    pub(crate) async fn start() -> Self {
        let harbor = Self::start_on(Ground::new().await, |_| {}).await;
        harbor.is("healthy", None).await;
        harbor
    }

    /// On a ground of its own kind, with core's environment changed.
    pub(crate) async fn start_on(ground: Ground, change: impl FnOnce(&mut Environment)) -> Self {
        portal(ground.ports.portal).await;
        let mut environment = core_environment(&ground);
        change(&mut environment);
        let mut core = start(&ground, "harbor_core", &[], &environment);
        core.listens(ground.ports.core).await;
        let arguments = ["-c", &ground.directory.text("registryctl.yml")];
        let mut registryctl = start(&ground, "harbor_registryctl", &arguments, &registryctl_environment(&ground));
        registryctl.listens(ground.ports.registryctl).await;
        let mut harbor = Self { jobservice: None, registryctl, core, ground };
        harbor.start_jobservice().await;
        harbor
    }

    pub(crate) async fn start_jobservice(&mut self) {
        let arguments = ["-c", &self.ground.directory.text("jobservice.yml")];
        let environment = jobservice_environment(&self.ground);
        let mut jobservice = start(&self.ground, "harbor_jobservice", &arguments, &environment);
        jobservice.listens(self.ground.ports.jobservice).await;
        self.jobservice = Some(jobservice);
    }

    pub(crate) fn url(&self) -> String {
        self.ground.at(self.ground.ports.core)
    }

    /// The administrator's.
    pub(crate) fn api(&self) -> Api {
        self.trusting(Api::new(&self.url(), "admin", PASSWORD))
    }

    /// The same, which trusts whom Harbor's programs trust.
    pub(crate) fn trusting(&self, api: Api) -> Api {
        if self.ground.encrypted { api.trusting(&self.ground.directory.path("tls/ca.crt")) } else { api }
    }

    /// Waits until the body of `/health` says so of the whole, or of one component. It always answers 200.
    pub(crate) async fn is(&self, wanted: &str, component: Option<&str>) {
        self.health(component, |part| part["status"] == wanted).await;
    }

    /// Waits until a component is unhealthy for such a reason.
    pub(crate) async fn ails(&self, component: &str, reason: &str) {
        let said = |part: &Value| part["error"].as_str().is_some_and(|error| error.contains(reason));
        self.health(Some(component), |part| part["status"] == "unhealthy" && said(part)).await;
    }

    async fn health(&self, component: Option<&str>, wanted: impl Fn(&Value) -> bool) {
        let until = Instant::now() + DEADLINE;
        loop {
            let (status, body) = self.api().call(Method::GET, "/api/v2.0/health", None).await;
            assert_eq!(status, StatusCode::OK);
            if component.map_or(Some(&body), |name| part(&body, name)).is_some_and(&wanted) {
                return;
            }
            assert!(Instant::now() < until, "{component:?}: {body}\n{}", self.core.log());
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
    }

    /// Waits until an execution of the system's work has ended, and tells how.
    pub(crate) async fn ended(&self, work: &str, id: i64) -> String {
        let until = Instant::now() + DEADLINE;
        loop {
            let (_, execution) = self.api().call(Method::GET, &format!("/api/v2.0/system/{work}/{id}"), None).await;
            let status = execution["job_status"].as_str().unwrap_or_default().to_owned();
            if matches!(status.as_str(), "Success" | "Error") {
                return status;
            }
            assert!(Instant::now() < until, "{work} {id}: {execution}\n{}", self.core.log());
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    }

    /// A private project.
    pub(crate) async fn project(&self, name: &str, storage_limit: i64) {
        let project = json!({"project_name": name, "metadata": {"public": "false"}, "storage_limit": storage_limit});
        let (status, body) = self.api().call(Method::POST, "/api/v2.0/projects", Some(&project)).await;
        assert_eq!(status, StatusCode::CREATED, "{body}");
    }
}

fn part<'a>(health: &'a Value, name: &str) -> Option<&'a Value> {
    health["components"].as_array()?.iter().find(|component| component["name"] == name)
}

/// Starts one of Harbor's programs.
pub(crate) fn start(ground: &Ground, part: &str, arguments: &[&str], environment: &Environment) -> Process {
    let mut starting: Command = command(env!("CARGO_BIN_EXE_harbor-stand-in"));
    starting.arg(part).args(arguments).envs(environment);
    Process::start(starting, &ground.directory, part)
}

/// Answers anything with an empty page, as nginx does for the portal, for as long as the test runs.
async fn portal(port: u16) {
    let listener = TcpListener::bind(("127.0.0.1", port)).await.expect("a port");
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            // What is asked does not matter; unread, it would cut the answer off.
            let _ = stream.read(&mut [0; 4096]).await;
            stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\nconnection: close\r\n\r\n").await.ok();
        }
    });
}

fn version() -> (&'static str, String) {
    ("HARBOR_STAND_IN_VERSION", "v2.15.2".to_owned())
}

pub(crate) fn core_environment(ground: &Ground) -> Environment {
    let at = |port: u16| ground.at(port);
    let ports = &ground.ports;
    encrypted(
        ground,
        [
            version(),
            ("CONFIG_PATH", ground.directory.text("app.conf")),
            ("KEY_PATH", ground.directory.text("key")),
            ("TOKEN_PRIVATE_KEY_PATH", ground.directory.text("private_key.pem")),
            ("PORT", ports.core.to_string()),
            ("EXT_ENDPOINT", at(ports.core)),
            ("DATABASE_TYPE", "postgresql".to_owned()),
            ("POSTGRESQL_HOST", "127.0.0.1".to_owned()),
            ("POSTGRESQL_PORT", ports.postgresql.to_string()),
            ("POSTGRESQL_USERNAME", "postgres".to_owned()),
            ("POSTGRESQL_PASSWORD", DATABASE_PASSWORD.to_owned()),
            ("POSTGRESQL_DATABASE", "registry".to_owned()),
            ("POSTGRESQL_SSLMODE", "disable".to_owned()),
            ("POSTGRESQL_MAX_IDLE_CONNS", "5".to_owned()),
            ("POSTGRESQL_MAX_OPEN_CONNS", "20".to_owned()),
            ("_REDIS_URL_CORE", ground.redis_url(0)),
            ("_REDIS_URL_REG", ground.redis_url(1)),
            ("CORE_URL", at(ports.core)),
            ("CORE_LOCAL_URL", at(ports.core)),
            ("JOBSERVICE_URL", at(ports.jobservice)),
            ("REGISTRY_URL", at(ports.registry)),
            ("REGISTRY_CONTROLLER_URL", at(ports.registryctl)),
            ("PORTAL_URL", format!("http://127.0.0.1:{}", ports.portal)),
            ("TOKEN_SERVICE_URL", format!("{}/service/token", at(ports.core))),
            ("WITH_TRIVY", "false".to_owned()),
            ("REGISTRY_STORAGE_PROVIDER_NAME", "filesystem".to_owned()),
            ("REGISTRY_CREDENTIAL_USERNAME", REGISTRY_USER.to_owned()),
            ("REGISTRY_CREDENTIAL_PASSWORD", REGISTRY_PASSWORD.to_owned()),
            ("CORE_SECRET", CORE_SECRET.to_owned()),
            ("JOBSERVICE_SECRET", JOBSERVICE_SECRET.to_owned()),
            ("CSRF_KEY", "csrf-key-of-exactly-32-character".to_owned()),
            ("HARBOR_ADMIN_PASSWORD", PASSWORD.to_owned()),
            ("LOG_LEVEL", "info".to_owned()),
            ("METRIC_ENABLE", "true".to_owned()),
            ("METRIC_PATH", "/metrics".to_owned()),
            ("METRIC_PORT", ports.core_metrics.to_string()),
            ("GC_TIME_WINDOW_HOURS", "0".to_owned()),
        ],
    )
}

pub(crate) fn jobservice_environment(ground: &Ground) -> Environment {
    let at = |port: u16| ground.at(port);
    encrypted(
        ground,
        [
            version(),
            ("CORE_URL", at(ground.ports.core)),
            ("CORE_SECRET", CORE_SECRET.to_owned()),
            ("JOBSERVICE_SECRET", JOBSERVICE_SECRET.to_owned()),
            ("REGISTRY_URL", at(ground.ports.registry)),
            ("REGISTRY_CONTROLLER_URL", at(ground.ports.registryctl)),
            ("REGISTRY_CREDENTIAL_USERNAME", REGISTRY_USER.to_owned()),
            ("REGISTRY_CREDENTIAL_PASSWORD", REGISTRY_PASSWORD.to_owned()),
        ],
    )
}

pub(crate) fn registryctl_environment(ground: &Ground) -> Environment {
    encrypted(
        ground,
        [version(), ("CORE_SECRET", CORE_SECRET.to_owned()), ("JOBSERVICE_SECRET", JOBSERVICE_SECRET.to_owned())],
    )
}

/// With what each of Harbor's programs is told of TLS, where there is any.
fn encrypted<const N: usize>(ground: &Ground, environment: [(&'static str, String); N]) -> Environment {
    let mut environment = Environment::from(environment);
    if ground.encrypted {
        environment.insert("INTERNAL_TLS_ENABLED", "true".to_owned());
        environment.insert("INTERNAL_TLS_CERT_PATH", ground.directory.text("tls/tls.crt"));
        environment.insert("INTERNAL_TLS_KEY_PATH", ground.directory.text("tls/tls.key"));
        environment.insert("INTERNAL_TLS_TRUST_CA_PATH", ground.directory.text("tls/ca.crt"));
        environment.insert("SSL_CERT_DIR", ground.directory.text("tls"));
    }
    environment
}
