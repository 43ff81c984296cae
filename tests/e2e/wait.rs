//! Waiting for something to become true, with a deadline. Touches nothing by itself.

use std::{
    fmt::Display,
    time::{Duration, Instant},
};

use tokio::time::{MissedTickBehavior, interval};

/// How often is looked.
const AGAIN: Duration = Duration::from_millis(100);

/// How long a pod may take to start, and what follows from it.
pub(crate) const POD: Duration = Duration::from_secs(90);
/// How long a change may take that needs no new pod.
pub(crate) const LIVE: Duration = Duration::from_secs(20);

/// Looks until there is something to give back; what is not there yet is told when the time is over.
///
/// # Panics
/// When the time is over, with what was waited for and what was seen last.
pub(crate) async fn until<T, E: Display>(
    what: &str,
    limit: Duration,
    mut look: impl AsyncFnMut() -> Result<T, E>,
) -> T {
    let begun = Instant::now();
    let mut ticks = interval(AGAIN);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        let seen = match look().await {
            Ok(found) => return found,
            Err(seen) => seen,
        };
        let waited = begun.elapsed();
        assert!(waited < limit, "waited {:.0} s in vain for {what}; seen last: {seen}", waited.as_secs_f64());
    }
}

/// Looks for as long as this, and panics as soon as something does not hold.
pub(crate) async fn holds<E: Display>(what: &str, time: Duration, mut look: impl AsyncFnMut() -> Result<(), E>) {
    let begun = Instant::now();
    let mut ticks = interval(AGAIN);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    while begun.elapsed() < time {
        ticks.tick().await;
        if let Err(seen) = look().await {
            panic!("{what} did not hold for {time:?}: after {:?}: {seen}", begun.elapsed());
        }
    }
}

/// `Ok` if it is so, else what was seen.
pub(crate) fn seen(so: bool, what: impl FnOnce() -> String) -> Result<(), String> {
    if so { Ok(()) } else { Err(what()) }
}
