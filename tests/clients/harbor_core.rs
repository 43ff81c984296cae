//! Core of the stand-in of a test, with its PostgreSQL and Redis. The program is built by
//! `cargo build --package harbor-stand-in`.

use std::{
    path::{Path, PathBuf},
    process::Command,
    time::Instant,
};

use fairway::clients::{
    connection::Authorities,
    harbor::{HarborClient, HarborCredentials},
};
use pkcs8::{
    PrivateKeyInfo,
    der::pem::{LineEnding, encode_string},
};
use rcgen::{KeyPair, PKCS_RSA_SHA256, RsaKeySize};
use tokio::time::{Duration, sleep};

use crate::{
    postgresql_server::PostgreSql,
    redis_server::RedisServer,
    server_process::{DEADLINE, Directory, Process, free_port},
};

/// The administrator's.
pub(crate) const PASSWORD: &str = "Administrator0";

/// What ends first stands first.
pub(crate) struct Core {
    _process: Process,
    pub(crate) database: PostgreSql,
    _cache: RedisServer,
    directory: Directory,
    pub(crate) url: String,
}

impl Core {
    /// One that nobody has used yet.
    pub(crate) async fn start() -> Self {
        let (database, cache) = (PostgreSql::start().await, RedisServer::start().await);
        let directory = Directory::new();
        let port = free_port();
        let url = format!("http://127.0.0.1:{port}");
        // Unlike PostgreSQL it may be of root, who may look into every folder.
        let mut starting = Command::new("setpriv");
        starting.args(["--pdeathsig", "INT", "--"]).arg(program()).arg("harbor_core").env_clear();
        starting.envs(environment(&directory, &url, port, &database, &cache));
        let process = Process::start(starting, &directory);
        let core = Self { _process: process, database, _cache: cache, directory, url };
        core.wait().await;
        core
    }

    async fn wait(&self) {
        let until = Instant::now() + DEADLINE;
        while let Err(error) = self.administrator().current_user().await {
            assert!(Instant::now() < until, "{error}\n{}", self.directory.read("log"));
            sleep(Duration::from_millis(50)).await;
        }
    }

    pub(crate) fn administrator(&self) -> HarborClient {
        self.client("admin", PASSWORD)
    }

    pub(crate) fn client(&self, user: &str, password: &str) -> HarborClient {
        let credentials = HarborCredentials { user: user.to_owned(), password: password.into() };
        HarborClient::new(&self.url, Authorities::System, credentials).expect("a URL")
    }

    /// Makes somebody who can log in.
    pub(crate) async fn user(&self, name: &str) {
        let person = serde_json::json!({
            "username": name, "email": format!("{name}@example.com"), "realname": name, "password": "Some-Password-0",
        });
        let (status, body) = self.post("/api/v2.0/users", &person).await;
        assert_eq!(status, 201, "{body}");
    }

    /// What the registry would let somebody do: the actions that a token is for. With wrong credentials it is a token of
    /// nobody's.
    pub(crate) async fn granted(&self, user: &str, password: &str, scope: &str) -> Vec<String> {
        use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
        let path = format!("/service/token?service=harbor-registry&scope={scope}");
        let (status, body) = self.send("GET", &path, Some((user, password)), String::new()).await;
        assert_eq!(status, 200, "{body}");
        let body: serde_json::Value = serde_json::from_str(&body).expect("JSON");
        let token = body["token"].as_str().expect("a token").split('.').nth(1).expect("claims").to_owned();
        let claims: serde_json::Value =
            serde_json::from_slice(&URL_SAFE_NO_PAD.decode(token).expect("base64")).expect("JSON");
        let actions = claims["access"][0]["actions"].as_array().cloned().unwrap_or_default();
        actions.into_iter().filter_map(|action| action.as_str().map(ToOwned::to_owned)).collect()
    }

    pub(crate) async fn post(&self, path: &str, body: &serde_json::Value) -> (u16, String) {
        self.send("POST", path, Some(("admin", PASSWORD)), body.to_string()).await
    }

    /// A request without anything of Fairway's.
    async fn send(&self, method: &str, path: &str, who: Option<(&str, &str)>, body: String) -> (u16, String) {
        use base64::{Engine, engine::general_purpose::STANDARD};
        use http_body_util::{BodyExt, Full};
        let client = hyper_util::client::legacy::Client::builder(hyper_util::rt::TokioExecutor::new()).build_http();
        let mut request = http::Request::builder().method(method).uri(format!("{}{path}", self.url));
        if let Some((user, password)) = who {
            let basic = STANDARD.encode(format!("{user}:{password}"));
            request = request.header("authorization", format!("Basic {basic}"));
        }
        let body: Full<bytes::Bytes> = Full::new(body.into());
        let request = request.header("content-type", "application/json").body(body).expect("a request");
        let answer = client.request(request).await.expect("an answer");
        let status = answer.status().as_u16();
        let body = answer.into_body().collect().await.expect("a body").to_bytes();
        (status, String::from_utf8_lossy(&body).into_owned())
    }
}

/// Beside the operator's own program.
fn program() -> PathBuf {
    let program = Path::new(env!("CARGO_BIN_EXE_fairway")).with_file_name("harbor-stand-in");
    assert!(program.exists(), "these tests need the stand-in: cargo build --package harbor-stand-in");
    program
}

/// As Harbor's library reads it: PKCS #1.
fn token_key() -> String {
    let wrapped = KeyPair::generate_rsa_for(&PKCS_RSA_SHA256, RsaKeySize::_2048).expect("a key").serialize_der();
    let key = PrivateKeyInfo::try_from(&*wrapped).expect("a key of PKCS #8").private_key;
    encode_string("RSA PRIVATE KEY", LineEnding::LF, key).expect("PEM")
}

fn environment(
    directory: &Directory,
    url: &str,
    port: u16,
    database: &PostgreSql,
    cache: &RedisServer,
) -> Vec<(&'static str, String)> {
    let file = |name: &str, content: &str| directory.write(name, content).display().to_string();
    let login = database.administrator();
    let password = secrecy::ExposeSecret::expose_secret(&login.credentials.password).to_owned();
    let redis = |index: u8| format!("redis://:{password}@127.0.0.1:{}/{index}", cache.server.port);
    let nowhere = "http://127.0.0.1:1".to_owned();
    vec![
        ("HARBOR_STAND_IN_VERSION", "v2.15.2".to_owned()),
        ("CONFIG_PATH", file("app.conf", "appname = Harbor\n")),
        ("KEY_PATH", file("key", "0123456789abcdef")),
        ("TOKEN_PRIVATE_KEY_PATH", file("private_key.pem", &token_key())),
        ("PORT", port.to_string()),
        ("EXT_ENDPOINT", url.to_owned()),
        ("POSTGRESQL_HOST", "127.0.0.1".to_owned()),
        ("POSTGRESQL_PORT", database.server.port.to_string()),
        ("POSTGRESQL_USERNAME", login.credentials.user),
        ("POSTGRESQL_PASSWORD", password.clone()),
        ("POSTGRESQL_DATABASE", login.database),
        ("POSTGRESQL_SSLMODE", "disable".to_owned()),
        ("POSTGRESQL_MAX_IDLE_CONNS", "5".to_owned()),
        ("POSTGRESQL_MAX_OPEN_CONNS", "10".to_owned()),
        ("_REDIS_URL_CORE", redis(0)),
        ("_REDIS_URL_REG", redis(1)),
        ("CORE_URL", url.to_owned()),
        ("CORE_LOCAL_URL", url.to_owned()),
        ("JOBSERVICE_URL", nowhere.clone()),
        ("REGISTRY_URL", nowhere.clone()),
        ("REGISTRY_CONTROLLER_URL", nowhere.clone()),
        ("PORTAL_URL", nowhere),
        ("TOKEN_SERVICE_URL", format!("{url}/service/token")),
        ("REGISTRY_STORAGE_PROVIDER_NAME", "filesystem".to_owned()),
        ("REGISTRY_CREDENTIAL_USERNAME", "harbor_registry_user".to_owned()),
        ("REGISTRY_CREDENTIAL_PASSWORD", "registry-password-of-32-characte".to_owned()),
        ("CORE_SECRET", "core-secret-16-c".to_owned()),
        ("JOBSERVICE_SECRET", "jobs-secret-16-c".to_owned()),
        ("CSRF_KEY", "csrf-key-of-exactly-32-character".to_owned()),
        ("HARBOR_ADMIN_PASSWORD", PASSWORD.to_owned()),
    ]
}
