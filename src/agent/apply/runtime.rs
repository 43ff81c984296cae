//! A change while HAProxy runs, the proof of it, and the same for a worker that has drifted. Nothing is
//! proven before the worker has told that it has what is wanted; what fails half-way is never the last word:
//! a reload follows, or the slots are put right.

use std::{
    collections::{BTreeMap, BTreeSet},
    mem,
    net::SocketAddr,
    sync::Arc,
    time::Duration,
};

use tokio::time::{Instant, sleep, timeout};
use tracing::{debug, error, info, warn};

use super::Applier;
use crate::{
    agent::{
        certificate,
        change::{self, Change, Command, Place, Version, Why, plan_change},
        files::Like,
        metrics::ChangeLabels,
        protocol::{Configuration, Proven},
        sight::{Known, Naming, Seen, Sight},
    },
    clients::haproxy::{Slots, Snapshot, patterns},
};

/// All commands of one change, and the proof.
const RUNTIME_PATIENCE: Duration = Duration::from_secs(10);
/// Commands that are sent at once, in bytes; HAProxy takes 16 kB on a line.
const LINE_LIMIT: usize = 8_000;
/// Between two looks whether an address is in use.
const FILL_PAUSE: Duration = Duration::from_millis(1);
/// Where more backends than so many are touched, all are asked for at once.
const ASKED_FOR_ONE_BY_ONE: usize = 8;
/// What a worker runs that could not be put right while it runs. No hash: nothing is proven by it.
const DRIFTED: &str = "drifted";
/// How many certificates and pattern files are compared at each look: one takes less than a tenth of a millisecond.
const FILES_A_LOOK: usize = 4;
/// A worker that drifts again and again is not reloaded more often.
const DRIFT_RELOADS: Duration = Duration::from_mins(1);

impl Applier {
    /// Has the running worker, which told these hashes, take a configuration without a reload.
    ///
    /// # Errors
    /// Why it must be a reload. Commands may have been carried out when it is [`Why::Failed`].
    pub(super) async fn change(
        &mut self,
        configuration: &Configuration,
        wanted: &Proven,
        marker: &str,
        loaded: Option<String>,
    ) -> Result<(), Why> {
        match timeout(RUNTIME_PATIENCE, self.try_change(configuration, wanted, marker, loaded)).await {
            Ok(result) => result,
            Err(_) => Err(failed("it took too long")),
        }
    }

    async fn try_change(
        &mut self,
        configuration: &Configuration,
        wanted: &Proven,
        marker: &str,
        loaded: Option<String>,
    ) -> Result<(), Why> {
        let known = self.known((loaded.ok_or(Why::Unknown)?, marker.to_owned()))?;
        let next = Arc::new(Version::read(configuration.files.clone())?);
        let touched = change::touched(&known.loaded, &known.running, &next)?;
        let slots = self.slots_of(&touched).await?;
        let commands = match plan_change(known.situation(&slots), &next) {
            Change::Reload(why) => return Err(why),
            Change::Nothing => Vec::new(),
            Change::Commands(commands) => commands,
        };
        self.changes.get_or_create(&ChangeLabels { kind: "runtime", reason: reason(&commands) }).inc();
        // What HAProxy would start with, before it runs it.
        let like = Like { hash: marker, files: known.running.files() };
        self.judge.adopt(configuration, wanted, next.layout(), like).map_err(failed)?;
        self.carry_out(&commands).await?;
        let mut snapshots = self.snapshots_of(&touched).await?;
        let slots: Slots = snapshots.iter().flat_map(|snapshot| snapshot.slots.clone()).collect();
        let hashes = (known.hashes.0, wanted.hash.clone());
        let reached = Known { hashes, running: next.clone(), ..known };
        if plan_change(reached.situation(&slots), &next) != Change::Nothing {
            return Err(failed("the worker told otherwise"));
        }
        self.files.switch_to(wanted).map_err(failed)?;
        if self.worker.set_marker(&wanted.hash).await.map_err(failed)?.as_ref() != Some(&reached.hashes.0) {
            return Err(failed("another worker has taken over"));
        }
        // They were made a moment before the marker was set, of the same worker.
        for snapshot in &mut snapshots {
            snapshot.marker = Some(wanted.hash.clone());
        }
        self.seen.follow(&reached, snapshots);
        self.known = Some(reached);
        debug!(?commands, sequence = wanted.sequence, "changed while running");
        Ok(())
    }

    fn known(&mut self, hashes: (String, String)) -> Result<Known, Why> {
        if let Some(known) = self.known.as_ref().filter(|known| known.hashes == hashes) {
            return Ok(known.clone());
        }
        let read = |hash: &str| -> Result<_, Why> {
            Ok(Arc::new(Version::read(self.files.contents(hash).ok_or(Why::Unknown)?)?))
        };
        let (loaded, running) = (read(&hashes.0)?, read(&hashes.1)?);
        let known = Known { hashes, loaded, running, adds: self.is_version_3() };
        self.known = Some(known.clone());
        Ok(known)
    }

    async fn slots_of(&self, backends: &BTreeSet<String>) -> Result<Slots, Why> {
        if backends.len() > ASKED_FOR_ONE_BY_ONE {
            return self.statistics.slots_and_use(None).await.map_err(failed);
        }
        let mut slots = Slots::new();
        for backend in backends {
            slots.extend(self.worker.slots_and_use(Some(backend)).await.map_err(failed)?);
        }
        Ok(slots)
    }

    /// What the worker tells of these backends.
    async fn snapshots_of(&self, backends: &BTreeSet<String>) -> Result<Vec<Snapshot>, Why> {
        if backends.len() > ASKED_FOR_ONE_BY_ONE {
            return Ok(vec![self.statistics.snapshot(None).await.map_err(failed)?]);
        }
        let mut snapshots = Vec::new();
        for backend in backends {
            snapshots.push(self.worker.snapshot(Some(backend)).await.map_err(failed)?);
        }
        Ok(snapshots)
    }

    /// First what no traffic sees, which must be taken to the last; then the rest.
    async fn carry_out(&self, commands: &[Command]) -> Result<(), Why> {
        let prepares = |command: &Command| {
            matches!(
                command,
                Command::Certificate { .. } | Command::Fill { .. } | Command::Add { .. } | Command::Aim { .. }
            )
        };
        let unseen = commands.iter().take_while(|command| prepares(command)).count();
        for part in [&commands[..unseen], &commands[unseen..]] {
            let mut line = String::new();
            for command in part {
                let lines = command.lines();
                if lines.is_empty() || line.len() + lines.iter().map(String::len).sum::<usize>() > LINE_LIMIT {
                    self.say(&std::mem::take(&mut line)).await?;
                }
                match command {
                    Command::Certificate { file, pem } => self.serve_certificate(file, pem).await?,
                    Command::Patterns { file, content } => self.use_patterns(file, content).await?,
                    _ => {}
                }
                for text in lines {
                    if !line.is_empty() {
                        line.push(';');
                    }
                    line.push_str(&text);
                }
            }
            self.say(&line).await?;
            self.until_filled(part).await?;
        }
        Ok(())
    }

    /// HAProxy 3 agrees to an address some moments before it uses it, and a line that is made ready in between
    /// still leads elsewhere. Waits for as long as the whole change may take.
    async fn until_filled(&self, commands: &[Command]) -> Result<(), Why> {
        let filled: BTreeMap<&Place, SocketAddr> = commands.iter().filter_map(Command::filled).collect();
        if filled.is_empty() || !self.is_version_3() {
            return Ok(());
        }
        let backends: BTreeSet<_> = filled.keys().map(|place| place.backend.clone()).collect();
        loop {
            let slots = self.slots_of(&backends).await?;
            let uses = |(place, address): (&&Place, &SocketAddr)| {
                let mut lines = slots.get(&place.backend).into_iter().flatten();
                lines.any(|slot| slot.name == place.name && slot.address == Some(*address))
            };
            if filled.iter().all(uses) {
                return Ok(());
            }
            sleep(FILL_PAUSE).await;
        }
    }

    async fn use_patterns(&self, file: &str, content: &str) -> Result<(), Why> {
        let wanted = patterns(file, content).ok_or_else(|| Why::File(file.to_owned()))?;
        self.worker.replace_patterns(file, &wanted).await.map_err(failed)?;
        let found = self.worker.patterns(file).await.map_err(failed)?;
        if found == wanted { Ok(()) } else { Err(failed(format_args!("{file} holds other patterns"))) }
    }

    /// Silence is consent; and what an address was, and is now.
    async fn say(&self, line: &str) -> Result<(), Why> {
        if line.is_empty() {
            return Ok(());
        }
        let answer = self.worker.ask(line).await.map_err(failed)?;
        let consents = |line: &str| line.ends_with("by 'stats socket command'") || line == "New server registered.";
        let objects = |line: &&str| !line.trim().is_empty() && !consents(line);
        answer.lines().find(objects).map_or(Ok(()), |objection| Err(failed(objection)))
    }

    async fn serve_certificate(&self, file: &str, pem: &str) -> Result<(), Why> {
        // The line feed that ends a command is the empty line that ends the payload.
        let set = self.worker.ask(&format!("set ssl cert {file} <<\n{pem}")).await.map_err(failed)?;
        let committed = if set.starts_with("Transaction ") {
            self.worker.ask(&format!("commit ssl cert {file}")).await.map_err(failed)?
        } else {
            set
        };
        if !committed.lines().any(|line| line == "Success!") {
            // It stays open, and is the next one's, unless it is ended.
            let _ = self.worker.ask(&format!("abort ssl cert {file}")).await;
            return Err(failed(format_args!("certificate {file}: {}", self.judge.clean(&committed))));
        }
        if self.serves(file, pem).await? { Ok(()) } else { Err(failed(format_args!("certificate {file} is another"))) }
    }

    async fn serves(&self, file: &str, pem: &str) -> Result<bool, Why> {
        let served = self.worker.certificate(file).await.map_err(failed)?;
        Ok(certificate::of_file(pem).is_none_or(|expected| expected == served))
    }

    /// Compares what the worker has with what it should have, and puts it right.
    pub(super) async fn mend(&mut self, every_file: bool) {
        let Some(running) = self.running.clone() else { return };
        match timeout(RUNTIME_PATIENCE, self.try_to_mend(&running, every_file)).await {
            // A configuration that was never understood is never compared.
            Ok(Ok(()) | Err(Why::Unknown | Why::NotUnderstood(_) | Why::Fixed(_))) => {}
            Ok(Err(why)) => self.reload_drifted(&running, &why).await,
            Err(_) => warn!("the worker's servers could not be compared in time"),
        }
    }

    async fn try_to_mend(&mut self, proven: &Proven, every_file: bool) -> Result<(), Why> {
        // A worker that can't be asked has not drifted: it is gone, or will answer at the next look.
        let Ok(slots) = self.statistics.slots().await else { return Ok(()) };
        let Ok(Some(loaded)) = self.worker.loaded().await else { return Ok(()) };
        let Ok(mut known) = self.known((loaded, proven.hash.clone())) else { return Ok(()) };
        let wanted = known.running.clone();
        for file in self.other_files(&wanted, every_file).await {
            known.running = Arc::new(Version::clone(&known.running).without(&file));
        }
        if plan_change(known.situation(&slots), &wanted) == Change::Nothing {
            return Ok(());
        }
        let Ok(slots) = self.statistics.slots_and_use(None).await else { return Ok(()) };
        let commands = match plan_change(known.situation(&slots), &wanted) {
            Change::Nothing => return Ok(()),
            Change::Reload(why @ (Why::Unknown | Why::NotUnderstood(_) | Why::Fixed(_))) => return Err(why),
            change => {
                self.note_drift();
                match change {
                    Change::Commands(commands) => commands,
                    Change::Reload(why) => return Err(why),
                    Change::Nothing => return Ok(()),
                }
            }
        };
        warn!(?commands, sequence = proven.sequence, "HAProxy had drifted");
        self.changes.get_or_create(&ChangeLabels { kind: "runtime", reason: "Drift" }).inc();
        self.carry_out(&commands).await?;
        known.running = wanted.clone();
        let slots = self.statistics.slots_and_use(None).await.map_err(failed)?;
        match plan_change(known.situation(&slots), &wanted) {
            Change::Nothing => Ok(()),
            _ => Err(failed("the worker told otherwise")),
        }
    }

    fn note_drift(&mut self) {
        self.drifted += 1;
        self.drift_counter.inc();
    }

    /// Looks at a few files in turn, or at all that HAProxy tells of: those that it uses otherwise.
    async fn other_files(&mut self, version: &Version, every: bool) -> Vec<String> {
        let is_certificate = |content: &str| content.contains("-----BEGIN CERTIFICATE-----");
        let told = |(name, content): &(&String, &String)| is_certificate(content) || patterns(name, content).is_some();
        let all: Vec<_> = version.files().iter().filter(told).collect();
        let count = if every { all.len() } else { all.len().min(FILES_A_LOOK) };
        let mut others = Vec::new();
        for _ in 0..count {
            self.next_file = (self.next_file + 1) % all.len();
            let (file, content) = all[self.next_file];
            let is_other = match patterns(file, content) {
                Some(wanted) => self.worker.patterns(file).await.is_ok_and(|found| found != wanted),
                // What is no server's certificate is not told.
                None => self.serves(file, content).await.is_ok_and(|serves| !serves),
            };
            if is_other {
                others.push(file.clone());
            }
        }
        others
    }

    /// What commands could not put right.
    async fn reload_drifted(&mut self, running: &Proven, why: &Why) {
        if self.drift_reload.is_some_and(|time| time.elapsed() < DRIFT_RELOADS) {
            return;
        }
        self.drift_reload = Some(Instant::now());
        warn!(%why, sequence = running.sequence, "HAProxy has drifted and is reloaded");
        self.changes.get_or_create(&ChangeLabels { kind: "reload", reason: "Drift" }).inc();
        self.running = None;
        // Else the old worker would prove it.
        if self.worker.set_marker(DRIFTED).await.is_err() {
            return;
        }
        if self.switch(running).await.is_ok() {
            self.prove(running, None).await;
        } else {
            error!(sequence = running.sequence, "the reload of a drifted HAProxy failed");
        }
    }

    /// What the worker shows of itself: as it was at the last look, and where a change came since then, as its
    /// proof found it; and all that was seen since this was last asked.
    pub async fn look(&mut self) -> (&Seen, Vec<Sight>) {
        if !self.looked {
            let snapshot = if self.running.is_some() { self.statistics.snapshot(None).await.ok() } else { None };
            let naming = snapshot.as_ref().and_then(|snapshot| self.naming(snapshot));
            let sight = snapshot.map(|snapshot| Sight::new(snapshot, naming.as_ref()));
            self.looked = sight.as_ref().is_some_and(Sight::is_certain);
            self.seen = Seen::new(naming, sight);
        }
        let sights = mem::take(&mut self.seen.sights);
        (&self.seen, sights)
    }

    /// What the members of the running configuration are called; none while that is not known.
    fn naming(&mut self, snapshot: &Snapshot) -> Option<Naming> {
        let running = self.running.as_ref()?.hash.clone();
        match self.known((snapshot.loaded.clone()?, running)) {
            Ok(known) => Some(Naming::Known(known)),
            // One that is not understood has no slots, and of one that is not known nobody can tell whose they are.
            Err(Why::NotUnderstood(_) | Why::Unknown) => Some(Naming::AsTheyAre),
            Err(_) => None,
        }
    }

    /// Tells why it is a reload.
    pub(super) fn note_reload(&self, wanted: &Proven, why: &Why) {
        info!(%why, sequence = wanted.sequence, "to be loaded anew");
        self.changes.get_or_create(&ChangeLabels { kind: "reload", reason: why.label() }).inc();
    }
}

/// For metrics: of the kinds of commands the one that is rarest.
fn reason(commands: &[Command]) -> &'static str {
    let any = |is: fn(&Command) -> bool| commands.iter().any(is);
    if any(|command| matches!(command, Command::Certificate { .. })) {
        "Certificates"
    } else if any(|command| matches!(command, Command::Patterns { .. })) {
        "Patterns"
    } else {
        "Servers"
    }
}

fn failed(what: impl std::fmt::Display) -> Why {
    Why::Failed(what.to_string())
}
