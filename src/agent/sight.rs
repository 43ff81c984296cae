//! What a worker has shown of itself at one moment, in the names of the configuration that it runs: whose
//! `server` line is whose, since members change places while HAProxy runs. Pure.

use std::{
    collections::{BTreeMap, HashMap},
    sync::Arc,
};

use super::{
    change::{self, Situation, Version},
    layout::SPARE,
    naming,
    protocol::{ListenerHealth, ListenerState, MemberHealth},
};
use crate::clients::haproxy::{Kind, Line, Numbers, Slots, Snapshot};

/// What is known of a running worker beside its slots, for as long as both hashes stay.
#[derive(Clone, Debug)]
pub struct Known {
    /// Of what it was started with, and of what it runs.
    pub hashes: (String, String),
    /// What it was started with.
    pub loaded: Arc<Version>,
    /// What it runs.
    pub running: Arc<Version>,
    /// Whether `server` lines can be added to it.
    pub adds: bool,
}

impl Known {
    /// With what its slots are like.
    #[must_use]
    pub fn situation<'a>(&'a self, slots: &'a Slots) -> Situation<'a> {
        Situation { loaded: &self.loaded, running: &self.running, slots, adds: self.adds }
    }
}

/// How to know a member by its `server` line.
#[derive(Clone, Debug)]
pub enum Naming {
    /// By who occupies it.
    Known(Known),
    /// By its name: what runs was not understood, so that nobody has changed places.
    AsTheyAre,
}

/// What a worker has shown.
#[derive(Clone, Debug)]
pub struct Sight {
    /// As it was told.
    pub snapshot: Snapshot,
    /// The lines that are members, each with the member's name, in the configuration's order; none while it
    /// is not certain whose they are.
    members: Option<Vec<(usize, String)>>,
}

impl Sight {
    /// Without a naming, or when another worker than that which it is of has answered, members stay unknown.
    #[must_use]
    pub fn new(snapshot: Snapshot, naming: Option<&Naming>) -> Self {
        let members = match naming {
            None => None,
            Some(Naming::AsTheyAre) => Some(named(&snapshot, None)),
            Some(Naming::Known(known)) => {
                let (loaded, running) = &known.hashes;
                let same = snapshot.marker.as_ref() == Some(running) && snapshot.loaded.as_ref() == Some(loaded);
                same.then(|| named(&snapshot, Some(known)))
            }
        };
        Self { snapshot, members }
    }

    /// Whether it is known whose the lines are.
    #[must_use]
    pub fn is_certain(&self) -> bool {
        self.members.is_some()
    }

    /// The lines of members, with their names.
    pub fn members(&self) -> impl Iterator<Item = (&str, &Line)> {
        let members = self.members.iter().flatten();
        members.filter_map(|(index, name)| Some((name.as_str(), self.snapshot.statistics.get(*index)?)))
    }

    /// Backends by name, with the members of the running configuration by theirs.
    #[must_use]
    pub fn pools(&self) -> BTreeMap<String, Vec<MemberHealth>> {
        let mut pools = BTreeMap::new();
        if self.is_certain() {
            let servers = self.snapshot.statistics.iter().filter(|line| line.kind == Kind::Server);
            pools.extend(servers.map(|line| (line.proxy.clone(), Vec::new())));
        }
        for (name, line) in self.members() {
            pools.entry(line.proxy.clone()).or_default().push(MemberHealth { name: name.to_owned(), ..line.health() });
        }
        pools
    }

    /// Listeners by name.
    #[must_use]
    pub fn listeners(&self) -> BTreeMap<String, ListenerHealth> {
        let frontends = self.snapshot.statistics.iter().filter(|line| line.kind == Kind::Frontend);
        let told = frontends.filter_map(|line| {
            let state = match line.status.as_str() {
                "OPEN" => ListenerState::Open,
                "STOP" => ListenerState::Stopped,
                _ => ListenerState::Unknown,
            };
            Some((naming::listener(&line.proxy)?.to_owned(), ListenerHealth { state, certificate: None }))
        });
        told.collect()
    }
}

/// What is known of a worker from all that it has shown.
#[derive(Debug, Default)]
pub struct Seen {
    /// What its members are called; none while that is not known.
    pub naming: Option<Naming>,
    /// As [`Sight::pools`].
    pub pools: BTreeMap<String, Vec<MemberHealth>>,
    /// As [`Sight::listeners`].
    pub listeners: BTreeMap<String, ListenerHealth>,
    /// That from which it is known.
    pub sights: Vec<Sight>,
}

impl Seen {
    /// From one look at all, if it succeeded.
    #[must_use]
    pub fn new(naming: Option<Naming>, sight: Option<Sight>) -> Self {
        let (pools, listeners) = sight.as_ref().map(|sight| (sight.pools(), sight.listeners())).unwrap_or_default();
        Self { naming, pools, listeners, sights: sight.into_iter().collect() }
    }

    /// What runs has changed without a reload, and these are the backends that did.
    pub fn follow(&mut self, reached: &Known, snapshots: Vec<Snapshot>) {
        let naming = Naming::Known(reached.clone());
        for snapshot in snapshots {
            let sight = Sight::new(snapshot, Some(&naming));
            self.pools.extend(sight.pools());
            self.sights.push(sight);
        }
        self.naming = Some(naming);
    }
}

/// The lines of members by their place in the statistics, with their names.
fn named(snapshot: &Snapshot, known: Option<&Known>) -> Vec<(usize, String)> {
    let mut occupants: HashMap<&str, HashMap<&str, (usize, &str)>> = HashMap::new();
    for (backend, slots) in known.into_iter().flat_map(|_| &snapshot.slots) {
        let versions = known.and_then(|known| known.loaded.backend(backend).zip(known.running.backend(backend)));
        let Some((loaded, running)) = versions else { continue };
        let order: HashMap<&str, usize> =
            running.servers.iter().enumerate().map(|(index, server)| (server.name.as_str(), index)).collect();
        let named = change::occupants(loaded, running, slots).into_iter();
        occupants.insert(backend, named.filter_map(|(slot, name)| Some((slot, (*order.get(name)?, name)))).collect());
    }
    let mut members: Vec<(&str, usize, usize, &str)> = Vec::new();
    for (index, line) in snapshot.statistics.iter().enumerate().filter(|(_, line)| line.kind == Kind::Server) {
        let found = match occupants.get(line.proxy.as_str()) {
            Some(occupants) => occupants.get(line.name.as_str()).copied(),
            None => (!line.name.starts_with(SPARE)).then_some((index, line.name.as_str())),
        };
        members.extend(found.map(|(place, name)| (line.proxy.as_str(), place, index, name)));
    }
    members.sort_unstable();
    members.into_iter().map(|(_, _, index, name)| (index, name.to_owned())).collect()
}

/// Since when a line counts for the member that has it: a slot goes on counting when another moves in.
#[derive(Debug, Default)]
pub struct Tenants {
    /// The worker's process: a new one counts from nothing, with everybody at home.
    worker: Option<u64>,
    /// By backend and line, those that once had another member than that of its name: who has it, and what
    /// had been counted when that one moved in.
    moved: HashMap<String, HashMap<String, (String, Numbers)>>,
}

impl Tenants {
    /// Takes note of who has moved.
    pub fn observe(&mut self, sight: &Sight) {
        let worker = sight.snapshot.information.number("Pid");
        if self.worker != worker {
            *self = Self { worker, ..Self::default() };
        }
        for (member, line) in sight.members() {
            let known = self.moved.get(&line.proxy).and_then(|lines| lines.get(&line.name));
            if known.map_or(line.name.as_str(), |(tenant, _)| tenant.as_str()) != member {
                let lines = self.moved.entry(line.proxy.clone()).or_default();
                lines.insert(line.name.clone(), (member.to_owned(), line.numbers.clone()));
            }
        }
    }

    /// The process id of the worker that was last seen.
    #[must_use]
    pub fn worker(&self) -> Option<u64> {
        self.worker
    }

    /// Whether this is of the worker that was last seen.
    #[must_use]
    pub fn are_of(&self, sight: &Sight) -> bool {
        self.worker == sight.snapshot.information.number("Pid")
    }

    /// What was counted on a line before its member had it.
    #[must_use]
    pub fn before(&self, line: &Line) -> Option<&Numbers> {
        Some(&self.moved.get(&line.proxy)?.get(&line.name)?.1)
    }
}

#[cfg(test)]
mod tests;
