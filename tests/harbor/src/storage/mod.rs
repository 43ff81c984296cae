//! The registry's storage, as its own `config.yml` and environment name it: a folder or a bucket.

mod filesystem;
mod s3;

use anyhow::{Result, bail};
use serde::Deserialize;

use crate::client::Client;
use crate::environment::Environment;

/// Where the registry keeps what it has.
pub(crate) enum Storage {
    Folder(filesystem::Folder),
    Bucket(Box<s3::Bucket>),
}

/// The part of the registry's `config.yml` that says where.
#[derive(Deserialize)]
struct Configuration {
    version: String,
    storage: Drivers,
}

#[derive(Deserialize)]
struct Drivers {
    filesystem: Option<filesystem::Settings>,
    s3: Option<s3::Settings>,
    swift: Option<serde_json::Value>,
}

impl Storage {
    /// Reads the configuration; more than one storage, or none, is refused.
    pub(crate) fn read(text: &str, client: &Client) -> Result<Self> {
        let configuration: Configuration = serde_saphyr::from_str(text).map_err(|error| anyhow::anyhow!("{error}"))?;
        if configuration.version != "0.1" {
            bail!("version must be 0.1, not {}", configuration.version);
        }
        if configuration.storage.swift.is_some() {
            bail!("swift is not provided for in the stand-in");
        }
        match (configuration.storage.filesystem, configuration.storage.s3) {
            (Some(settings), None) => Ok(Self::Folder(filesystem::Folder::new(settings)?)),
            (None, Some(settings)) => Ok(Self::Bucket(Box::new(s3::Bucket::new(settings, client.clone())?))),
            (None, None) => bail!("there is no storage of a kind that is known"),
            (Some(_), Some(_)) => bail!("there must be one storage, and there are two"),
        }
    }

    /// Whether the folder is there. A bucket is not asked: that it refuses is seen at the first use.
    pub(crate) fn open(&self) -> Result<()> {
        match self {
            Self::Folder(folder) => folder.open(),
            Self::Bucket(_) => Ok(()),
        }
    }

    /// Deletes all that lies below a path, and says whether there was anything.
    pub(crate) async fn delete(&self, path: &str) -> Result<bool> {
        match self {
            Self::Folder(folder) => folder.delete(path),
            Self::Bucket(bucket) => bucket.delete(path).await,
        }
    }
}

/// A setting, or what the environment says in its place, which Distribution reads as YAML.
fn overridden(name: &str, value: Option<String>) -> Result<Option<String>> {
    let Some(text) = Environment::optional(name) else { return Ok(value) };
    serde_saphyr::from_str(&text).map(Some).map_err(|error| anyhow::anyhow!("{name} is no text of YAML: {error}"))
}
