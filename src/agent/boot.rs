//! Chooses what HAProxy starts with, and becomes HAProxy. Touches the shared directory.

use std::{os::unix::process::CommandExt, path::Path, pin::pin, time::Duration};

use tracing::{info, warn};

use super::{
    PodError, asked_to_end,
    choice::{self, Known, Origin},
    files::{self, Files, PROCESS_FILE, Record},
    health,
    judge::{self, Judge, Unfit},
    listeners,
    options::PodOptions,
    protocol::{Configuration, MAIN_FILE, Proven},
};

/// How often is looked while there is nothing to start with, and while nothing of what there is can run.
const NONE_YET: Duration = Duration::from_millis(100);
const NONE_FIT: Duration = Duration::from_secs(1);

/// Waits until there is a configuration that HAProxy takes, and becomes HAProxy. Returns when it is
/// told to end before that.
///
/// # Errors
/// When the shared directory cannot be written, or HAProxy not be started.
pub async fn run(options: &PodOptions) -> Result<(), PodError> {
    let files = Files::new(&options.run_directory, "boot");
    let judge = Judge::new(files.clone(), options);
    let mut end = pin!(asked_to_end()?);
    let mut said = None;
    let chosen = loop {
        let why = match choose(&files, &judge, &options.configuration_directory).await {
            Ok(chosen) => break chosen,
            Err(why) => why,
        };
        let pause = if why.is_some() { NONE_FIT } else { NONE_YET };
        if said.as_ref() != Some(&why) {
            warn!(why = why.as_deref().unwrap_or("there is none"), "waiting for a configuration to start with");
            said = Some(why);
        }
        tokio::select! {
            () = &mut end => return Ok(()),
            () = tokio::time::sleep(pause) => {}
        }
    };
    // What was known of members' health is old by now.
    files
        .set_health(health::NOTHING)
        .and_then(|()| files.switch_to(&chosen))
        .map_err(PodError::path("write", &options.run_directory))?;
    info!(hash = chosen.hash, sequence = chosen.sequence, "starting HAProxy");
    let error = std::process::Command::new(&options.haproxy)
        .arg("-W")
        .arg("-S")
        .arg(format!("{},level,operator", files.master_socket().display()))
        .arg("-f")
        .arg(files.current(PROCESS_FILE))
        .arg("-f")
        .arg(files.current(MAIN_FILE))
        .exec();
    Err(PodError::path("start", &options.haproxy)(error))
}

/// The first candidate that HAProxy takes; else why the last was not taken, if there is any.
async fn choose(files: &Files, judge: &Judge, mounted: &Path) -> Result<Proven, Option<String>> {
    let mounted = files::read_mounted(mounted).unwrap_or_default();
    let proven = files.record(Record::Proven);
    let known = Known {
        mounted: mounted.as_ref().map(|found| Proven { hash: found.hash(), sequence: found.sequence }),
        proven: proven.clone(),
        offered: files.record(Record::Offered),
        attempted: files.record(Record::Attempted),
        refused: files.refused().map(|refused| refused.hash),
    };
    let mut why = None;
    for (origin, candidate) in choice::candidates(&known) {
        let proven = proven.as_ref().is_some_and(|proven| proven.hash == candidate.hash);
        match examine(files, judge, origin, &candidate, mounted.as_ref(), proven).await {
            Ok(()) => return Ok(candidate),
            Err(error) => why = Some(format!("sequence {}: {error}", candidate.sequence)),
        }
    }
    Err(why)
}

async fn examine(
    files: &Files,
    judge: &Judge,
    origin: Origin,
    candidate: &Proven,
    mounted: Option<&Configuration>,
    proven: bool,
) -> Result<(), Unfit> {
    match (origin, mounted) {
        (Origin::Mounted, Some(mounted)) => judge.prepare(mounted, candidate).await?,
        _ => judge.check(&files.directory(&candidate.hash)).await?,
    }
    // What has run before can bind, if perhaps only when the old workers are gone.
    if proven {
        return Ok(());
    }
    judge::try_addresses(&listeners::addresses(&files.text(&candidate.hash))).map_err(Unfit::Refused)
}
