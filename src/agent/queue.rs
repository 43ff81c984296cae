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

impl Slot {
    /// Those who wait for an earlier one wait for the later if it is the same, and else no longer.
    fn give_way(&mut self, earlier: Option<Waiting>) {
        let Some((earlier, later)) = earlier.zip(self.waiting.as_mut()) else { return };
        if earlier.hash == later.hash {
            later.waiters.extend(earlier.waiters);
        } else {
            earlier.answer(&Outcome::Stale(Conflict { newest: self.newest }));
        }
    }
}

/// A configuration and those who want to know what becomes of it.
#[derive(Debug)]
pub struct Waiting {
    /// What is to be applied.
    pub configuration: Configuration,
    /// Its [`Configuration::hash`].
    pub hash: String,
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
        let earlier = slot.waiting.replace(Waiting { configuration, hash, waiters: vec![sender] });
        slot.give_way(earlier);
        drop(slot);
        self.wake.notify_one();
        Ok(receiver)
    }

    /// Has one that was taken wait again, if no later one does.
    pub fn put_back(&self, taken: Waiting) {
        let mut slot = self.lock();
        if slot.waiting.is_some() {
            slot.give_way(Some(taken));
        } else {
            slot.waiting = Some(taken);
        }
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

    #[tokio::test]
    async fn one_that_is_put_back_waits_again_or_gives_way() {
        let queue = Queue::default();
        let first = queue.submit(configuration(1, "a")).expect("queued");
        queue.put_back(queue.take().expect("one waits"));
        let taken = queue.take().expect("it waits again");
        let second = queue.submit(configuration(2, "a")).expect("queued");
        queue.put_back(taken);
        let taken = queue.take().expect("one waits");
        assert_eq!(taken.configuration.sequence, 2);
        let third = queue.submit(configuration(3, "b")).expect("queued");
        queue.put_back(taken);
        assert_eq!((first.await, second.await), {
            let stale = Ok(Outcome::Stale(Conflict { newest: 3 }));
            (stale.clone(), stale)
        });
        queue.take().expect("one waits").answer(&Outcome::Proven);
        assert_eq!(third.await, Ok(Outcome::Proven));
    }

    #[test]
    fn older_ones_and_others_of_the_same_sequence_are_stale() {
        let queue = Queue::new(5, configuration(5, "a").hash());
        assert_eq!(queue.submit(configuration(4, "a")).err(), Some(Conflict { newest: 5 }));
        assert_eq!(queue.submit(configuration(5, "b")).err(), Some(Conflict { newest: 5 }));
        assert!(queue.submit(configuration(5, "a")).is_ok());
    }
}
