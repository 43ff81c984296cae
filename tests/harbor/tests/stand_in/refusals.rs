//! What is refused before anything is touched: one table a program, each row a start that differs from a good one in one
//! thing.

use pkcs8::der::pem::{LineEnding, encode_string};

use crate::ground::{Ground, wrapped_token_key};
use crate::harbor::{Environment, core_environment, jobservice_environment, registryctl_environment, start};

/// Starts a program that must refuse, and say why on the last line.
async fn refused(ground: &Ground, part: &str, arguments: &[&str], environment: &Environment, code: i32, why: &str) {
    let mut process = start(ground, part, arguments, environment);
    let ended = process.ends().await;
    let log = process.log();
    let last = log.lines().last().unwrap_or_default();
    assert_eq!(ended, code, "{why:?}: {last}");
    assert!(last.contains(why), "{why:?} is not said: {last}");
}

/// Each alone, unset and empty.
const NEEDED_BY_CORE: [&str; 25] = [
    "CONFIG_PATH",
    "PORT",
    "EXT_ENDPOINT",
    "POSTGRESQL_HOST",
    "POSTGRESQL_PORT",
    "POSTGRESQL_USERNAME",
    "POSTGRESQL_PASSWORD",
    "POSTGRESQL_DATABASE",
    "POSTGRESQL_SSLMODE",
    "_REDIS_URL_CORE",
    "_REDIS_URL_REG",
    "CORE_URL",
    "CORE_LOCAL_URL",
    "JOBSERVICE_URL",
    "REGISTRY_URL",
    "REGISTRY_CONTROLLER_URL",
    "PORTAL_URL",
    "TOKEN_SERVICE_URL",
    "REGISTRY_STORAGE_PROVIDER_NAME",
    "REGISTRY_CREDENTIAL_USERNAME",
    "REGISTRY_CREDENTIAL_PASSWORD",
    "CORE_SECRET",
    "JOBSERVICE_SECRET",
    "CSRF_KEY",
    "HARBOR_ADMIN_PASSWORD",
];

const ILL_FORMED: [(&str, &str, &str); 22] = [
    ("CORE_SECRET", "short", "CORE_SECRET must be 16 characters long, and is 5"),
    ("JOBSERVICE_SECRET", "a-secret-of-17-ch", "JOBSERVICE_SECRET must be 16 characters long, and is 17"),
    ("CSRF_KEY", "csrf-key-of-exactly-31-characte", "CSRF_KEY must be 32 characters long, and is 31"),
    ("HARBOR_ADMIN_PASSWORD", "weak", "HARBOR_ADMIN_PASSWORD must be 8 to 128 long"),
    ("HARBOR_ADMIN_PASSWORD", "nouppercase0", "HARBOR_ADMIN_PASSWORD must be 8 to 128 long"),
    ("EXT_ENDPOINT", "registry.example.com", "EXT_ENDPOINT is no http or https URL"),
    ("EXT_ENDPOINT", "https://registry.example.com/harbor", "EXT_ENDPOINT must have no path"),
    ("REGISTRY_URL", "registry:5000", "REGISTRY_URL is no http or https URL"),
    ("PORT", "eighty", "PORT is ill-formed"),
    ("POSTGRESQL_PORT", "0", "POSTGRESQL_PORT is no port"),
    ("POSTGRESQL_MAX_OPEN_CONNS", "-1", "must not be negative"),
    ("POSTGRESQL_CONN_MAX_LIFETIME", "5 minutes", "POSTGRESQL_CONN_MAX_LIFETIME is no duration"),
    ("DATABASE_TYPE", "mysql", "DATABASE_TYPE must be one of postgresql"),
    ("_REDIS_URL_CORE", "127.0.0.1:6379", "_REDIS_URL_CORE: no URL of Redis"),
    ("_REDIS_URL_HARBOR", "http://127.0.0.1", "_REDIS_URL_HARBOR: no URL of Redis"),
    ("_REDIS_URL_REG", "redis+sentinel://a:1/master/0", "Sentinel is not provided for"),
    ("LOG_LEVEL", "loud", "LOG_LEVEL must be one of"),
    ("WITH_TRIVY", "true", "TRIVY_ADAPTER_URL is not set"),
    ("METRIC_PATH", "metrics", "METRIC_PATH must begin with a slash"),
    ("CONFIG_OVERWRITE_JSON", "[]", "CONFIG_OVERWRITE_JSON is no object"),
    ("INTERNAL_TLS_ENABLED", "true", "PORT must be 8443"),
    ("GC_TIME_WINDOW_HOURS", "soon", "GC_TIME_WINDOW_HOURS is ill-formed"),
];

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn core_needs_each_variable_well_formed() {
    let ground = Ground::without_registry().await;
    let good = core_environment(&ground);
    for name in NEEDED_BY_CORE {
        let mut environment = good.clone();
        environment.remove(name);
        refused(&ground, "harbor_core", &[], &environment, 1, &format!("{name} is not set")).await;
    }
    let empty: Environment = good.keys().map(|name| (*name, String::new())).collect();
    for name in NEEDED_BY_CORE {
        // One start tells all of them.
        refused(&ground, "harbor_core", &[], &empty, 1, &format!("{name} is not set")).await;
    }
    for (name, value, why) in ILL_FORMED {
        let mut environment = good.clone();
        environment.insert(name, value.to_owned());
        refused(&ground, "harbor_core", &[], &environment, 1, why).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn core_needs_its_files() {
    let ground = Ground::without_registry().await;
    let file = ground.directory.text("wrong");
    let wrapped = encode_string("PRIVATE KEY", LineEnding::LF, &wrapped_token_key()).expect("PEM");
    for (name, content, why) in [
        ("KEY_PATH", "five5", "must hold exactly 16 characters, and holds 5"),
        ("KEY_PATH", "0123456789abcdef\n", "must hold exactly 16 characters, and holds 17"),
        ("TOKEN_PRIVATE_KEY_PATH", "no key", "private_key.pem holds no private key"),
        ("TOKEN_PRIVATE_KEY_PATH", wrapped.as_str(), "no RSA key of PKCS #1"),
        ("CONFIG_PATH", "nothing", "there is no appname in it"),
    ] {
        ground.directory.write("wrong", content);
        let mut environment = core_environment(&ground);
        environment.insert(name, file.clone());
        refused(&ground, "harbor_core", &[], &environment, 1, why).await;
        environment.insert(name, "/nowhere/at/all".to_owned());
        refused(&ground, "harbor_core", &[], &environment, 1, "/nowhere/at/all: No such file").await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn jobservice_needs_core_first_and_a_whole_configuration() {
    let ground = Ground::without_registry().await;
    let path = ground.directory.text("jobservice.yml");
    let good = ground.directory.read("jobservice.yml");
    let environment = jobservice_environment(&ground);
    let part = "harbor_jobservice";
    refused(&ground, part, &["-c", &path], &environment, 2, "failed to load configuration").await;
    refused(&ground, part, &[], &environment, 1, "no config file is specified").await;

    // Core runs, and does not know the secret.
    let mut core = start(&ground, "harbor_core", &[], &core_environment(&ground));
    core.listens(ground.ports.core).await;
    let mut stranger = environment.clone();
    stranger.insert("JOBSERVICE_SECRET", "another-secret-0".to_owned());
    refused(&ground, part, &["-c", &path], &stranger, 2, "401").await;

    for (from, to, why) in [
        ("protocol: http", "protocol: https", "https_config must be given if protocol is https"),
        ("workers: 10", "workers: 0", "worker_pool.workers must be more than 0"),
        ("backend: redis", "backend: memory", "worker_pool.backend must be redis"),
        ("redis_url: 'redis://", "redis_url: '", "worker_pool.redis_pool.redis_url: no URL of Redis"),
        ("namespace: harbor_job_service_namespace", "namespace: ''", "namespace is empty"),
        ("level: INFO", "level: loud", "level of FILE is \"loud\""),
        ("base_dir: /", "base_dir: /nowhere/", "No such file"),
        ("max_update_hours: 24", "max_update_hours: 0", "reaper: hours must be more than 0"),
        ("loggers:\n  - {name: STD_OUTPUT, level: INFO}", "loggers: []", "loggers are missing"),
    ] {
        assert!(good.contains(from), "{from}");
        let wrong = ground.directory.write("wrong.yml", &good.replacen(from, to, 1));
        refused(&ground, part, &["-c", &wrong], &environment, 1, why).await;
    }
    for name in ["CORE_URL", "CORE_SECRET", "JOBSERVICE_SECRET", "REGISTRY_URL", "REGISTRY_CONTROLLER_URL"] {
        let mut environment = environment.clone();
        environment.remove(name);
        refused(&ground, part, &["-c", &path], &environment, 1, &format!("{name} is not set")).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn registryctl_needs_both_configurations_and_the_storage() {
    let ground = Ground::without_registry().await;
    let path = ground.directory.text("registryctl.yml");
    let environment = registryctl_environment(&ground);
    let part = "harbor_registryctl";
    refused(&ground, part, &["-c", &path], &environment, 1, "registry.yml: No such file").await;
    for (storage, why) in [
        ("filesystem: {rootdirectory: /nowhere/at/all}", "storage /nowhere/at/all: No such file"),
        ("filesystem: {}\n  s3: {}", "there must be one storage, and there are two"),
        ("cache: {layerinfo: redis}", "there is no storage of a kind that is known"),
        ("s3: {region: us-east-1, bucket: b}", "the keys are missing"),
    ] {
        ground.directory.write("registry.yml", &format!("version: 0.1\nstorage:\n  {storage}\n"));
        refused(&ground, part, &["-c", &path], &environment, 1, why).await;
    }
    let mut short = environment.clone();
    short.insert("CORE_SECRET", "short".to_owned());
    refused(&ground, part, &["-c", &path], &short, 1, "CORE_SECRET must be 16 characters long").await;
}
