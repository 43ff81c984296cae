//! One configuration at a time, and of those that wait only the newest. Pure but for its lock.

use std::sync::{Mutex, MutexGuard, PoisonError};

use tokio::sync::{Notify, oneshot};

use super::{
    apply::Outcome,
    protocol::{Configuration, Conflict},
};

/// Where configurations wait for the applier.
#[derive(Debug, Default)]
pub struct Queue {
    slot: Mutex<Slot>,
    wake: Notify,
}

#[derive(Debug, Default)]
struct Slot {
    /// Of the newest configuration ever known.
    newest: u64,
    newest_hash: String,
    waiting: Option<Waiting>,
}

/// A configuration and those who want to know what becomes of it.
#[derive(Debug)]
pub struct Waiting {
    /// What is to be applied.
    pub configuration: Configuration,
    waiters: Vec<oneshot::Sender<Outcome>>,
}

impl Waiting {
    /// Tells everybody.
    pub fn answer(self, outcome: &Outcome) {
        for waiter in self.waiters {
            // One that has gone no longer wants to know.
            let _ = waiter.send(outcome.clone());
        }
    }
}

impl Queue {
    /// A queue that knows configurations up to this sequence already.
    #[must_use]
    pub fn new(newest: u64, newest_hash: String) -> Self {
        Self { slot: Mutex::new(Slot { newest, newest_hash, waiting: None }), wake: Notify::new() }
    }

    /// The newest sequence that was ever known.
    pub fn newest(&self) -> u64 {
        self.lock().newest
    }

    /// Adds a configuration. One that still waits gives way to it and is answered as stale.
    ///
    /// # Errors
    /// When a later one is known, or another of the same sequence.
    pub fn submit(&self, configuration: Configuration) -> Result<oneshot::Receiver<Outcome>, Conflict> {
        let hash = configuration.hash();
        let mut slot = self.lock();
        let known = configuration.sequence == slot.newest && !slot.newest_hash.is_empty() && slot.newest_hash != hash;
        if configuration.sequence < slot.newest || known {
            return Err(Conflict { newest: slot.newest });
        }
        slot.newest = configuration.sequence;
        slot.newest_hash.clone_from(&hash);
        let (sender, receiver) = oneshot::channel();
        let mut waiters = vec![sender];
        if let Some(earlier) = slot.waiting.take() {
            if earlier.configuration.hash() == hash {
                waiters.extend(earlier.waiters);
            } else {
                earlier.answer(&Outcome::Stale(Conflict { newest: slot.newest }));
            }
        }
        slot.waiting = Some(Waiting { configuration, waiters });
        drop(slot);
        self.wake.notify_one();
        Ok(receiver)
    }

    /// Whether there is something to take.
    pub fn is_waiting(&self) -> bool {
        self.lock().waiting.is_some()
    }

    /// What is to be applied next.
    pub fn take(&self) -> Option<Waiting> {
        self.lock().waiting.take()
    }

    /// Waits until there may be something to take.
    pub async fn arrived(&self) {
        self.wake.notified().await;
    }

    fn lock(&self) -> MutexGuard<'_, Slot> {
        self.slot.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn configuration(sequence: u64, text: &str) -> Configuration {
        Configuration { sequence, files: [("haproxy.cfg".to_owned(), text.to_owned())].into() }
    }

    #[tokio::test]
    async fn the_newest_takes_the_place_of_one_that_waits() {
        let queue = Queue::default();
        let first = queue.submit(configuration(1, "a")).expect("queued");
        let second = queue.submit(configuration(2, "b")).expect("queued");
        assert_eq!(first.await, Ok(Outcome::Stale(Conflict { newest: 2 })));
        let waiting = queue.take().expect("one waits");
        assert_eq!(waiting.configuration.sequence, 2);
        waiting.answer(&Outcome::Proven);
        assert_eq!(second.await, Ok(Outcome::Proven));
        assert!(queue.take().is_none());
    }

    #[tokio::test]
    async fn the_same_twice_is_answered_twice() {
        let queue = Queue::new(1, String::new());
        let first = queue.submit(configuration(1, "a")).expect("queued");
        let second = queue.submit(configuration(1, "a")).expect("queued");
        queue.take().expect("one waits").answer(&Outcome::Proven);
        assert_eq!((first.await, second.await), (Ok(Outcome::Proven), Ok(Outcome::Proven)));
    }

    #[test]
    fn older_ones_and_others_of_the_same_sequence_are_stale() {
        let queue = Queue::new(5, configuration(5, "a").hash());
        assert_eq!(queue.submit(configuration(4, "a")).err(), Some(Conflict { newest: 5 }));
        assert_eq!(queue.submit(configuration(5, "b")).err(), Some(Conflict { newest: 5 }));
        assert!(queue.submit(configuration(5, "a")).is_ok());
    }
}
