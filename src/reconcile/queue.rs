//! Which resources are to have a turn, and when: never two of one at a time, and who has waited longest comes first.
//! Nothing here does I/O.

use std::{
    collections::{BTreeSet, HashMap},
    sync::Arc,
    time::Duration,
};

use tokio::time::{Instant, sleep_until};

use super::watch::Key;

/// No turn is further away.
const FURTHEST: Duration = Duration::from_hours(24);

/// Who waits for a turn, and who has one.
#[derive(Debug, Default)]
pub(crate) struct Queue {
    known: HashMap<Arc<Key>, State>,
    /// Those that wait, by when they are due.
    waiting: BTreeSet<(Instant, Arc<Key>)>,
}

#[derive(Clone, Copy, Debug)]
enum State {
    /// Until it is due.
    Waiting(Instant),
    /// It has its turn; whether it was asked meanwhile that it have another.
    Taken(bool),
}

impl Queue {
    /// Asks for a turn at a time, or sooner if that was asked already.
    pub(crate) fn ask(&mut self, key: &Arc<Key>, at: Instant) {
        match self.known.get_mut(key) {
            Some(State::Taken(again)) => *again = true,
            Some(State::Waiting(due)) if *due <= at => {}
            Some(State::Waiting(_)) | None => self.wait(key, at),
        }
    }

    /// Takes who is due and has waited longest.
    pub(crate) fn take(&mut self, now: Instant) -> Option<Arc<Key>> {
        let (_, key) = self.next().filter(|due| *due <= now).and_then(|_| self.waiting.pop_first())?;
        self.known.insert(Arc::clone(&key), State::Taken(false));
        Some(key)
    }

    /// A turn has ended, and the next is due after a while; none for a resource that is gone.
    pub(crate) fn ended(&mut self, key: &Arc<Key>, now: Instant, again: Option<Duration>) {
        match (self.known.get(key), again) {
            (Some(State::Taken(true)), _) => self.wait(key, now),
            (_, Some(again)) => self.wait(key, now + again.min(FURTHEST)),
            (_, None) => self.forget(key),
        }
    }

    /// Nothing is due any more.
    pub(crate) fn forget(&mut self, key: &Key) {
        if let Some((key, State::Waiting(due))) = self.known.remove_entry(key) {
            self.waiting.remove(&(due, key));
        }
    }

    /// When the next turn is due.
    pub(crate) fn next(&self) -> Option<Instant> {
        self.waiting.first().map(|(due, _)| *due)
    }

    fn wait(&mut self, key: &Arc<Key>, due: Instant) {
        // What is known is kept once.
        let key = Arc::clone(self.known.get_key_value(key).map_or(key, |(known, _)| known));
        if let Some(State::Waiting(before)) = self.known.insert(Arc::clone(&key), State::Waiting(due)) {
            self.waiting.remove(&(before, Arc::clone(&key)));
        }
        self.waiting.insert((due, key));
    }
}

/// Resolves at a time, such as [`Queue::next`]; never if there is none.
pub(crate) async fn at(time: Option<Instant>) {
    match time {
        Some(time) => sleep_until(time).await,
        None => std::future::pending().await,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    fn key(name: &str) -> Arc<Key> {
        Arc::new(Key::new("customer", name))
    }

    fn taken(queue: &mut Queue, now: Instant) -> Vec<Arc<Key>> {
        std::iter::from_fn(|| queue.take(now)).collect()
    }

    #[test]
    fn the_sooner_of_two_times_counts_and_who_waits_longest_comes_first() {
        let (mut queue, now) = (Queue::default(), Instant::now());
        queue.ask(&key("a"), now + 3 * SECOND);
        queue.ask(&key("b"), now + 2 * SECOND);
        queue.ask(&key("a"), now + SECOND);
        queue.ask(&key("a"), now + 9 * SECOND);
        assert_eq!(queue.next(), Some(now + SECOND));
        assert_eq!(taken(&mut queue, now), []);
        let both = taken(&mut queue, now + 5 * SECOND);
        assert_eq!(both.iter().map(|key| key.name()).collect::<Vec<_>>(), ["a", "b"]);
        assert_eq!(queue.next(), None);
    }

    #[test]
    fn what_is_asked_during_a_turn_comes_right_after_it() {
        let (mut queue, now) = (Queue::default(), Instant::now());
        queue.ask(&key("a"), now);
        let a = queue.take(now).expect("due");
        queue.ask(&key("a"), now);
        assert_eq!(queue.take(now), None, "it has its turn");
        queue.ended(&a, now, Some(SECOND));
        assert_eq!(queue.take(now).as_ref(), Some(&a));
        queue.ended(&a, now, Some(SECOND));
        assert_eq!(queue.next(), Some(now + SECOND));
    }

    #[test]
    fn nothing_is_kept_of_who_is_gone() {
        let (mut queue, now) = (Queue::default(), Instant::now());
        queue.ask(&key("a"), now);
        let a = queue.take(now).expect("due");
        queue.ended(&a, now, None);
        assert!(queue.known.is_empty() && queue.waiting.is_empty());
        queue.ask(&key("a"), now);
        queue.forget(&a);
        assert!(queue.known.is_empty() && queue.waiting.is_empty());
    }
}
