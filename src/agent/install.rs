//! Copies this program into the directory that the pod's containers share, so that it runs in any
//! HAProxy image. Touches that one file.

use std::{fs, os::unix::fs::PermissionsExt};

use super::{PodError, options::InstallOptions};

/// Copies the running program.
///
/// # Errors
/// When it cannot be read, or the target not be written.
pub fn run(options: &InstallOptions) -> Result<(), PodError> {
    let target = &options.target;
    let staged = target.with_extension("new");
    let program = std::env::current_exe().map_err(PodError::io("this program's path"))?;
    if let Some(directory) = target.parent() {
        fs::create_dir_all(directory).map_err(PodError::path("make", directory))?;
    }
    fs::copy(&program, &staged).map_err(PodError::path("write", &staged))?;
    fs::set_permissions(&staged, fs::Permissions::from_mode(0o755)).map_err(PodError::path("permit", &staged))?;
    fs::rename(&staged, target).map_err(PodError::path("write", target))?;
    tracing::info!(target_file = %target.display(), "installed");
    Ok(())
}
