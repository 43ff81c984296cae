//! Answers `/metrics`: asks HAProxy, at most once a second however many ask, and knows whose line is whose
//! from the one loop that has HAProxy change. Touches HAProxy's sockets, and changes nothing.

use std::{
    collections::{BTreeMap, BTreeSet},
    hash::{DefaultHasher, Hash, Hasher},
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use axum::body::Bytes;
use jiff::Timestamp;
use prometheus_client::encoding::text::encode_eof;
use tokio::{
    sync::Mutex as AsyncMutex,
    time::{Instant, sleep, timeout},
};

use super::{
    files::Files,
    metrics::{Metrics, Reading},
    naming,
    protocol::{CertificateHealth, ListenerHealth},
    sight::{Naming, Seen, Sight, Tenants},
};
use crate::clients::haproxy::Socket;

/// How long an answer holds: `show stat` of 4,000 servers takes HAProxy 18 to 35 ms.
const FRESH: Duration = Duration::from_secs(1);
/// How long HAProxy is waited for; Prometheus waits 10 s.
const PATIENCE: Duration = Duration::from_secs(3);
/// A change that was just made is known a moment later.
const AGAIN: Duration = Duration::from_millis(30);
/// How often a worker is looked at again that something has just changed.
const LOOKS: u32 = 5;
/// How old what certificates say may be, when nobody has changed one.
const CERTIFICATES_FRESH: Duration = Duration::from_mins(1);

/// What `/metrics` is made from.
#[derive(Debug)]
pub struct Exporter {
    worker: Socket,
    master: Socket,
    memory: Mutex<Memory>,
    answer: AsyncMutex<Option<(Instant, Bytes)>>,
}

/// What the loop that has HAProxy change tells the others.
#[derive(Debug, Default)]
struct Memory {
    naming: Option<Naming>,
    tenants: Tenants,
    /// When the certificates end that are served, by file.
    ends: BTreeMap<String, Timestamp>,
    /// Whose they are.
    ends_of: Option<Served>,
}

/// Which certificates were looked at.
#[derive(Clone, Debug)]
struct Served {
    worker: Option<u64>,
    /// The configuration.
    hash: String,
    /// Of the certificates in it alone: members change more often.
    files: u64,
    time: Instant,
}

impl Exporter {
    /// An exporter for the HAProxy of these files.
    #[must_use]
    pub fn new(files: &Files) -> Self {
        let [worker, master] = [files.worker_socket(), files.master_socket()].map(|path| Socket::new(&path, PATIENCE));
        Self { worker, master, memory: Mutex::default(), answer: AsyncMutex::default() }
    }

    /// Takes note of what runs, and of what it has shown.
    pub fn note(&self, naming: Option<Naming>, sights: &[Sight]) {
        let mut memory = self.memory();
        memory.naming = naming;
        for sight in sights.iter().filter(|sight| sight.is_certain()) {
            memory.tenants.observe(sight);
        }
    }

    /// Reads when the certificates end that are served, when that may have changed since the last look.
    pub async fn look_at_certificates(&self) {
        let (before, worker, known) = {
            let memory = self.memory();
            let Some(Naming::Known(known)) = &memory.naming else { return };
            (memory.ends_of.clone(), memory.tenants.worker(), known.clone())
        };
        let before = before.filter(|before| before.worker == worker && before.time.elapsed() < CERTIFICATES_FRESH);
        let hash = known.hashes.1;
        if before.as_ref().is_some_and(|before| before.hash == hash) {
            return;
        }
        let contents = known.running.files();
        let files: BTreeSet<&str> = naming::certificates(contents).flat_map(|(_, files)| files).collect();
        let files: Vec<&str> = files.into_iter().collect();
        let mut hasher = DefaultHasher::new();
        for file in &files {
            (file, contents.get(*file)).hash(&mut hasher);
        }
        let mut served = Served { worker, hash, files: hasher.finish(), time: Instant::now() };
        if let Some(before) = before.filter(|before| before.files == served.files) {
            served.time = before.time;
            self.memory().ends_of = Some(served);
        } else if let Ok(ends) = self.worker.certificate_ends(&files).await {
            let mut memory = self.memory();
            memory.ends = ends;
            memory.ends_of = Some(served);
        }
    }

    /// The listeners that a worker shows, each with the certificate that ends first.
    #[must_use]
    pub fn listeners(&self, seen: &Seen) -> BTreeMap<String, ListenerHealth> {
        let mut listeners = seen.listeners.clone();
        let Some(Naming::Known(known)) = &seen.naming else { return listeners };
        let memory = self.memory();
        for (name, files) in naming::certificates(known.running.files()) {
            let first = files.filter_map(|file| Some((memory.ends.get(file)?, file))).min();
            if let Some((listener, (end, file))) = listeners.get_mut(name).zip(first) {
                listener.certificate = Some(CertificateHealth { file: file.to_owned(), not_after: end.as_second() });
            }
        }
        listeners
    }

    /// The answer to `/metrics`: the agent's own numbers, and what HAProxy tells, if it does in time. Who
    /// comes while another asks waits for that answer; all share it, since it may have some megabytes.
    pub async fn text(&self, metrics: &Metrics) -> Bytes {
        let mut answer = self.answer.lock().await;
        if let Some((time, text)) = answer.as_ref()
            && time.elapsed() < FRESH
        {
            return text.clone();
        }
        let (sight, old_workers) = tokio::join!(timeout(PATIENCE, self.look()), timeout(PATIENCE, self.old_workers()));
        let reading = {
            let memory = self.memory();
            Reading::new(sight.ok().flatten().as_ref(), &memory.tenants, old_workers.ok().flatten(), &memory.ends)
        };
        let mut text = metrics.render();
        reading.render(&mut text);
        // Writing to a string cannot fail.
        let _ = encode_eof(&mut text);
        let text = Bytes::from(text);
        *answer = Some((Instant::now(), text.clone()));
        text
    }

    /// What the worker shows; whose lines are whose may not be known yet while it is being changed.
    async fn look(&self) -> Option<Sight> {
        let mut looks = 0;
        loop {
            let snapshot = self.worker.snapshot(None).await.ok()?;
            let naming = self.memory().naming.clone();
            let sight = Sight::new(snapshot, naming.as_ref());
            looks += 1;
            if sight.is_certain() || looks == LOOKS {
                return Some(sight);
            }
            sleep(AGAIN).await;
        }
    }

    /// The master does not answer while it reads a configuration.
    async fn old_workers(&self) -> Option<u64> {
        let deadline = Instant::now() + FRESH;
        loop {
            match self.master.processes().await {
                Ok(processes) => return Some(processes.old.len() as u64),
                Err(_) if Instant::now() > deadline => return None,
                Err(_) => sleep(AGAIN).await,
            }
        }
    }

    fn memory(&self) -> MutexGuard<'_, Memory> {
        self.memory.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
