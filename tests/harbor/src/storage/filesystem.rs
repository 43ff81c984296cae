//! A folder of the node's, or of a volume.

use std::path::PathBuf;

use anyhow::{Context, Result};
use serde::Deserialize;

#[derive(Deserialize)]
pub(crate) struct Settings {
    rootdirectory: Option<String>,
}

pub(crate) struct Folder(PathBuf);

impl Folder {
    pub(crate) fn new(settings: Settings) -> Result<Self> {
        let root = super::overridden("REGISTRY_STORAGE_FILESYSTEM_ROOTDIRECTORY", settings.rootdirectory)?;
        Ok(Self(PathBuf::from(root.unwrap_or_else(|| "/var/lib/registry".to_owned()))))
    }

    /// It must be there, and writable: registryctl deletes in it.
    pub(crate) fn open(&self) -> Result<()> {
        let probe = self.0.join(".registryctl");
        std::fs::write(&probe, "")
            .and_then(|()| std::fs::remove_file(&probe))
            .with_context(|| format!("storage {}", self.0.display()))
    }

    pub(crate) fn delete(&self, path: &str) -> Result<bool> {
        match std::fs::remove_dir_all(self.0.join(path)) {
            Ok(()) => Ok(true),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(false),
            Err(error) => Err(error).with_context(|| path.to_owned()),
        }
    }
}
