//! Has HAProxy run a configuration, and proves that it does: check, try the addresses, switch, reload,
//! read the marker back. What fails is undone. Touches the shared directory and HAProxy's sockets, and
//! is the only one to do so while HAProxy runs.

use std::{io, time::Duration};

use tokio::time::{Instant, sleep};
use tracing::{error, info, warn};

use super::{
    files::{Files, Record},
    judge::{self, Judge, Unfit},
    listeners,
    options::PodOptions,
    process,
    protocol::{Configuration, Conflict, Proven, Refused},
};
use crate::clients::haproxy::{ReloadAnswer, Socket};

/// How long a socket may take to answer a short question.
const SOCKET_PATIENCE: Duration = Duration::from_secs(2);
/// How long the statistics may take: 4,000 servers need 35 ms.
const STATISTICS_PATIENCE: Duration = Duration::from_secs(10);
/// The master refuses connections for as long as it parses.
const MASTER_PATIENCE: Duration = Duration::from_secs(10);
/// How long a configuration that came while no HAProxy ran may wait for its start.
const START_PATIENCE: Duration = Duration::from_secs(3);
/// Between two looks, at first and at last: a reload takes 35 to 600 ms.
const SHORTEST_LOOK: Duration = Duration::from_millis(2);
const LONGEST_LOOK: Duration = Duration::from_millis(50);

/// An old worker has at least so long to finish its requests before a reload may have the master end it.
const OLD_WORKER_GRACE: Duration = Duration::from_secs(10);

/// What became of a configuration.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// The running worker has told its hash.
    Proven,
    /// HAProxy does not take it; [`Applier::refused`] tells why.
    Refused,
    /// A later one came before its turn.
    Stale(Conflict),
    /// No HAProxy runs; its next start takes it.
    NotRunning,
    /// It breaks the bounds of the protocol.
    Invalid(super::validation::Invalid),
    /// The pod could not do it.
    Failed(String),
}

/// Why a switch did not succeed.
enum Setback {
    Refused(String),
    /// HAProxy went away, or was started with something else.
    Gone,
    Io(io::Error),
}

impl From<io::Error> for Setback {
    fn from(error: io::Error) -> Self {
        Self::Io(error)
    }
}

/// Applies one configuration at a time.
#[derive(Debug)]
pub struct Applier {
    files: Files,
    judge: Judge,
    master: Socket,
    /// The master's again, with more patience.
    reloader: Socket,
    worker: Socket,
    statistics: Socket,
    patience: Duration,
    running: Option<Proven>,
    refused: Option<Refused>,
    reloads: u64,
    /// When the last few were, the newest last.
    reload_times: Vec<Instant>,
}

impl Applier {
    /// An applier over the shared directory; remembers what an earlier one refused.
    #[must_use]
    pub fn new(options: &PodOptions) -> Self {
        let files = Files::new(&options.run_directory, "serve");
        Self {
            judge: Judge::new(files.clone(), options),
            master: Socket::new(&files.master_socket(), SOCKET_PATIENCE),
            reloader: Socket::new(&files.master_socket(), MASTER_PATIENCE),
            worker: Socket::new(&files.worker_socket(), SOCKET_PATIENCE),
            statistics: Socket::new(&files.worker_socket(), STATISTICS_PATIENCE),
            patience: options.proof_timeout,
            running: None,
            refused: files.refused(),
            reloads: 0,
            reload_times: Vec::new(),
            files,
        }
    }

    /// What the worker runs that was last asked.
    #[must_use]
    pub fn running(&self) -> Option<&Proven> {
        self.running.as_ref()
    }

    /// What was refused, until a newer one is taken.
    #[must_use]
    pub fn refused(&self) -> Option<&Refused> {
        self.refused.as_ref()
    }

    /// Reloads since the start.
    #[must_use]
    pub fn reloads(&self) -> u64 {
        self.reloads
    }

    /// The judge, for HAProxy's version.
    #[must_use]
    pub fn judge(&self) -> &Judge {
        &self.judge
    }

    /// The worker's socket, for its statistics.
    #[must_use]
    pub fn statistics(&self) -> &Socket {
        &self.statistics
    }

    /// The newest configuration that was ever known here.
    #[must_use]
    pub fn newest_known(&self) -> Proven {
        let refused =
            self.refused.as_ref().map(|refused| Proven { hash: refused.hash.clone(), sequence: refused.sequence });
        let records = [Record::Proven, Record::Offered].map(|record| self.files.record(record));
        records.into_iter().flatten().chain(refused).max_by_key(|record| record.sequence).unwrap_or_default()
    }

    /// Whether another reload would have the master end a worker that was replaced only now, and with it
    /// the requests that it still has: a burst of changes waits for them, a little.
    pub async fn holds_back(&self) -> bool {
        let recent = |time: &Instant| time.elapsed() < OLD_WORKER_GRACE;
        let text = self.running.as_ref().map(|running| self.files.text(&running.hash));
        let outlived = text.and_then(|text| process::reloads_outlived(&text));
        let Some(outlived) = outlived
            .filter(|outlived| self.reload_times.iter().rev().nth(outlived.saturating_sub(1)).is_some_and(recent))
        else {
            return false;
        };
        // The worker shows its marker a moment before the master answers again.
        let deadline = Instant::now() + SOCKET_PATIENCE;
        loop {
            match self.master.processes().await {
                Ok(processes) => return processes.oldest >= outlived,
                Err(_) if Instant::now() > deadline => return false,
                Err(_) => sleep(SHORTEST_LOOK).await,
            }
        }
    }

    /// Has HAProxy run a configuration. The same hash again is no work.
    pub async fn apply(&mut self, configuration: &Configuration) -> Outcome {
        let wanted = Proven { hash: configuration.hash(), sequence: configuration.sequence };
        let marker = self.worker.marker().await.ok().flatten();
        if marker.as_ref() == Some(&wanted.hash) {
            return self.prove(&wanted);
        }
        match self.judge.prepare(configuration).await {
            Ok(()) => self.bring_about(wanted, marker).await,
            Err(Unfit::Invalid(invalid)) => Outcome::Invalid(invalid),
            Err(Unfit::Refused(message)) => self.refuse(&wanted, message),
            Err(Unfit::Io(error)) => failed(&wanted, &error),
        }
    }

    /// Looks at what runs and puts it right: HAProxy may have been started again with something else.
    pub async fn tend(&mut self) {
        let Some(marker) = self.worker.marker().await.ok().flatten() else {
            self.running = None;
            return;
        };
        let proven = self.files.record(Record::Proven);
        if self.running.is_some() && self.running == proven && proven.as_ref().is_some_and(|it| it.hash == marker) {
            return;
        }
        let found = self.record_of(&marker);
        let offered = self.files.record(Record::Offered);
        let known = [proven, offered].into_iter().flatten().max_by_key(|record| record.sequence);
        match known {
            Some(known) if known.hash != marker && known.sequence > found.sequence => {
                warn!(running = found.sequence, known = known.sequence, "HAProxy runs an older configuration");
                self.bring_about(known, Some(marker)).await;
            }
            Some(known) if known.hash == marker => {
                self.prove(&known);
            }
            _ => {
                self.prove(&found);
            }
        }
    }

    /// Switches to a configuration whose directory is prepared, and back when it does not run.
    async fn bring_about(&mut self, wanted: Proven, marker: Option<String>) -> Outcome {
        let before = marker.clone().or_else(|| self.files.record(Record::Proven).map(|proven| proven.hash));
        let old = before.map(|hash| listeners::addresses(&self.files.text(&hash))).unwrap_or_default();
        let new = listeners::addresses(&self.files.text(&wanted.hash));
        if let Err(message) = judge::try_addresses(&new.difference(&old).copied().collect()) {
            self.running = marker.map(|marker| self.record_of(&marker));
            return self.refuse(&wanted, message);
        }
        let marker = match marker {
            Some(marker) => marker,
            None => match self.offer(&wanted).await {
                Ok(Some(marker)) if marker == wanted.hash => return self.prove(&wanted),
                Ok(Some(marker)) => marker,
                Ok(None) => return Outcome::NotRunning,
                Err(error) => return failed(&wanted, &error),
            },
        };
        let found = self.record_of(&marker);
        let setback = match self.switch(&wanted).await {
            Ok(()) => return self.prove(&wanted),
            Err(setback) => setback,
        };
        if let Err(error) = self.go_back(&found).await {
            error!(%error, sequence = found.sequence, "the configuration before could not be brought back");
        }
        match setback {
            Setback::Refused(message) => self.refuse(&wanted, message),
            Setback::Gone => match self.files.set_record(Record::Offered, Some(&wanted)) {
                Ok(()) => Outcome::NotRunning,
                Err(error) => failed(&wanted, &error),
            },
            Setback::Io(error) => failed(&wanted, &error),
        }
    }

    /// Leaves a configuration for HAProxy's next start and waits for that a little.
    async fn offer(&mut self, wanted: &Proven) -> io::Result<Option<String>> {
        self.running = None;
        self.files.set_record(Record::Offered, Some(wanted))?;
        let deadline = Instant::now() + START_PATIENCE;
        while Instant::now() < deadline {
            if let Some(marker) = self.worker.marker().await.ok().flatten() {
                return Ok(Some(marker));
            }
            sleep(LONGEST_LOOK).await;
        }
        Ok(None)
    }

    async fn switch(&mut self, wanted: &Proven) -> Result<(), Setback> {
        self.files.switch_to(wanted)?;
        if let ReloadAnswer::Failure(log) = self.reload().await? {
            return Err(Setback::Refused(self.judge.clean(&log)));
        }
        self.wait_for_proof(wanted).await
    }

    /// Sends `reload`, which the master takes only when it is done with the one before.
    async fn reload(&mut self) -> Result<ReloadAnswer, Setback> {
        let deadline = Instant::now() + MASTER_PATIENCE;
        loop {
            let answer = match self.reloader.reload().await {
                // Since 2.7 the answer comes after the load, which may take longer: the proof will tell.
                Err(error) if error.kind() == io::ErrorKind::TimedOut => Ok(ReloadAnswer::Silent),
                answer => answer,
            };
            match answer {
                Ok(answer) => {
                    self.reloads += 1;
                    self.reload_times.push(Instant::now());
                    self.reload_times.retain(|time| time.elapsed() < OLD_WORKER_GRACE);
                    return Ok(answer);
                }
                Err(_) if Instant::now() > deadline => return Err(Setback::Gone),
                Err(_) => sleep(SHORTEST_LOOK).await,
            }
        }
    }

    /// Reads the marker until it is the wanted one, each time on a new connection. The master answers
    /// again only after it has read the configuration, and then tells whether it failed.
    async fn wait_for_proof(&self, wanted: &Proven) -> Result<(), Setback> {
        let deadline = Instant::now() + self.patience;
        let mut pause = SHORTEST_LOOK;
        loop {
            if self.worker.marker().await.is_ok_and(|marker| marker.as_ref() == Some(&wanted.hash)) {
                return Ok(());
            }
            if self.master.processes().await.is_ok_and(|processes| processes.failed > 0) {
                return Err(Setback::Refused("HAProxy could not start with it; its log tells why".to_owned()));
            }
            if self.files.record(Record::Attempted).is_none_or(|attempted| attempted.hash != wanted.hash) {
                return Err(Setback::Gone);
            }
            if Instant::now() > deadline {
                return Err(Setback::Refused("no worker showed in time that it runs it".to_owned()));
            }
            sleep(pause).await;
            pause = (pause * 5 / 4).min(LONGEST_LOOK);
        }
    }

    /// Brings back what ran before; needs a reload only when something else runs by now.
    async fn go_back(&mut self, found: &Proven) -> io::Result<()> {
        let runs = |marker: Option<String>| marker.as_ref() == Some(&found.hash);
        self.files.switch_to(found)?;
        if !runs(self.worker.marker().await.ok().flatten()) && self.reload().await.is_ok() {
            // Proof or not: the next look tells what runs.
            let _ = self.wait_for_proof(found).await;
        }
        self.running = runs(self.worker.marker().await.ok().flatten()).then(|| found.clone());
        // What could not be brought back is not the last good one any more.
        if self.running.is_some() {
            self.files.set_record(Record::Proven, Some(found))?;
        }
        Ok(())
    }

    fn prove(&mut self, wanted: &Proven) -> Outcome {
        let news = self.running.as_ref() != Some(wanted);
        if self.refused.as_ref().is_some_and(|refused| refused.sequence <= wanted.sequence) {
            self.refused = None;
        }
        self.running = Some(wanted.clone());
        match self.remember(wanted) {
            Ok(()) => {
                if news {
                    info!(hash = wanted.hash, sequence = wanted.sequence, "proven");
                }
                Outcome::Proven
            }
            Err(error) => failed(wanted, &error),
        }
    }

    fn remember(&self, proven: &Proven) -> io::Result<()> {
        self.files.set_record(Record::Proven, Some(proven))?;
        self.files.set_record(Record::Attempted, Some(proven))?;
        if self.files.record(Record::Offered).is_some_and(|offered| offered.sequence <= proven.sequence) {
            self.files.set_record(Record::Offered, None)?;
        }
        self.files.set_refused(self.refused.as_ref())?;
        self.files.remove_forgotten()
    }

    fn refuse(&mut self, wanted: &Proven, message: String) -> Outcome {
        warn!(hash = wanted.hash, sequence = wanted.sequence, message, "refused");
        let refused = Refused { hash: wanted.hash.clone(), sequence: wanted.sequence, message };
        let forget = || -> io::Result<()> {
            self.files.set_refused(Some(&refused))?;
            if self.files.record(Record::Offered).is_some_and(|offered| offered.hash == wanted.hash) {
                self.files.set_record(Record::Offered, None)?;
            }
            self.files.remove_forgotten()
        };
        if let Err(error) = forget() {
            error!(%error, "the refusal could not be written");
        }
        self.refused = Some(refused);
        Outcome::Refused
    }

    /// What is known of a configuration that a worker has told the hash of.
    fn record_of(&self, hash: &str) -> Proven {
        let records = [Record::Proven, Record::Attempted, Record::Offered].map(|record| self.files.record(record));
        let known = records.into_iter().flatten().filter(|record| record.hash == hash);
        known.max_by_key(|record| record.sequence).unwrap_or_else(|| Proven { hash: hash.to_owned(), sequence: 0 })
    }
}

fn failed(wanted: &Proven, error: &io::Error) -> Outcome {
    error!(%error, sequence = wanted.sequence, "the pod's files could not be used");
    Outcome::Failed(error.to_string())
}
