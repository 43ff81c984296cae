//! Which slot of a backend belongs to which member, and what is to be done about it. Pure, and decided by
//! addresses alone, so that an agent that starts anew finds its slots again from what the worker tells.

use std::{
    collections::{BTreeMap, HashMap, HashSet},
    net::SocketAddr,
};

use super::{Command, Place, Why};
use crate::{
    agent::layout::{Backend, Freedom, SPARE, Server},
    clients::haproxy::Slot,
};

/// What is to be done, by when.
#[derive(Debug, Default)]
pub(super) struct Steps {
    /// To certificates, and to slots that take no traffic.
    preparations: Vec<Command>,
    /// What brings traffic.
    openings: Vec<Command>,
    /// What says where traffic goes.
    routes: Vec<Command>,
    /// What ends it.
    closings: Vec<Command>,
}

impl Steps {
    /// With what is to be done about files.
    pub(super) fn of(files: Vec<Command>) -> Self {
        let (routes, preparations) = files.into_iter().partition(|command| matches!(command, Command::Patterns { .. }));
        Self { preparations, routes, ..Self::default() }
    }

    pub(super) fn in_order(self) -> impl Iterator<Item = Command> {
        self.preparations.into_iter().chain(self.openings).chain(self.routes).chain(self.closings)
    }
}

/// Adds what takes the slots of a backend to its wanted servers.
pub(super) fn plan(
    name: &str,
    loaded: &Backend,
    wanted: &Backend,
    slots: &[Slot],
    steps: &mut Steps,
) -> Result<(), Why> {
    let options: HashMap<&str, &str> =
        loaded.servers.iter().map(|server| (server.name.as_str(), server.options.as_str())).collect();
    if slots.len() != options.len() || !slots.iter().all(|slot| options.contains_key(slot.name.as_str())) {
        return Err(Why::Unknown);
    }
    let mut places = places(&wanted.servers, slots, |slot| options[slot.name.as_str()]);
    let mut taken: HashSet<usize> = places.iter().flatten().copied().collect();
    // By their options, the spare ones last: they are taken from the end.
    let mut free: BTreeMap<&str, Vec<usize>> = BTreeMap::new();
    for (index, slot) in slots.iter().enumerate().rev() {
        if slot.maintenance && !slot.busy && !taken.contains(&index) {
            free.entry(options[slot.name.as_str()]).or_default().push(index);
        }
    }
    for free in free.values_mut() {
        free.sort_by_key(|index| slots[*index].name.starts_with(SPARE));
    }
    for (server, place) in wanted.servers.iter().zip(&mut places) {
        if server.is_spare() || place.is_some() {
            continue;
        }
        let found = free.get_mut(server.options.as_str()).and_then(Vec::pop);
        let index = found.ok_or_else(|| Why::NoSlot(name.to_owned()))?;
        taken.insert(index);
        *place = Some(index);
    }
    for (server, index) in wanted.servers.iter().zip(places).filter_map(|(server, place)| Some((server, place?))) {
        let slot = &slots[index];
        // With what is inherited it is not known what would be checked.
        let aims = server.is_checked() && loaded.freedom != Freedom::Nothing;
        bring_about(server, slot, aims, || Place { backend: name.to_owned(), name: slot.name.clone() }, steps);
    }
    let left = slots.iter().enumerate().filter(|(index, slot)| !slot.maintenance && !taken.contains(index));
    steps.closings.extend(
        left.map(|(_, slot)| Command::Maintain { slot: Place { backend: name.to_owned(), name: slot.name.clone() } }),
    );
    Ok(())
}

fn bring_about(server: &Server, slot: &Slot, aims: bool, place: impl Fn() -> Place, steps: &mut Steps) {
    let weight = (slot.weight != server.weight).then(|| Command::Weigh { slot: place(), weight: server.weight });
    if slot.address != Some(server.address) {
        steps.preparations.push(Command::Fill { slot: place(), address: server.address });
    }
    // What is once said of a slot can't be unsaid: it is aimed at its own address then.
    let target = server.check.of(server.address);
    if aims && slot.check.of(server.address) != target {
        steps.preparations.push(Command::Aim { slot: place(), target });
    }
    if slot.maintenance {
        steps.preparations.extend(weight);
    } else if server.weight > slot.weight {
        steps.openings.extend(weight);
    } else {
        steps.closings.extend(weight);
    }
    match (server.enabled, slot.maintenance) {
        (true, maintenance) if maintenance || slot.drained => steps.openings.push(Command::Ready { slot: place() }),
        (false, false) => steps.closings.push(Command::Maintain { slot: place() }),
        _ => {}
    }
}

/// The slot that leads to each server already, if there is one: that which takes traffic rather than one in
/// maintenance, then that of its own name.
fn places<'a>(servers: &[Server], slots: &'a [Slot], options: impl Fn(&'a Slot) -> &'a str) -> Vec<Option<usize>> {
    let mut by_address: HashMap<SocketAddr, Vec<usize>> = HashMap::new();
    for (index, slot) in slots.iter().enumerate() {
        if let Some(address) = slot.address {
            by_address.entry(address).or_default().push(index);
        }
    }
    let mut taken = HashSet::<usize>::new();
    let mut places = vec![None; servers.len()];
    // Several servers may lead to one address: those that need no change choose first.
    for as_it_is in [true, false] {
        for (server, place) in servers.iter().zip(&mut places) {
            if server.is_spare() || place.is_some() {
                continue;
            }
            let fits = |index: &&usize| {
                let slot = &slots[**index];
                options(slot) == server.options && !taken.contains(*index) && (!as_it_is || is_as_it_is(server, slot))
            };
            let candidates = by_address.get(&server.address).map(Vec::as_slice).unwrap_or_default();
            let best = candidates.iter().filter(fits).min_by_key(|index| {
                let slot = &slots[**index];
                (slot.maintenance == server.enabled, slot.name != server.name)
            });
            *place = best.copied();
            taken.extend(best);
        }
    }
    places
}

fn is_as_it_is(server: &Server, slot: &Slot) -> bool {
    slot.maintenance != server.enabled
        && slot.weight == server.weight
        && slot.check.of(server.address) == server.check.of(server.address)
}

/// The name of the server that occupies each slot, for reports; slots that nobody occupies are missing.
#[must_use]
pub fn occupants<'a>(loaded: &'a Backend, running: &'a Backend, slots: &'a [Slot]) -> BTreeMap<&'a str, &'a str> {
    let options: HashMap<&str, &str> =
        loaded.servers.iter().map(|server| (server.name.as_str(), server.options.as_str())).collect();
    let places = places(&running.servers, slots, |slot| options.get(slot.name.as_str()).copied().unwrap_or_default());
    let named = running.servers.iter().zip(places);
    named.filter_map(|(server, place)| Some((slots[place?].name.as_str(), server.name.as_str()))).collect()
}
