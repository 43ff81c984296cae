//! The HAProxy pod's own half: takes a configuration, proves that it runs, reports what it sees.
//!
//! One program, four moments of a pod: [`install`] copies it to where the other containers find it,
//! [`boot`] chooses a configuration and becomes HAProxy, [`serve`] runs beside it, [`drain`] ends it
//! politely. `boot` and `serve` share a directory ([`files`]) and nothing else:
//!
//! - `serve` changes what HAProxy runs while it runs, `boot` decides what it starts with;
//! - a configuration is *proven* once the running worker has told its hash, and only what is proven is
//!   ever fallen back to.
//!
//! | pure | I/O |
//! |---|---|
//! | [`protocol`], [`validation`], [`process`], [`listeners`], [`layout`], [`change`], [`certificate`], [`health`], [`kept`], [`message`], [`choice`], [`naming`], [`sight`], [`metrics`] | [`files`], [`judge`], [`apply`], [`queue`], [`server`], [`tls`], [`exporter`] and the four moments |

pub mod apply;
pub mod boot;
pub mod certificate;
pub mod change;
pub mod choice;
pub mod drain;
pub mod exporter;
pub mod files;
pub mod health;
pub mod install;
pub mod judge;
pub mod kept;
pub mod layout;
pub mod listeners;
pub mod message;
pub mod metrics;
pub mod naming;
pub mod options;
pub mod process;
pub mod protocol;
pub mod queue;
pub mod serve;
pub mod server;
pub mod sight;
pub mod tls;
pub mod validation;

use std::{io, path::PathBuf};

use self::options::{DrainOptions, InstallOptions, PodOptions, ServeOptions};

use tokio::signal::unix::{SignalKind, signal};

/// The moments of a pod, as the command line names them.
#[allow(clippy::doc_markdown, reason = "the comments are help texts, for a terminal")]
#[derive(Clone, Debug, clap::Subcommand)]
pub enum Command {
    /// Copy this program to where the pod's other containers find it.
    Install(InstallOptions),
    /// Choose a configuration, check it, and become HAProxy.
    Boot(PodOptions),
    /// Take configurations, have HAProxy run them, and report.
    Serve(ServeOptions),
    /// Let HAProxy finish what it has, and end it.
    Drain(DrainOptions),
}

impl Command {
    /// Runs it, as this version. `Boot` does not return when all goes well: the process becomes HAProxy.
    ///
    /// # Errors
    /// What ended it, for a log line and an exit code.
    pub async fn run(self, version: &'static str) -> Result<(), PodError> {
        match self {
            Self::Install(options) => install::run(&options),
            Self::Boot(options) => boot::run(&options).await,
            Self::Serve(options) => serve::run(options, version).await,
            Self::Drain(options) => drain::run(&options).await,
        }
    }
}

/// What ends one of the agent's programs.
#[derive(Debug, thiserror::Error)]
pub enum PodError {
    /// A file, socket or process of the pod could not be used.
    #[error("{what}: {source}")]
    Io {
        /// What was tried, and on what.
        what: String,
        /// Why it failed.
        source: io::Error,
    },
    /// HAProxy was still there when the time to drain was over.
    #[error("HAProxy did not end in time")]
    DrainTooLong,
}

impl PodError {
    fn io(what: impl Into<String>) -> impl FnOnce(io::Error) -> Self {
        let what = what.into();
        move |source| Self::Io { what, source }
    }

    fn path(what: &'static str, path: &std::path::Path) -> impl FnOnce(io::Error) -> Self + use<> {
        let path: PathBuf = path.to_owned();
        move |source| Self::Io { what: format!("{what} {}", path.display()), source }
    }
}

/// Ready when the container is asked to end. Kubernetes does so with the signal that the image names, and
/// HAProxy's images, which the agent runs in as well, name SIGUSR1.
fn asked_to_end() -> Result<impl Future<Output = ()>, PodError> {
    // The first process of a container is not ended by signals that it does not handle.
    let mut terminate = signal(SignalKind::terminate()).map_err(PodError::io("handle signals"))?;
    let mut user = signal(SignalKind::user_defined1()).map_err(PodError::io("handle signals"))?;
    Ok(async move {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = user.recv() => {}
        }
    })
}
