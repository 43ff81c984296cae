//! Harbor's registryctl: deletes in the registry's storage, which it opens by the registry's own `config.yml`.

use std::sync::Arc;

use anyhow::{Context, Result};
use axum::Router;
use axum::extract::{Path, State};
use axum::routing::{delete, get};
use hyper::HeaderMap;
use hyper::header::AUTHORIZATION;
use serde::Deserialize;

use crate::answer::{Answer, Fault, done, ok};
use crate::client::Client;
use crate::environment::{Environment, Refusal};
use crate::storage::Storage;

/// `/etc/registryctl/config.yml`.
#[derive(Deserialize)]
struct Configuration {
    protocol: String,
    port: u16,
    log_level: String,
    /// The registry's own file.
    registry_config: String,
    https_config: Option<Https>,
}

#[derive(Deserialize)]
struct Https {
    cert: String,
    key: String,
}

struct Registryctl {
    storage: Storage,
    secrets: [String; 2],
}

pub(crate) async fn run(arguments: &[String]) -> Result<(), Refusal> {
    let mut environment = Environment::default();
    let secrets = [environment.exactly("CORE_SECRET", 16), environment.exactly("JOBSERVICE_SECRET", 16)];
    environment.finish()?;
    crate::tls::internal()?;
    let path = match arguments {
        [flag, path] if matches!(flag.as_str(), "-c" | "--c") => path,
        _ => return Err(Refusal::new("no config file is specified: -c /etc/registryctl/config.yml")),
    };
    let config: Configuration = parsed(path)?;
    if !matches!(config.log_level.as_str(), "debug" | "info" | "warn" | "warning" | "error" | "fatal") {
        return Err(Refusal::new(format!("{path}: log_level is {:?}", config.log_level)));
    }
    let tls = match (config.protocol.as_str(), config.https_config) {
        ("http", _) => None,
        ("https", Some(https)) => Some(crate::tls::server(&https.cert, &https.key)?),
        ("https", None) => return Err(Refusal::new(format!("{path}: https needs https_config"))),
        (other, _) => return Err(Refusal::new(format!("{path}: protocol must be http or https, not {other:?}"))),
    };
    let text = std::fs::read_to_string(&config.registry_config).with_context(|| config.registry_config.clone())?;
    let storage = Storage::read(&text, &Client::new()?).with_context(|| config.registry_config.clone())?;
    storage.open()?;
    let registryctl = Arc::new(Registryctl { storage, secrets });
    let router = Router::new()
        .route("/api/health", get(|| async { ok("healthy") }))
        .route("/api/registry/blob/{digest}", delete(blob))
        .route("/api/registry/{*path}", delete(manifest))
        .with_state(registryctl);
    crate::http::serve(config.port, router, tls).await?;
    Ok(())
}

fn parsed(path: &str) -> Result<Configuration> {
    let text = std::fs::read_to_string(path).with_context(|| path.to_owned())?;
    serde_saphyr::from_str(&text).map_err(|error| anyhow::anyhow!("{path}: {error}"))
}

fn admitted(registryctl: &Registryctl, headers: &HeaderMap) -> Result<(), Fault> {
    let secret = headers.get(AUTHORIZATION).and_then(|value| value.to_str().ok()?.strip_prefix("Harbor-Secret "));
    match secret {
        Some(secret) if registryctl.secrets.iter().any(|own| own == secret) => Ok(()),
        _ => Err(Fault::unauthorized("unauthorized")),
    }
}

/// The hexadecimal part of a digest.
fn hex(digest: &str) -> Result<&str, Fault> {
    digest
        .strip_prefix("sha256:")
        .filter(|hex| hex.len() == 64 && hex.bytes().all(|byte| byte.is_ascii_hexdigit()))
        .ok_or_else(|| Fault::bad_request(format!("{digest:?} is no digest")))
}

async fn blob(State(registryctl): State<Arc<Registryctl>>, Path(digest): Path<String>, headers: HeaderMap) -> Answer {
    admitted(&registryctl, &headers)?;
    let hex = hex(&digest)?;
    gone(&registryctl, &format!("docker/registry/v2/blobs/sha256/{}/{hex}", &hex[..2])).await
}

/// `DELETE /api/registry/REPOSITORY/manifests/DIGEST`.
async fn manifest(State(registryctl): State<Arc<Registryctl>>, Path(path): Path<String>, headers: HeaderMap) -> Answer {
    admitted(&registryctl, &headers)?;
    let Some((repository, digest)) = path.rsplit_once("/manifests/") else {
        return Err(Fault::not_found("no such path"));
    };
    if repository.split('/').any(|part| matches!(part, "" | "." | "..")) {
        return Err(Fault::bad_request(format!("{repository:?} is no repository")));
    }
    let hex = hex(digest)?;
    gone(&registryctl, &format!("docker/registry/v2/repositories/{repository}/_manifests/revisions/sha256/{hex}")).await
}

async fn gone(registryctl: &Registryctl, path: &str) -> Answer {
    if registryctl.storage.delete(path).await? { done() } else { Err(Fault::not_found(format!("{path} not found"))) }
}
