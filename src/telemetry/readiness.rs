//! Whether the process is ready: when every gate that was made is open. It touches nothing.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, PoisonError},
};

/// The gates of this process; clones share them.
#[derive(Clone, Debug, Default)]
pub struct Readiness(Arc<Mutex<BTreeMap<String, bool>>>);

/// One thing that has to be done before the process is ready.
#[derive(Debug)]
pub struct Gate {
    name: String,
    readiness: Readiness,
}

impl Readiness {
    /// A gate that is shut; `name` is what `/readyz` says is being waited for. A name that is used
    /// again shuts the same gate again.
    #[must_use]
    pub fn gate(&self, name: impl Into<String>) -> Gate {
        let name = name.into();
        self.set(&name, false);
        Gate { name, readiness: self.clone() }
    }

    /// The gates that are still shut, by name.
    #[must_use]
    pub fn waiting_for(&self) -> Vec<String> {
        let gates = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        gates.iter().filter(|(_, open)| !**open).map(|(name, _)| name.clone()).collect()
    }

    fn set(&self, name: &str, open: bool) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).insert(name.to_owned(), open);
    }
}

impl Gate {
    /// Opens it.
    pub fn open(&self) {
        self.readiness.set(&self.name, true);
    }

    /// Shuts it again.
    pub fn shut(&self) {
        self.readiness.set(&self.name, false);
    }
}

#[cfg(test)]
mod tests {
    use super::Readiness;

    #[test]
    fn ready_is_when_every_gate_is_open() {
        let readiness = Readiness::default();
        assert!(readiness.waiting_for().is_empty());
        let (caches, leader) = (readiness.gate("caches"), readiness.gate("leader"));
        caches.open();
        assert_eq!(readiness.waiting_for(), ["leader"]);
        leader.open();
        assert!(readiness.waiting_for().is_empty());
        caches.shut();
        assert_eq!(readiness.waiting_for(), ["caches"]);
    }
}
