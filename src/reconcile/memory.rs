//! What the engine remembers of each resource from turn to turn, and may forget at any time at the cost
//! of a request or an event more. Nothing here does I/O.

use std::{
    collections::HashMap,
    hash::{BuildHasher, Hash, RandomState},
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use tokio::time::Instant;

use super::{fingerprint::Fingerprint, inventory::Place};

/// An event that was planned in every turn is told once; told again if it was away for this long.
const SILENCE: Duration = Duration::from_mins(10);
/// How often in a row the same is applied to an object at once; after that, later and later.
const PATIENT_MENDS: u32 = 3;
/// The first of those later times, and the last.
const MEND_WAITS: (Duration, Duration) = (Duration::from_secs(1), Duration::from_mins(1));
/// After so long a peace the count begins anew.
const PEACE: Duration = Duration::from_mins(5);

/// What is remembered of each resource, by uid. Places and notes are remembered by their hashes: should two of one
/// resource ever be the same, an event is told once too seldom, or an object is applied a minute late.
#[derive(Debug, Default)]
pub(crate) struct Memories {
    known: Mutex<HashMap<String, Memory>>,
    hashes: RandomState,
}

#[derive(Debug, Default)]
struct Memory {
    /// The version that the last write of the engine made.
    written: u64,
    /// Whether a turn waits for the cache to show that version.
    waiting: bool,
    /// Failed turns in a row.
    failures: u32,
    /// When each event was last asked for, by reason and note.
    told: Vec<(u64, Instant)>,
    /// What was applied last to each object.
    mends: Vec<Mend>,
}

/// What was applied to an object, and how often in a row it was the same.
#[derive(Debug)]
struct Mend {
    place: u64,
    desired: Fingerprint,
    last: Instant,
    times: u32,
}

impl Memories {
    /// Notes that a write made `version`.
    pub(crate) fn wrote(&self, uid: &str, version: u64) {
        let mut memories = self.lock();
        let memory = memories.entry(uid.to_owned()).or_default();
        memory.written = memory.written.max(version);
    }

    /// Whether `version` is older than what was written: a turn on it has to wait.
    pub(crate) fn stale(&self, uid: &str, version: u64) -> bool {
        let mut memories = self.lock();
        let Some(memory) = memories.get_mut(uid) else { return false };
        memory.waiting = version < memory.written;
        memory.waiting
    }

    /// Whether `version` is what the engine itself wrote last, and no turn waits for it.
    pub(crate) fn echo(&self, uid: &str, version: u64) -> bool {
        self.lock().get(uid).is_some_and(|memory| memory.written == version && !memory.waiting)
    }

    /// Notes a failed turn; how many there were in a row.
    pub(crate) fn failed(&self, uid: &str) -> u32 {
        let mut memories = self.lock();
        let memory = memories.entry(uid.to_owned()).or_default();
        memory.failures = memory.failures.saturating_add(1);
        memory.failures
    }

    /// Notes a turn that succeeded; what is of no use any more is forgotten.
    pub(crate) fn succeeded(&self, uid: &str) {
        if let Some(memory) = self.lock().get_mut(uid) {
            memory.failures = 0;
            memory.told.retain(|(_, last)| last.elapsed() < SILENCE);
            memory.mends.retain(|mend| mend.last.elapsed() < PEACE);
            memory.told.shrink_to_fit();
            memory.mends.shrink_to_fit();
        }
    }

    /// Whether an event is news: not asked for within [`SILENCE`].
    pub(crate) fn news(&self, uid: &str, reason: &str, note: &str) -> bool {
        let (now, event) = (Instant::now(), self.hash((reason, note)));
        let mut memories = self.lock();
        let told = &mut memories.entry(uid.to_owned()).or_default().told;
        told.retain(|(_, last)| now.duration_since(*last) < SILENCE);
        let before = told.len();
        told.retain(|(known, _)| *known != event);
        let news = told.len() == before;
        told.push((event, now));
        news
    }

    /// Whether an object may be applied now: yes, unless the very same was applied to it again and again.
    /// Somebody is at odds with us then, and the two would go on as fast as the API allows. Otherwise how
    /// often that was, and how long to wait.
    pub(crate) fn contested(&self, uid: &str, place: &Place, desired: Fingerprint) -> Option<(u32, Duration)> {
        let place = self.hash(place);
        let memories = self.lock();
        let mend = memories.get(uid)?.mends.iter().find(|mend| mend.place == place && mend.desired == desired)?;
        let late = mend.times.checked_sub(PATIENT_MENDS)?;
        let wait = MEND_WAITS.0.saturating_mul(2_u32.saturating_pow(late)).min(MEND_WAITS.1);
        let left = wait.checked_sub(mend.last.elapsed()).filter(|left| !left.is_zero())?;
        Some((mend.times, left))
    }

    /// Notes that an object was applied.
    pub(crate) fn applied(&self, uid: &str, place: &Place, desired: Fingerprint) {
        let (now, place) = (Instant::now(), self.hash(place));
        let mut memories = self.lock();
        let mends = &mut memories.entry(uid.to_owned()).or_default().mends;
        let before = mends.iter().find(|mend| mend.place == place && mend.desired == desired);
        let before = before.filter(|mend| now.duration_since(mend.last) < PEACE);
        let times = before.map_or(1, |mend| mend.times.saturating_add(1));
        mends.retain(|mend| mend.place != place && now.duration_since(mend.last) < PEACE);
        mends.push(Mend { place, desired, last: now, times });
    }

    /// Forgets a resource that is gone.
    pub(crate) fn forget(&self, uid: &str) {
        self.lock().remove(uid);
    }

    fn hash(&self, value: impl Hash) -> u64 {
        self.hashes.hash_one(value)
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<String, Memory>> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::{Memories, SILENCE};

    #[tokio::test(start_paused = true)]
    async fn an_event_is_news_once_and_again_after_silence() {
        let memories = Memories::default();
        assert!(memories.news("u", "Broken", "disk"));
        for _ in 0..100 {
            tokio::time::advance(Duration::from_secs(15)).await;
            assert!(!memories.news("u", "Broken", "disk"));
        }
        assert!(memories.news("u", "Broken", "net"), "another note");
        assert!(memories.news("v", "Broken", "disk"), "another resource");
        tokio::time::advance(SILENCE).await;
        assert!(memories.news("u", "Broken", "disk"));
    }

    #[test]
    fn a_turn_waits_until_the_cache_shows_what_was_written() {
        let memories = Memories::default();
        assert!(!memories.stale("u", 1));
        memories.wrote("u", 5);
        assert!(memories.echo("u", 5));
        assert!(memories.stale("u", 4));
        assert!(!memories.echo("u", 5), "a turn waits for it");
        assert!(!memories.stale("u", 5));
    }
}
