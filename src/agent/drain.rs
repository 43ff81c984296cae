//! Ends HAProxy so that no request is lost: waits until endpoints are withdrawn, has it stop listening,
//! and waits until its connections are finished. Touches the master's socket and process.

use std::{io, time::Duration};

use nix::{
    errno::Errno,
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use tokio::time::{Instant, sleep, timeout};
use tracing::info;

use super::{PodError, files::Files, options::DrainOptions};
use crate::clients::haproxy::Socket;

const AGAIN: Duration = Duration::from_millis(50);
/// The master does not answer while it reloads.
const MASTER_PATIENCE: Duration = Duration::from_secs(5);

/// Drains. Must run in HAProxy's own container, where the master's process id means the master.
///
/// # Errors
/// When it takes longer than the options allow; what is left is then for the kubelet to end.
pub async fn run(options: &DrainOptions) -> Result<(), PodError> {
    let master = Socket::new(&Files::new(&options.run_directory, "drain").master_socket(), Duration::from_secs(2));
    sleep(options.delay).await;
    let Some(master) = process_id(&master).await else {
        info!("no HAProxy runs");
        return Ok(());
    };
    info!(master = master.as_raw(), "draining");
    match kill(master, Signal::SIGUSR1) {
        Ok(()) | Err(Errno::ESRCH) => {}
        Err(error) => return Err(PodError::io("signal HAProxy")(error.into())),
    }
    let gone = async {
        while kill(master, None).is_ok() {
            sleep(AGAIN).await;
        }
    };
    timeout(options.timeout, gone).await.map_err(|_| PodError::DrainTooLong)
}

async fn process_id(master: &Socket) -> Option<Pid> {
    let deadline = Instant::now() + MASTER_PATIENCE;
    loop {
        match master.processes().await {
            Ok(processes) => return Some(Pid::from_raw(processes.master)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => return None,
            Err(_) if Instant::now() > deadline => return None,
            Err(_) => sleep(AGAIN).await,
        }
    }
}
