//! Has HAProxy run a configuration, and proves that it does: while it runs ([`runtime`]), or check, try the
//! addresses, switch, reload, read the marker back. What fails is undone. Touches the shared directory and HAProxy's sockets, and
//! is the only one to do so while HAProxy runs.

mod reload;
mod runtime;

use std::{io, time::Duration};

use prometheus_client::metrics::{counter::Counter, family::Family};

use tokio::time::{Instant, sleep};
use tracing::{error, info, warn};

use super::{
    change::Why,
    files::{Files, Record},
    judge::{self, Judge, Unfit},
    listeners,
    metrics::{ChangeLabels, Metrics},
    options::PodOptions,
    protocol::{Configuration, Conflict, Proven, Refused},
    sight::{Known, Seen},
};
use crate::clients::haproxy::Socket;

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
    /// It needs a reload, and old workers first need time; to be tried again.
    HeldBack,
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
    /// HAProxy's, such as `2.6.12`; empty while unknown.
    version: String,
    running: Option<Proven>,
    refused: Option<Refused>,
    reloads: u64,
    /// When the last few were, the newest last.
    reload_times: Vec<Instant>,
    drifted: u64,
    drift_counter: Counter,
    failed_reloads: Counter,
    /// When the last one was that drift needed.
    drift_reload: Option<Instant>,
    /// Which file is compared next.
    next_file: usize,
    known: Option<Known>,
    seen: Seen,
    /// Whether the worker was looked at since the last reload and the last look at what runs.
    looked: bool,
    changes: Family<ChangeLabels, Counter>,
}

impl Applier {
    /// An applier over the shared directory; remembers what an earlier one refused.
    #[must_use]
    pub fn new(options: &PodOptions, metrics: &Metrics) -> Self {
        let files = Files::new(&options.run_directory, "serve");
        Self {
            judge: Judge::new(files.clone(), options),
            master: Socket::new(&files.master_socket(), SOCKET_PATIENCE),
            reloader: Socket::new(&files.master_socket(), MASTER_PATIENCE),
            worker: Socket::new(&files.worker_socket(), SOCKET_PATIENCE),
            statistics: Socket::new(&files.worker_socket(), STATISTICS_PATIENCE),
            patience: options.proof_timeout,
            version: String::new(),
            running: None,
            refused: files.refused(),
            reloads: 0,
            reload_times: Vec::new(),
            drifted: 0,
            drift_counter: metrics.drifted.clone(),
            failed_reloads: metrics.failed_reloads.clone(),
            drift_reload: None,
            next_file: 0,
            known: None,
            seen: Seen::default(),
            looked: false,
            changes: metrics.changes.clone(),
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

    /// HAProxy's version, such as `2.6.12`; empty while it is unknown.
    #[must_use]
    pub fn version(&self) -> &str {
        &self.version
    }

    /// Asks for [`Self::version`], if it is not known yet.
    pub async fn learn_version(&mut self) {
        if self.version.is_empty() {
            self.version = self.judge.version().await.unwrap_or_default();
        }
    }

    /// Whether `server` lines can be added while HAProxy runs, which lacks fixes in 2.6; and whether an address is
    /// used some moments after it was given, which began with 3.0.
    fn is_version_3(&self) -> bool {
        self.version.split('.').next().and_then(|major| major.parse().ok()).is_some_and(|major: u32| major >= 3)
    }

    /// How often the worker had drifted since the start.
    #[must_use]
    pub fn drifted(&self) -> u64 {
        self.drifted
    }

    /// The newest configuration that was ever known here.
    #[must_use]
    pub fn newest_known(&self) -> Proven {
        let refused =
            self.refused.as_ref().map(|refused| Proven { hash: refused.hash.clone(), sequence: refused.sequence });
        let records = [Record::Proven, Record::Offered].map(|record| self.files.record(record));
        records.into_iter().flatten().chain(refused).max_by_key(|record| record.sequence).unwrap_or_default()
    }

    /// Has HAProxy run a configuration, of this hash. The same hash again is no work.
    pub async fn apply(&mut self, configuration: &Configuration, hash: &str) -> Outcome {
        let wanted = Proven { hash: hash.to_owned(), sequence: configuration.sequence };
        let (marker, loaded) = self.worker.hashes().await.unwrap_or_default();
        if marker.as_ref() == Some(&wanted.hash) {
            return self.prove(&wanted, loaded).await;
        }
        let mut half_done = false;
        if let Some(marker) = &marker {
            match self.change(configuration, &wanted, marker, loaded.clone()).await {
                Ok(()) => return self.prove(&wanted, loaded).await,
                // What was begun is brought to its end.
                Err(why) if !matches!(why, Why::Failed(_)) && self.holds_back().await => return Outcome::HeldBack,
                Err(why) => {
                    self.note_reload(&wanted, &why);
                    half_done = matches!(why, Why::Failed(_));
                }
            }
        }
        self.looked = false;
        let outcome = match self.judge.prepare(configuration, &wanted).await {
            Ok(()) => self.bring_about(wanted, marker).await,
            Err(Unfit::Invalid(invalid)) => Outcome::Invalid(invalid),
            Err(Unfit::Refused(message)) => self.refuse(&wanted, message),
            Err(Unfit::Io(error)) => failed(&wanted, &error),
        };
        if half_done && outcome != Outcome::Proven {
            self.mend(true).await;
        }
        outcome
    }

    /// Looks at what runs and puts it right: HAProxy may have been started again with something else.
    pub async fn tend(&mut self) {
        self.looked = false;
        let Ok((Some(marker), loaded)) = self.worker.hashes().await else {
            self.running = None;
            return;
        };
        let proven = self.files.record(Record::Proven);
        if self.running.is_some() && self.running == proven && proven.as_ref().is_some_and(|it| it.hash == marker) {
            self.mend(false).await;
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
                self.prove(&known, loaded).await;
            }
            _ => {
                self.prove(&found, loaded).await;
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
                Ok(Some(marker)) if marker == wanted.hash => return self.prove(&wanted, None).await,
                Ok(Some(marker)) => marker,
                Ok(None) => return Outcome::NotRunning,
                Err(error) => return failed(&wanted, &error),
            },
        };
        let found = self.record_of(&marker);
        let setback = match self.switch(&wanted).await {
            Ok(()) => return self.prove(&wanted, None).await,
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

    /// Brings back what ran before; needs a reload only when something else runs by now.
    async fn go_back(&mut self, found: &Proven) -> io::Result<()> {
        let runs = |marker: Option<String>| marker.as_ref() == Some(&found.hash);
        // A worker that told no hash can't be brought back to it; the next look decides.
        if !self.files.directory(&found.hash).is_dir() {
            return Ok(());
        }
        self.files.switch_to(found)?;
        if !runs(self.worker.marker().await.ok().flatten()) && self.reload(found).await.is_ok() {
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

    /// Takes down that the worker runs it; what that was started with, if it is known already.
    async fn prove(&mut self, wanted: &Proven, loaded: Option<String>) -> Outcome {
        let news = self.running.as_ref() != Some(wanted);
        if self.refused.as_ref().is_some_and(|refused| refused.sequence <= wanted.sequence) {
            self.refused = None;
        }
        self.running = Some(wanted.clone());
        let loaded = match loaded {
            None => self.worker.loaded().await.ok().flatten(),
            loaded => loaded,
        };
        match self.remember(wanted, loaded) {
            Ok(()) => {
                if news {
                    info!(hash = wanted.hash, sequence = wanted.sequence, "proven");
                }
                Outcome::Proven
            }
            Err(error) => failed(wanted, &error),
        }
    }

    fn remember(&self, proven: &Proven, loaded: Option<String>) -> io::Result<()> {
        self.files.set_record(Record::Proven, Some(proven))?;
        self.files.set_record(Record::Attempted, Some(proven))?;
        if let Some(hash) = loaded {
            self.files.set_record(Record::Loaded, Some(&Proven { hash, sequence: 0 }))?;
        }
        // HAProxy starts with what runs, also after an agent that ended between a change and its proof.
        if !self.files.is_current(&proven.hash) && self.files.directory(&proven.hash).is_dir() {
            self.files.switch_to(proven)?;
        }
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
